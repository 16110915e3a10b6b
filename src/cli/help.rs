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
  Other signals that end a program by default, such as SIGUSR1, SIGUSR2 and
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
  curl 'http://127.0.0.1:8080/api/v1/attendance/search?id=E001'

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

/// `config --help`
pub const CONFIG: &str = concat!(
    "\
Examples:
  attendance-api config template > config.yaml
  attendance-api config check --config config.yaml
  attendance-api config show --set log.level=debug",
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
