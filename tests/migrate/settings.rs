//! Where settings come from: liquibase.properties, environment variables, options, and the configuration of the appliance.

use std::process::Command;

use crate::support::{Database, scratch, text};

const LOG: &str = r#"<databaseChangeLog xmlns="http://www.liquibase.org/xml/ns/dbchangelog">
  <changeSet id="1" author="me"><sql>CREATE TABLE ${name} (id int)</sql></changeSet>
  <changeSet id="2" author="me" context="prod"><sql>CREATE TABLE only_prod (id int)</sql></changeSet>
  <changeSet id="3" author="me" labels="slow"><sql>CREATE TABLE only_slow (id int)</sql></changeSet>
</databaseChangeLog>"#;

fn tables(database: &Database) -> String {
    let found = database.run(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'databasechange%' ORDER BY 1",
    );
    found.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn migrate_command(directory: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attendance-api"));
    command.arg("migrate").args(arguments).current_dir(directory);
    command
}

#[test]
fn liquibase_properties_in_the_current_directory_is_read() {
    let (database, directory) = (Database::new(), scratch("properties"));
    std::fs::create_dir_all(directory.join("migration")).unwrap();
    std::fs::write(directory.join("migration/log.xml"), LOG).unwrap();
    let properties = format!(
        "# in Liquibase's format\nclasspath: lib/postgresql.jar\ndriver: org.postgresql.Driver\nurl: {}\nusername: postgres\n\
         password: geheim\nchangeLogFile: migration/log.xml\nparameter.name: from_file\nliquibase.command.contexts: test\n",
        database.url()
    );
    std::fs::write(directory.join("liquibase.properties"), properties).unwrap();
    let output = migrate_command(&directory, &["update"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!format!("{output:?}").contains("geheim"));
    assert_eq!(tables(&database), "from_file only_slow");
    assert_eq!(database.history()[0]["filename"], "migration/log.xml");
}

#[test]
fn an_option_overrides_a_variable_and_a_variable_overrides_the_file() {
    let (database, directory) = (Database::new(), scratch("precedence"));
    std::fs::write(directory.join("log.xml"), LOG).unwrap();
    let file = format!("url={}\nusername=postgres\ncontexts=prod\nlabel-filter=fast\nparameter.name=t", database.url());
    std::fs::write(directory.join("my.properties"), file).unwrap();
    let arguments =
        ["--defaults-file=my.properties", "--changelog-file=log.xml", "--contexts=test", "-Dname=given", "update"];
    let output = migrate_command(&directory, &arguments)
        .env("LIQUIBASE_COMMAND_CONTEXTS", "other")
        .env("LIQUIBASE_COMMAND_LABEL_FILTER", "slow")
        .env("LIQUIBASE_COMMAND_PASSWORD", "geheim")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(tables(&database), "given only_slow");
}

#[test]
fn a_missing_file_and_an_invalid_url_are_named_in_the_error() {
    let directory = scratch("missing");
    for (arguments, expected) in [
        (&["--defaults-file=gone.properties", "update"][..], "gone.properties"),
        (&["--url=jdbc:mysql://h/d", "update"][..], "jdbc:postgresql://HOST"),
        (&["--url=jdbc:postgresql://127.0.0.1:1/d", "--changelog-file=gone.xml", "update"][..], "gone.xml"),
        (&["--url=jdbc:postgresql://127.0.0.1:1/d", "history"][..], "127.0.0.1:1"),
    ] {
        let output = migrate_command(&directory, arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).contains(expected), "{arguments:?}: {}", text(&output.stderr));
    }
}

/// What `history` says about a database that cannot be used.
fn refusal(directory: &std::path::Path, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = migrate_command(directory, &[&["history"], arguments].concat());
    let output = command.envs(variables.iter().copied()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    text(&output.stderr)
}

#[test]
fn a_message_about_a_connection_names_the_setting_that_was_given_and_no_other() {
    let directory = scratch("named");
    std::fs::write(directory.join("l.properties"), "url: jdbc:postgresql://127.0.0.1:1/d\n").unwrap();
    let here = Database::new().url();
    let (nobody, nothing) = (format!("{here}?user=nobody-of-that-name"), format!("{here}_not"));
    let configured = "postgres.url=postgres://127.0.0.1:1/d";
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
    let cases: [Case<'_>; 6] = [
        (&["--url=jdbc:postgresql://127.0.0.1:1/d"], &[], "correct --url"),
        (&["--defaults-file=l.properties"], &[], "correct url in l.properties"),
        (&[], &[("LIQUIBASE_COMMAND_URL", "postgres://u@127.0.0.1:1/d")], "correct $LIQUIBASE_COMMAND_URL"),
        (&["--url", &nobody], &[], "Correct --url and $LIQUIBASE_COMMAND_PASSWORD"),
        (&["--url", &nothing, "--username=postgres"], &[], "Create it or correct --url"),
        (
            &["--data-dir=data", "--set", "postgres.connect_timeout=1s", "--set", configured],
            &[],
            "correct postgres.url",
        ),
    ];
    for (arguments, variables, expected) in cases {
        let message = refusal(&directory, arguments, variables);
        assert!(message.contains(expected), "{arguments:?}: {message}");
        assert!(!message.contains("postgres.host") && !message.contains("within 0"), "{arguments:?}: {message}");
    }
}

#[test]
fn the_changelog_of_the_configuration_is_applied() {
    let (database, directory) = (Database::new(), scratch("configured"));
    std::fs::write(directory.join("log.xml"), LOG.replace("${name}", "always")).unwrap();
    let config = format!(
        "{}migrations: {{ changelog: log.xml, search_path: {}, contexts: \"test, other\", labels: \"!slow\" }}\n",
        database.section(),
        directory.display()
    );
    std::fs::write(directory.join("config.yaml"), config).unwrap();
    // The scratch directory is readable for the user that the appliance switches to when it runs as root.
    let output = migrate_command(&directory, &["update", "--config", "config.yaml", "--data-dir"])
        .arg(directory.join("data"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(tables(&database), "always calendar_days employees record_changes", "the appliance's tables follow");
    let own = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/appliance")).unwrap().count();
    let applied = database.run("SELECT count(*) FROM attendance_api.refinery_schema_history");
    assert_eq!(applied.trim(), own.to_string());
}

const TABLE: &str = r#"<databaseChangeLog xmlns="http://www.liquibase.org/xml/ns/dbchangelog">
  <changeSet id="1" author="me"><createTable tableName="t"><column name="id" type="int"/></createTable></changeSet>
</databaseChangeLog>"#;

/// All tables outside of the system schemas.
fn qualified_tables(database: &Database) -> String {
    let found = database.run(
        "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') \
         ORDER BY 1",
    );
    found.split_whitespace().collect::<Vec<_>>().join(" ")
}

const IN_FOO: &str = "foo.databasechangelog foo.databasechangeloglock foo.t";
const HISTORY_IN_FOO: &str = "foo.databasechangelog foo.databasechangeloglock public.t";
const OTHER_LOG: &str = "public.databasechangeloglock public.foo public.t";

/// A database with the schema `foo`, and an update with a defaults file, variables and arguments.
fn update(
    name: &str,
    file: &str,
    variables: &[(&str, &str)],
    arguments: &[&str],
    parameters: &str,
) -> (Database, String) {
    let (database, directory) = (Database::new(), scratch(name));
    database.run("CREATE SCHEMA foo");
    std::fs::write(directory.join("log.xml"), TABLE).unwrap();
    std::fs::write(directory.join("liquibase.properties"), file).unwrap();
    let url = format!("--url={}{parameters}", database.url());
    let arguments = [&["--username=postgres", "--changelog-file=log.xml", &url], arguments, &["update"]].concat();
    let output = migrate_command(&directory, &arguments).envs(variables.iter().copied()).output().unwrap();
    (database, format!("{} {}", output.status.success(), text(&output.stderr)))
}

#[test]
fn settings_that_name_a_schema_or_a_table_are_obeyed_in_every_spelling() {
    for (key, expected) in [
        ("defaultSchemaName", IN_FOO),
        ("default-schema-name", IN_FOO),
        ("liquibase.command.defaultSchemaName", IN_FOO),
        ("liquibase.command.update.defaultSchemaName", IN_FOO),
        ("liquibaseSchemaName", HISTORY_IN_FOO),
        ("liquibase.liquibaseSchemaName", HISTORY_IN_FOO),
        ("databaseChangeLogTableName", OTHER_LOG),
        ("liquibase.databaseChangelogTableName", OTHER_LOG),
        ("databaseChangeLogLockTableName", "public.databasechangelog public.foo public.t"),
    ] {
        let (database, output) = update("location-file", &format!("{key}=foo\n"), &[], &[], "");
        assert_eq!(qualified_tables(&database), expected, "{key}: {output}");
    }
    for (variable, expected) in [
        ("LIQUIBASE_COMMAND_DEFAULT_SCHEMA_NAME", IN_FOO),
        ("LIQUIBASE_COMMAND_UPDATE_DEFAULT_SCHEMA_NAME", IN_FOO),
        ("LIQUIBASE_LIQUIBASE_SCHEMA_NAME", HISTORY_IN_FOO),
        ("LIQUIBASE_DATABASE_CHANGELOG_TABLE_NAME", OTHER_LOG),
    ] {
        let (database, output) = update("location-variable", "", &[(variable, "foo")], &[], "");
        assert_eq!(qualified_tables(&database), expected, "{variable}: {output}");
    }
    for (argument, expected) in [
        ("--default-schema-name=foo", IN_FOO),
        ("--defaultSchemaName=FOO", IN_FOO),
        ("--liquibase-schema-name=foo", HISTORY_IN_FOO),
        ("--database-changelog-table-name=Foo", OTHER_LOG),
        ("-Dliquibase.command.defaultSchemaName=foo", IN_FOO),
    ] {
        let (database, output) = update("location-option", "", &[], &[argument], "");
        assert_eq!(qualified_tables(&database), expected, "{argument}: {output}");
    }
    for parameters in
        ["?currentSchema=foo", "?currentSchema=foo,public&ApplicationName=x", "?options=-c%20search_path=foo"]
    {
        let (database, output) = update("location-url", "", &[], &[], parameters);
        assert_eq!(qualified_tables(&database), IN_FOO, "{parameters}: {output}");
    }
}

#[test]
fn the_two_tables_keep_their_names_and_schema_in_every_command() {
    let (database, directory) = (Database::new(), scratch("location-commands"));
    database.run("CREATE SCHEMA first; CREATE SCHEMA second");
    std::fs::write(directory.join("log.xml"), TABLE).unwrap();
    let run = |words: &[&str]| {
        let common = [
            "--changelog-file=log.xml",
            "--default-schema-name=first",
            "--liquibase-schema-name=second",
            "--database-changelog-table-name=Log",
            "--database-changelog-lock-table-name=LogLock",
        ];
        database.migrated(&directory, &[&common[..], words].concat())
    };
    let script = run(&["update-sql"]);
    for part in
        ["SET SEARCH_PATH TO first, ", "CREATE TABLE first.t ", "INSERT INTO second.log ", "CONSTRAINT loglock_pkey "]
    {
        assert!(script.contains(part), "{part}: {script}");
    }
    run(&["update"]);
    run(&["tag", "--tag=x"]);
    assert_eq!(qualified_tables(&database), "first.t second.log second.loglock");
    assert_eq!(database.run("SELECT tag, filename FROM second.log").trim(), "x|log.xml");
    assert!(run(&["history"]).contains("log.xml"));
    assert!(run(&["status"]).contains("is up to date"));
    assert!(run(&["list-locks"]).contains("No locks"));
    run(&["clear-checksums"]);
    run(&["update"]);
    std::fs::rename(directory.join("log.xml"), directory.join("kept.xml")).unwrap();
    run(&["generate-changelog"]);
    let generated = std::fs::read_to_string(directory.join("log.xml")).unwrap();
    assert!(generated.contains("tableName=\"t\"") && !generated.to_lowercase().contains("loglock"), "{generated}");
    std::fs::rename(directory.join("kept.xml"), directory.join("log.xml")).unwrap();
    run(&["rollback-count", "--count=1"]);
    assert_eq!(qualified_tables(&database), "second.log second.loglock");
    run(&["drop-all", "--force"]);
    assert_eq!(qualified_tables(&database), "");
}

#[test]
fn settings_that_are_not_supported_are_refused_by_their_names() {
    for (file, variable, argument, parameters, expected) in [
        ("logFile=x\n", "LIQUIBASE_X", "--log-level=off", "", "logFile in liquibase.properties"),
        ("", "LIQUIBASE_LIQUIBASE_CATALOG_NAME", "--log-level=off", "", "$LIQUIBASE_LIQUIBASE_CATALOG_NAME"),
        ("", "LIQUIBASE_X", "--changelog-parse-mode=LAX", "", "--changelog-parse-mode"),
        ("", "LIQUIBASE_X", "--log-level=off", "?prepareThreshold=0", "prepareThreshold"),
        ("", "LIQUIBASE_X", "--log-level=off", "?sslmode=allow", "sslmode"),
        ("", "LIQUIBASE_X", "--log-level=off", "?ssl=true", "TLS"),
        ("", "LIQUIBASE_X", "--log-level=off", "?sslmode=require", "TLS"),
        ("", "LIQUIBASE_X", "--log-level=off", "?readOnly=true", "read-only"),
        ("strict=true\nbogus=1\n", "LIQUIBASE_X", "--log-level=off", "", "bogus in liquibase.properties"),
        ("", "LIQUIBASE_X", "--default-schema-name=missing", "", "schema \"missing\" does not exist"),
    ] {
        let (database, output) = update("refused", file, &[(variable, "1")], &[argument], parameters);
        assert!(output.starts_with("false ") && output.contains(expected), "{expected}: {output}");
        assert_eq!(qualified_tables(&database), "", "{expected}");
    }
}

#[test]
fn unknown_settings_are_named_in_a_warning() {
    let file = "bogus=1\nliquibase.defaultSchemaName=foo\nlicenseKey=x\n";
    let (database, output) = update("unknown", file, &[("LIQUIBASE_BOGUS", "1")], &[], "");
    assert!(output.starts_with("true "), "{output}");
    for name in ["bogus in liquibase.properties", "liquibase.defaultSchemaName", "$LIQUIBASE_BOGUS", "licenseKey"] {
        assert!(output.contains(name), "{name}: {output}");
    }
    assert_eq!(qualified_tables(&database), "public.databasechangelog public.databasechangeloglock public.t");
}

#[test]
fn a_file_in_two_directories_is_refused_and_the_classpath_is_searched() {
    let (database, directory) = (Database::new(), scratch("search-path"));
    for name in ["one", "two"] {
        std::fs::create_dir_all(directory.join(name)).unwrap();
        std::fs::write(directory.join(name).join("log.xml"), TABLE).unwrap();
    }
    let update = ["--search-path=one,two", "--changelog-file=log.xml", "update"];
    let output = database.migrate(&directory, &update);
    assert!(!output.status.success() && text(&output.stderr).contains("several directories"), "{output:?}");
    database.migrated(&directory, &[&["--duplicate-file-mode=WARN"], &update[..]].concat());
    std::fs::write(directory.join("liquibase.properties"), "classpath=two:gone.jar\n").unwrap();
    let output = database.migrate(&directory, &["--changelog-file=log.xml", "update"]);
    assert!(output.status.success() && text(&output.stderr).contains("gone.jar"), "{output:?}");
}

#[test]
fn a_script_does_not_check_the_preconditions_of_the_changelog() {
    let (database, directory) = (Database::new(), scratch("root-preconditions"));
    for (option, expected) in [("", true), (" onSqlOutput=\"TEST\"", false), (" onSqlOutput=\"FAIL\"", false)] {
        let log = TABLE.replacen(
            "<changeSet",
            &format!("<preConditions{option}><dbms type=\"mssql\"/></preConditions><changeSet"),
            1,
        );
        std::fs::write(directory.join("log.xml"), log).unwrap();
        let output = database.migrate(&directory, &["--changelog-file=log.xml", "update-sql"]);
        assert_eq!(output.status.success(), expected, "{option}: {}", text(&output.stderr));
        assert!(!database.migrate(&directory, &["--changelog-file=log.xml", "update"]).status.success());
    }
}

#[test]
fn on_fail_decides_about_preconditions_that_a_script_must_not_have() {
    let (database, directory) = (Database::new(), scratch("sql-output"));
    for (on_fail, succeeds, has_table) in
        [("HALT", false, false), ("CONTINUE", true, false), ("MARK_RAN", true, false), ("WARN", true, true)]
    {
        let preconditions = format!(
            "<preConditions onSqlOutput=\"FAIL\" onFail=\"{on_fail}\"><dbms type=\"postgresql\"/></preConditions><createTable"
        );
        std::fs::write(directory.join("log.xml"), TABLE.replacen("<createTable", &preconditions, 1)).unwrap();
        let output = database.migrate(&directory, &["--changelog-file=log.xml", "update-sql"]);
        assert_eq!(output.status.success(), succeeds, "{on_fail}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout).contains("CREATE TABLE public.t "), has_table, "{on_fail}");
    }
}
