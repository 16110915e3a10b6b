//! Commands that the recordings do not cover, each on a small changelog.

use std::path::{Path, PathBuf};

use crate::support::{Database, scratch, text};

const LOG: &str = r#"<databaseChangeLog xmlns="http://www.liquibase.org/xml/ns/dbchangelog">
  <changeSet id="1" author="me"><createTable tableName="one"><column name="id" type="int"><constraints primaryKey="true"/></column></createTable></changeSet>
  <changeSet id="2" author="me"><createTable tableName="two"><column name="id" type="int"/></createTable></changeSet>
  <changeSet id="3" author="me"><tagDatabase tag="half"/></changeSet>
  <changeSet id="4" author="me"><createTable tableName="four"><column name="id" type="int"/></createTable></changeSet>
</databaseChangeLog>"#;

fn log(name: &str) -> PathBuf {
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

fn with_log<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["--changelog-file=log.xml"][..], words].concat()
}

fn does(database: &Database, directory: &Path, words: &[&str]) -> String {
    database.migrated(directory, &with_log(words))
}

#[test]
fn counts_and_tags_bound_an_update() {
    let (database, directory) = (Database::new(), log("bounds"));
    does(&database, &directory, &["update-count", "--count=1"]);
    assert_eq!(ids(&database), "1");
    does(&database, &directory, &["update-to-tag", "--tag=half"]);
    assert_eq!(ids(&database), "1 2 3");
    does(&database, &directory, &["update-to-tag", "--tag=half"]);
    assert_eq!(ids(&database), "1 2 3", "the tag is reached");
    assert!(does(&database, &directory, &["status", "--verbose"]).contains("     log.xml::4::me\n"));
    does(&database, &directory, &["update"]);
    does(&database, &directory, &["rollback", "--tag=half"]);
    assert_eq!(ids(&database), "1 2");
}

#[test]
fn what_has_been_run_can_be_rolled_back_to_a_date() {
    let (database, directory) = (Database::new(), log("date"));
    does(&database, &directory, &["update-count", "--count=2"]);
    database.run("UPDATE databasechangelog SET dateexecuted = '2020-01-01 10:00:00'");
    does(&database, &directory, &["update"]);
    let script = does(&database, &directory, &["rollback-to-date-sql", "--date=2020-01-01T10:00:00"]);
    assert!(script.contains("DROP TABLE public.four;") && !script.contains("DROP TABLE public.two;"), "{script}");
    does(&database, &directory, &["rollback-to-date", "--date=2020-01-01T10:00:00"]);
    assert_eq!(ids(&database), "1 2");
    does(&database, &directory, &["rollback-to-date", "--date=2019-12-31"]);
    assert_eq!(ids(&database), "");
}

#[test]
fn an_update_can_test_its_rollback() {
    let (database, directory) = (Database::new(), log("testing"));
    let output = database.migrate(&directory, &with_log(&["update-testing-rollback"]));
    assert!(output.status.success());
    let told = text(&output.stderr);
    assert_eq!(told.matches("Running Changeset: log.xml::1::me").count(), 2, "{told}");
    assert_eq!(told.matches("Rolling Back Changeset: log.xml::1::me").count(), 1, "{told}");
    assert_eq!(ids(&database), "1 2 3 4");
}

#[test]
fn changesets_can_be_recorded_without_being_run() {
    let (database, directory) = (Database::new(), log("record"));
    does(&database, &directory, &["mark-next-changeset-ran"]);
    assert_eq!(ids(&database), "1");
    let script = does(&database, &directory, &["changelog-sync-to-tag-sql", "--tag=half"]);
    assert!(!script.contains("CREATE TABLE public.two"), "{script}");
    database.script(&script);
    assert_eq!(ids(&database), "1 2 3");
    does(&database, &directory, &["changelog-sync"]);
    assert_eq!(ids(&database), "1 2 3 4");
    assert_eq!(database.schema(), "");
}

#[test]
fn a_checksum_can_be_asked_for_and_is_the_one_that_is_stored() {
    let (database, directory) = (Database::new(), log("sum"));
    does(&database, &directory, &["update-count", "--count=1"]);
    let sum = does(&database, &directory, &["calculate-checksum", "--changeset-identifier=log.xml::1::me"]);
    assert_eq!(sum.trim(), database.run("SELECT md5sum FROM databasechangelog").trim());
    let unknown =
        database.migrate(&directory, &with_log(&["calculate-checksum", "--changeset-identifier=log.xml::9::me"]));
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("log.xml::9::me"));
}

#[test]
fn an_empty_history_can_be_tagged() {
    let (database, directory) = (Database::new(), log("empty-tag"));
    database.migrated(&directory, &["tag", "--tag=start"]);
    let told = text(&database.migrate(&directory, &["tag-exists", "--tag=START"]).stderr);
    assert!(told.contains("already exists"), "{told}");
    let told = text(&database.migrate(&directory, &["tag-exists", "--tag=other"]).stderr);
    assert!(told.contains("does not exist"), "{told}");
}

#[test]
fn a_foreign_lock_is_named_listed_and_released() {
    let (database, directory) = (Database::new(), log("foreign"));
    does(&database, &directory, &["update-count", "--count=1"]);
    database.run(
        "UPDATE databasechangeloglock SET locked = TRUE, lockedby = 'somehost (10.0.0.9)', lockgranted = '2026-01-02 03:04:05'",
    );
    let refused = database.migrate(&directory, &with_log(&["--changelog-lock-wait-time-in-minutes=0", "update"]));
    assert_eq!(refused.status.code(), Some(1));
    let told = text(&refused.stderr);
    assert!(told.contains("Currently locked by somehost (10.0.0.9) since 2026-01-02"), "{told}");
    assert!(
        database.migrated(&directory, &["list-locks"]).ends_with(" - somehost (10.0.0.9) at Jan 2, 2026, 3:04:05 AM\n")
    );
    database.migrated(&directory, &["release-locks"]);
    does(&database, &directory, &["update"]);
    assert_eq!(ids(&database), "1 2 3 4");
}

#[test]
fn a_lock_left_by_a_process_of_ours_heals() {
    let (database, directory) = (Database::new(), log("heals"));
    does(&database, &directory, &["update-count", "--count=1"]);
    database.run("UPDATE databasechangeloglock SET locked = TRUE, lockedby = 'h#liquibase-compat-1 (10.0.0.9)', lockgranted = now()");
    does(&database, &directory, &["update"]);
    assert_eq!(database.run("SELECT locked FROM databasechangeloglock").trim(), "f");
}

#[test]
fn drop_all_leaves_nothing_and_can_be_made_to_insist() {
    let (database, directory) = (Database::new(), log("drop"));
    does(&database, &directory, &["update"]);
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
    let (database, directory) = (Database::new(), log("generate"));
    database.run(
        "CREATE SEQUENCE numbers START 7 INCREMENT 3;
         CREATE TABLE parent (id integer GENERATED BY DEFAULT AS IDENTITY, name varchar(40) DEFAULT 'x' NOT NULL, UNIQUE (name), PRIMARY KEY (id));
         CREATE TABLE child (a bigint, b integer, at timestamp DEFAULT now(), PRIMARY KEY (a, b),
           CONSTRAINT child_parent FOREIGN KEY (b) REFERENCES parent (id) ON DELETE CASCADE);
         CREATE INDEX child_at ON child (at DESC, b); CREATE UNIQUE INDEX child_some ON child (a) WHERE b > 1;
         CREATE VIEW names AS SELECT name FROM parent WHERE id > 3; COMMENT ON TABLE child IS 'it''s a <child>'",
    );
    for file in ["generated.xml", "generated.yaml", "generated.json", "generated.sql"] {
        let argument = format!("--changelog-file={file}");
        database.migrated(&directory, &[&argument, "generate-changelog"]);
        let again = database.migrate(&directory, &[&argument, "generate-changelog"]);
        assert_eq!(again.status.code(), Some(1), "a file is not written over");
        let copy = Database::new();
        copy.migrated(&directory, &[&argument, "update"]);
        assert_eq!(copy.schema(), database.schema(), "{file}");
    }
}
