//! The part of each help page below the options.
//!
//! Policy: what holds for every command is on the page of the program only, and the other pages refer to it. A page consists of
//! blocks: a heading that ends with a colon, then indented lines, which are examples or a term and its explanation. `man.rs` makes
//! sections of the blocks. Lines are at most 76 characters long, so that a terminal of 80 columns does not wrap them.

/// `attendance-api --help`
pub const MAIN: &str = "\
Examples:
  attendance-api                          Serve on port 8080.
  attendance-api demo                     Serve sample records until Ctrl-C.
  attendance-api --listen 127.0.0.1:9000  Serve on another address.
  attendance-api config template          Print a configuration file.

Files:
  ./config.yaml, /etc/attendance-api/config.yaml
      The configuration: the file that --config or $CONFIG_FILE names, else
      the first of these that exists. None is needed.

Environment:
  ATTENDANCE_API__SECTION__KEY
      Sets a key of the configuration, for example
      ATTENDANCE_API__SERVER__LISTEN=127.0.0.1:9000
  CONFIG_FILE
      Names the configuration file.
  STATE_DIRECTORY
      Names the data directory; systemd sets it.

A flag overrides the environment, and the environment overrides the file.

Signals:
  SIGTERM, SIGINT  Stop. Requests in flight are finished first; a second
                   signal stops at once.
  SIGHUP           Read the configuration again.
  Others           Those that end a program by default, such as SIGUSR1 and
                   SIGALRM, are ignored, except SIGQUIT and SIGKILL.

Exit status:
  0   Success.
  1   Failure. A message on standard error says what failed and what to do.
  64  Wrong usage of the command line.
  65  A newer version has migrated the database; install that version.
  69  The address cannot be listened on: the port is taken or not allowed.
  78  Wrong configuration. All problems are reported at once.";

/// The reference to what holds for every command.
macro_rules! common {
    () => {
        "\n\n`attendance-api --help` lists files, environment variables, signals and exit\nstatuses."
    };
}

/// That reference. A man page has it under SEE ALSO.
pub const COMMON: &str = common!();

/// `serve --help`
pub const SERVE: &str = concat!(
    "\
Examples:
  attendance-api serve
  attendance-api serve --listen 127.0.0.1:0
      Listen on a free port, which the log and the banner name.
  attendance-api serve --config /etc/attendance-api/config.yaml
  attendance-api serve --data-dir ./data --set log.level=debug",
    common!()
);

/// `demo --help`
pub const DEMO: &str = concat!(
    "\
Examples:
  attendance-api demo
  attendance-api demo --listen 127.0.0.1:0
  curl 'http://127.0.0.1:8080/api/v1/attendance/search?id=1'

Files:
  $TMPDIR/attendance-api-demo-*, /tmp/attendance-api-demo-*
      The data. The directory is removed at the end.",
    common!()
);

/// `migrate --help`
pub const MIGRATE: &str = concat!(
    "\
Examples:
  attendance-api migrate status
  attendance-api migrate update --config /etc/attendance-api/config.yaml
  attendance-api migrate --defaults-file liquibase.properties update
  attendance-api migrate --url jdbc:postgresql://db:5432/app \\
      --username app --changelog-file changelog.xml update
  attendance-api migrate --url postgres://app@db/app \\
      --changelog-file changelog.xml rollback-count --count=1

Environment:
  LIQUIBASE_COMMAND_PASSWORD
      The password. It can also be `password` in the defaults file.
  LIQUIBASE_COMMAND_OPTION
      Any other option, for example LIQUIBASE_COMMAND_CHANGELOG_FILE. Every
      option can also be in the defaults file.",
    common!()
);

/// `backup --help`
pub const BACKUP: &str = concat!(
    "\
Examples:
  attendance-api backup create
  attendance-api backup list
  attendance-api backup verify attendance-api-2026-01-31T120000Z.tar
  attendance-api backup restore attendance-api-2026-01-31T120000Z.tar
  attendance-api backup restore --to 2026-01-31T12:00:00Z

Files:
  DATA/backups
      The directory of backups, unless backup.directory names another one.
  DATA/backups/wal
      Base backups and the copied WAL (backup.wal: true).",
    common!()
);

/// `backup create --help`
pub const BACKUP_CREATE: &str = concat!(
    "\
Examples:
  attendance-api backup create
  attendance-api backup create --label before-import
  attendance-api backup create --output /mnt/usb/attendance.tar
  attendance-api backup create --encrypt-to backup.pub
      Encrypts to the public keys of a file; `age-keygen` makes keys.

The first line of the output is the path of the file.",
    common!()
);

/// `backup list --help`
pub const BACKUP_LIST: &str = concat!(
    "\
Examples:
  attendance-api backup list
  attendance-api backup list --json | jq -r '.backups[-1].file'

Only the description of each file is read; `backup verify` reads the rest.
That of an encrypted file is shown if its key is given. --passphrase-file
opens those of the five newest only, because each takes a second.",
    common!()
);

/// `backup verify --help`
pub const BACKUP_VERIFY: &str = concat!(
    "\
Examples:
  attendance-api backup verify attendance-api-2026-01-31T120000Z.tar
  attendance-api backup verify --identity backup.key encrypted.tar.age

The temporary cluster is in the data directory and needs about as much
space as the database. The appliance may serve meanwhile.",
    common!()
);

/// `backup restore --help`
pub const BACKUP_RESTORE: &str = concat!(
    "\
Examples:
  systemctl stop attendance-api
  attendance-api backup restore attendance-api-2026-01-31T120000Z.tar
  systemctl start attendance-api
  attendance-api backup restore --data-dir ./copy backup.tar
      Restores into another data directory, which may be new.
  attendance-api backup restore --to 2026-01-31T12:00:00Z
      Restores the state of that moment (backup.wal: true). `backup list`
      shows which moments can be restored.
  attendance-api backup restore --to latest
      Restores everything that was copied to the archive.

If the command is interrupted at any moment, the next start uses the former
database or the restored one, either of them complete.",
    common!()
);

/// `backup forget --help`
pub const BACKUP_FORGET: &str = concat!("Examples:\n  attendance-api backup forget", common!());

/// `account --help`
pub const ACCOUNT: &str = concat!(
    "\
Examples:
  attendance-api account add ada --role admin
  attendance-api account list
  attendance-api account passwd ada
  attendance-api account disable bob

The last admin that is not disabled cannot be removed or disabled.",
    common!()
);

/// `account add --help`
pub const ACCOUNT_ADD: &str = concat!(
    "\
Examples:
  attendance-api account add ada --role admin
  attendance-api account add bob --role employee --employee 4711
  attendance-api account add ci --role writer --password-file secret.txt

A password has 12 to 256 characters; easily guessed ones are refused.",
    common!()
);

/// `token --help`
pub const TOKEN: &str = concat!(
    "\
Examples:
  attendance-api token create terminal-3 --account ada --role writer
  attendance-api token list
  attendance-api token revoke 7",
    common!()
);

/// `token create --help`
pub const TOKEN_CREATE: &str = concat!(
    "\
Examples:
  attendance-api token create terminal-3 --account ada --role writer
  attendance-api token create prometheus --account ada --role metrics
  attendance-api token create audit --account ada --role reader --expires 90d",
    common!()
);

/// `config --help`
pub const CONFIG: &str = concat!(
    "\
Examples:
  attendance-api config template > config.yaml
  attendance-api config check --config config.yaml
  attendance-api config show --set log.level=debug
  attendance-api config explain server.max_body",
    common!()
);

/// `healthcheck --help`
pub const HEALTHCHECK: &str = concat!(
    "\
Examples:
  attendance-api healthcheck
  attendance-api healthcheck http://127.0.0.1:9000
  attendance-api healthcheck http://127.0.0.1:8080/readyz

Exit status:
  0   Healthy: the answer was 200.
  1   Not healthy, not reachable, or no answer within 3 seconds.
  64  Wrong usage of the command line.
  78  Wrong configuration (only without a URL).",
    common!()
);

/// `openapi --help`
pub const OPENAPI: &str = concat!("Examples:\n  attendance-api openapi > openapi.json", common!());

/// `version --help`
pub const VERSION: &str = concat!("Examples:\n  attendance-api version", common!());

/// `completions --help`
pub const COMPLETIONS: &str =
    concat!("Examples:\n  attendance-api completions bash > /etc/bash_completion.d/attendance-api", common!());

/// `man --help`
pub const MAN: &str = concat!("Examples:\n  mkdir pages && attendance-api man pages", common!());
