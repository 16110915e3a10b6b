//! Commands that no recording covers, on a small changelog.

use std::path::{Path, PathBuf};

use crate::support::{Database, scratch, text};

const LOG: &str = r#"<databaseChangeLog xmlns="http://www.liquibase.org/xml/ns/dbchangelog">
  <changeSet id="1" author="me"><createTable tableName="one"><column name="id" type="int"><constraints primaryKey="true"/></column></createTable></changeSet>
  <changeSet id="2" author="me"><createTable tableName="two"><column name="id" type="int"/></createTable></changeSet>
  <changeSet id="3" author="me"><tagDatabase tag="half"/></changeSet>
  <changeSet id="4" author="me"><createTable tableName="four"><column name="id" type="int"/></createTable></changeSet>
</databaseChangeLog>"#;

fn directory_with_log(name: &str) -> PathBuf {
    let directory = scratch(name);
    std::fs::write(directory.join("log.xml"), LOG).unwrap();
    directory
}

fn ids(database: &Database) -> String {
    database
        .run("SELECT id FROM databasechangelog ORDER BY orderexecuted")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn with_changelog_option<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["--changelog-file=log.xml"][..], words].concat()
}

fn run(database: &Database, directory: &Path, words: &[&str]) -> String {
    database.migrated(directory, &with_changelog_option(words))
}

#[test]
fn an_update_stops_at_a_count_or_a_tag() {
    let (database, directory) = (Database::new(), directory_with_log("bounds"));
    run(&database, &directory, &["update-count", "--count=1"]);
    assert_eq!(ids(&database), "1");
    run(&database, &directory, &["update-to-tag", "--tag=half"]);
    assert_eq!(ids(&database), "1 2 3");
    run(&database, &directory, &["update-to-tag", "--tag=half"]);
    assert_eq!(ids(&database), "1 2 3", "the history already has the tag");
    assert!(run(&database, &directory, &["status", "--verbose"]).contains("     log.xml::4::me\n"));
    run(&database, &directory, &["update"]);
    run(&database, &directory, &["rollback", "--tag=half"]);
    assert_eq!(ids(&database), "1 2");
}

#[test]
fn a_rollback_to_a_date_undoes_only_what_ran_later() {
    let (database, directory) = (Database::new(), directory_with_log("date"));
    run(&database, &directory, &["update-count", "--count=2"]);
    database.run("UPDATE databasechangelog SET dateexecuted = '2020-01-01 10:00:00'");
    run(&database, &directory, &["update"]);
    let script = run(&database, &directory, &["rollback-to-date-sql", "--date=2020-01-01T10:00:00"]);
    assert!(script.contains("DROP TABLE public.four;") && !script.contains("DROP TABLE public.two;"), "{script}");
    run(&database, &directory, &["rollback-to-date", "--date=2020-01-01T10:00:00"]);
    assert_eq!(ids(&database), "1 2");
    run(&database, &directory, &["rollback-to-date", "--date=2019-12-31"]);
    assert_eq!(ids(&database), "");
}

#[test]
fn update_testing_rollback_runs_every_changeset_twice() {
    let (database, directory) = (Database::new(), directory_with_log("testing"));
    let output = database.migrate(&directory, &with_changelog_option(&["update-testing-rollback"]));
    assert!(output.status.success());
    let stderr = text(&output.stderr);
    assert_eq!(stderr.matches("Running Changeset: log.xml::1::me").count(), 2, "{stderr}");
    assert_eq!(stderr.matches("Rolling Back Changeset: log.xml::1::me").count(), 1, "{stderr}");
    assert_eq!(ids(&database), "1 2 3 4");
}

#[test]
fn changelog_sync_records_changesets_without_running_them() {
    let (database, directory) = (Database::new(), directory_with_log("record"));
    run(&database, &directory, &["mark-next-changeset-ran"]);
    assert_eq!(ids(&database), "1");
    let script = run(&database, &directory, &["changelog-sync-to-tag-sql", "--tag=half"]);
    assert!(!script.contains("CREATE TABLE public.two"), "{script}");
    database.script(&script);
    assert_eq!(ids(&database), "1 2 3");
    run(&database, &directory, &["changelog-sync"]);
    assert_eq!(ids(&database), "1 2 3 4");
    assert_eq!(database.schema(), "");
}

#[test]
fn calculate_checksum_prints_the_stored_checksum() {
    let (database, directory) = (Database::new(), directory_with_log("sum"));
    run(&database, &directory, &["update-count", "--count=1"]);
    let sum = run(&database, &directory, &["calculate-checksum", "--changeset-identifier=log.xml::1::me"]);
    assert_eq!(sum.trim(), database.run("SELECT md5sum FROM databasechangelog").trim());
    let unknown = database
        .migrate(&directory, &with_changelog_option(&["calculate-checksum", "--changeset-identifier=log.xml::9::me"]));
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("log.xml::9::me"));
}

#[test]
fn an_empty_history_can_be_tagged() {
    let (database, directory) = (Database::new(), directory_with_log("empty-tag"));
    database.migrated(&directory, &["tag", "--tag=start"]);
    let stderr = text(&database.migrate(&directory, &["tag-exists", "--tag=START"]).stderr);
    assert!(stderr.contains("already exists"), "{stderr}");
    let stderr = text(&database.migrate(&directory, &["tag-exists", "--tag=other"]).stderr);
    assert!(stderr.contains("does not exist"), "{stderr}");
}

#[test]
fn a_lock_of_another_program_is_named_listed_and_released() {
    let (database, directory) = (Database::new(), directory_with_log("foreign"));
    run(&database, &directory, &["update-count", "--count=1"]);
    database.run(
        "UPDATE databasechangeloglock SET locked = TRUE, lockedby = 'somehost (10.0.0.9)', lockgranted = '2026-01-02 03:04:05'",
    );
    let refused =
        database.migrate(&directory, &with_changelog_option(&["--changelog-lock-wait-time-in-minutes=0", "update"]));
    assert_eq!(refused.status.code(), Some(1));
    let stderr = text(&refused.stderr);
    assert!(stderr.contains("Currently locked by somehost (10.0.0.9) since 2026-01-02"), "{stderr}");
    assert!(
        database.migrated(&directory, &["list-locks"]).ends_with(" - somehost (10.0.0.9) at Jan 2, 2026, 3:04:05 AM\n")
    );
    database.migrated(&directory, &["release-locks"]);
    run(&database, &directory, &["update"]);
    assert_eq!(ids(&database), "1 2 3 4");
}

#[test]
fn a_lock_left_by_a_killed_process_is_taken_over() {
    let (database, directory) = (Database::new(), directory_with_log("heals"));
    run(&database, &directory, &["update-count", "--count=1"]);
    database.run("UPDATE databasechangeloglock SET locked = TRUE, lockedby = 'h#liquibase-compat-1 (10.0.0.9)', lockgranted = now()");
    run(&database, &directory, &["update"]);
    assert_eq!(database.run("SELECT locked FROM databasechangeloglock").trim(), "f");
}

#[test]
fn drop_all_leaves_nothing_and_may_require_force() {
    let (database, directory) = (Database::new(), directory_with_log("drop"));
    run(&database, &directory, &["update"]);
    database
        .run("CREATE VIEW v AS SELECT * FROM one; CREATE SEQUENCE s; CREATE MATERIALIZED VIEW m AS SELECT * FROM v");
    let refused = database.migrate(&directory, &["drop-all", "--require-force"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(ids(&database), "1 2 3 4");
    database.migrated(&directory, &["drop-all", "--require-force=true", "--force=true"]);
    assert_eq!(database.schema(), "");
    assert!(!database.has_history());
}

#[test]
fn a_generated_changelog_makes_the_same_schema() {
    let (database, directory) = (Database::new(), directory_with_log("generate"));
    database.run(
        "CREATE SEQUENCE numbers START 7 INCREMENT 3;
         CREATE TABLE parent (id integer GENERATED BY DEFAULT AS IDENTITY, name varchar(40) DEFAULT 'x' NOT NULL, UNIQUE (name), PRIMARY KEY (id));
         CREATE TABLE child (a bigint, b integer, at timestamp DEFAULT now(), PRIMARY KEY (a, b),
           CONSTRAINT child_parent FOREIGN KEY (b) REFERENCES parent (id) ON DELETE CASCADE);
         CREATE TABLE \"Various\" (\"Id\" bigint GENERATED ALWAYS AS IDENTITY (START WITH 5 INCREMENT BY 2), a integer,
           twice integer GENERATED ALWAYS AS (a * 2) STORED, sums double precision[], prices numeric(10, 2)[], times time[][], codes varchar(5)[],
           span interval day to second, CONSTRAINT various_key PRIMARY KEY (\"Id\") DEFERRABLE INITIALLY DEFERRED,
           CONSTRAINT various_a UNIQUE (a) DEFERRABLE);
         CREATE INDEX name_pattern ON parent (name varchar_pattern_ops); CREATE INDEX name_c ON parent (name COLLATE \"C\");
         CREATE INDEX a_nulls ON \"Various\" (a DESC NULLS LAST); CREATE INDEX a_filled ON \"Various\" (a) WITH (fillfactor = 70);
         CREATE INDEX a_expression ON \"Various\" ((a + 1), \"Id\" DESC);
         CREATE INDEX child_at ON child (at DESC, b); CREATE UNIQUE INDEX child_some ON child (a) WHERE b > 1;
         CREATE VIEW names AS SELECT name FROM parent WHERE id > 3; COMMENT ON TABLE child IS 'it''s a <child>'",
    );
    for file in ["generated.xml", "generated.yaml", "generated.json", "generated.sql"] {
        let argument = format!("--changelog-file={file}");
        database.migrated(&directory, &[&argument, "generate-changelog"]);
        let again = database.migrate(&directory, &[&argument, "generate-changelog"]);
        assert_eq!(again.status.code(), Some(1), "an existing file is not overwritten");
        let copy = Database::new();
        copy.migrated(&directory, &[&argument, "update"]);
        assert_eq!(copy.schema(), database.schema(), "{file}");
    }
}
