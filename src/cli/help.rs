//! The long part of every help page.

macro_rules! files {
    () => {
        "Files (the first that is named or exists is read, none is needed):
  --config FILE, $CONFIG_FILE, ./config.yaml, /etc/attendance-api/config.yaml"
    };
}

macro_rules! environment {
    () => {
        "Environment:
  ATTENDANCE_API__SECTION__KEY  sets a key of the configuration, for example
                                ATTENDANCE_API__SERVER__LISTEN=127.0.0.1:9000
                                ATTENDANCE_API__POSTGRES__PASSWORD=...
  CONFIG_FILE                   names the configuration file
  STATE_DIRECTORY               the data directory, as systemd sets it

A flag beats the environment, the environment beats the file."
    };
}

macro_rules! statuses {
    () => {
        "Exit status:
  0   success
  1   failure; one readable message on standard error says what, where and what to do
  64  wrong usage of the command line
  65  the database was migrated by a newer version: install that version
  69  the address cannot be listened on: the port is taken or not allowed
  78  wrong configuration; every problem is told at once"
    };
}

/// `attendance-api --help`
pub const MAIN: &str = concat!(
    "Examples:
  attendance-api                               serve on port 8080, everything brought along
  attendance-api demo                          the same with sample records, gone on Ctrl-C
  attendance-api --listen 127.0.0.1:9000       serve on another address
  attendance-api config template > config.yaml start a configuration file

",
    files!(),
    "\n\n",
    environment!(),
    "\n\n",
    statuses!()
);

/// `serve --help`
pub const SERVE: &str = concat!(
    "Examples:
  attendance-api serve
  attendance-api serve --listen 127.0.0.1:0            a free port; the log and the banner name it
  attendance-api serve --config /etc/attendance-api/config.yaml
  attendance-api serve --data-dir ./data --set log.level=debug --set redis.mode=off

",
    files!(),
    "\n\n",
    environment!(),
    "\n\n",
    statuses!()
);

/// `demo --help`
pub const DEMO: &str = concat!(
    "Examples:
  attendance-api demo
  attendance-api demo --listen 127.0.0.1:0
  curl 'http://127.0.0.1:8080/api/v1/attendance/search?id=E001'

Files:
  a directory attendance-api-demo-* in $TMPDIR or /tmp, removed at the end

",
    statuses!()
);

/// `migrate --help`
pub const MIGRATE: &str = concat!(
    "Examples:
  attendance-api migrate status
  attendance-api migrate update --config /etc/attendance-api/config.yaml
  attendance-api migrate --defaults-file liquibase.properties update
  attendance-api migrate --url jdbc:postgresql://db:5432/app --username app --changelog-file changelog.xml update
  attendance-api migrate --url postgres://app@db/app --changelog-file changelog.xml rollback-count --count=1

The password: $LIQUIBASE_COMMAND_PASSWORD, or `password` in the defaults file. Every option may stand in the defaults
file or in a variable, for example changelog-file as LIQUIBASE_COMMAND_CHANGELOG_FILE.

",
    files!(),
    "\n\n",
    environment!(),
    "\n\n",
    statuses!()
);

/// `config --help`
pub const CONFIG: &str = concat!(
    "Examples:
  attendance-api config template > config.yaml
  attendance-api config check --config config.yaml
  attendance-api config show --set log.level=debug

",
    files!(),
    "\n\n",
    environment!(),
    "\n\n",
    statuses!()
);

/// `healthcheck --help`
pub const HEALTHCHECK: &str = concat!(
    "Examples:
  attendance-api healthcheck
  attendance-api healthcheck http://127.0.0.1:9000
  attendance-api healthcheck http://127.0.0.1:8080/readyz

",
    files!(),
    "\n\n",
    environment!(),
    "

Exit status:
  0   healthy: the answer was 200
  1   not healthy, not reachable, or no answer within 3 seconds
  64  wrong usage of the command line
  78  wrong configuration (only without a URL)"
);

/// `openapi --help`
pub const OPENAPI: &str = concat!(
    "Examples:
  attendance-api openapi > openapi.json

",
    statuses!()
);

/// `version --help`
pub const VERSION: &str = concat!(
    "Examples:
  attendance-api version

",
    statuses!()
);

/// `completions --help`
pub const COMPLETIONS: &str = concat!(
    "Examples:
  attendance-api completions bash > /etc/bash_completion.d/attendance-api

",
    statuses!()
);

/// `man --help`
pub const MAN: &str = concat!(
    "Examples:
  mkdir pages && attendance-api man pages

",
    statuses!()
);
