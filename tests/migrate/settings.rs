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
    assert_eq!(tables(&database), "always");
    assert_eq!(database.run("SELECT count(*) FROM attendance_api.refinery_schema_history").trim(), "1");
}
