//! The backup that the first start of a newer version makes before it changes the schema, when the package has made none.

use std::fs;
use std::path::Path;

use super::schedule::{names, write};
use super::{add_records, all, appliance_with, run};
use crate::support::{Appliance, PgBouncer, PoolMode, Scratch, Sql, shared_postgres};

const NEWEST_MIGRATION: &str = include_str!("../../../migrations/appliance/V2__access.sql");

/// Makes the database that of an older version, which did not have the newest migration.
fn make_older(sql: &Sql) {
    for kind in ["TABLE", "FUNCTION"] {
        let made = NEWEST_MIGRATION.lines().filter_map(|line| line.strip_prefix(&format!("CREATE {kind} ")));
        for name in made.filter_map(|rest| rest.split([' ', '(']).next()) {
            sql.run(&format!("DROP {kind} {name} CASCADE"));
        }
    }
    sql.run("DELETE FROM attendance_api.refinery_schema_history WHERE version > 1");
    sql.run("UPDATE attendance_api.versions SET version = '0.0.9'");
}

/// Forgets which version has migrated the database, which is noted beside it.
fn forget_version(data: &Path) {
    write(&data.join("operate/state.json"), "{}");
}

const TABLES: &str =
    "SELECT count(*) FROM pg_class WHERE relnamespace = 'attendance_api'::regnamespace AND relname = 'accounts'";

#[test]
fn the_first_start_of_a_newer_version_makes_a_backup_before_it_changes_the_schema() {
    let mut appliance = appliance_with(3);
    let data = appliance.data();
    let before = all(&appliance);
    make_older(&appliance.sql());
    assert_eq!(appliance.sql().value(TABLES), "0");
    appliance.stop();
    forget_version(&data);
    appliance.start_again();
    assert_eq!(appliance.sql().value(TABLES), "1");
    let line = appliance.wait_log("the backup", |line| line["message"] == "the backup before the upgrade is complete");
    let file = line["file"].as_str().unwrap().to_owned();
    assert!(file.ends_with("-before-upgrade.tar"), "{file}");
    add_records(&appliance, "after", 1);

    // It has the database of the older version, also for another machine.
    let scratch = Scratch::new("before-upgrade");
    let old = scratch.path().join("data");
    run(&["restore", &file], &old).expect(0);
    let copy = Appliance::builder().data_dir(&old).config("redis: { mode: off }\n").start();
    assert_eq!(all(&copy), before);
    // A start that changes nothing makes none.
    appliance.stop();
    appliance.start_again();
    assert_eq!(names(&data.join("backups")).len(), 1);
    assert!(appliance.logged("the backup before the upgrade is complete").is_empty());
}

#[test]
fn without_that_backup_the_schema_stays_as_it_is() {
    let mut appliance = appliance_with(1);
    let data = appliance.data();
    make_older(&appliance.sql());
    appliance.stop();
    forget_version(&data);
    // A file in the place of the directory of backups.
    fs::write(data.join("backups"), "").unwrap();
    let mut refused = appliance.settings().spawn();
    assert!(!refused.wait().success());
    let output = [refused.stderr_lines(), refused.stdout_lines()].concat().join("\n");
    assert!(output.contains("/backups: Not a directory"), "{output}");
    // One that the package has made within the hour suffices; one of another age or label does not.
    fs::remove_file(data.join("backups")).unwrap();
    let made = run(&["create", "--label", "before-upgrade"], &data).expect(0);
    assert!(made.stdout.contains("before-upgrade"), "{}", made.stdout);
    appliance.start_again();
    assert!(appliance.logged("the backup before the upgrade is complete").is_empty());
    assert_eq!(appliance.sql().value(TABLES), "1");
}

/// It is not the appliance's to back up, and `pg_dump` could not use this pooler.
#[test]
fn an_external_database_behind_a_pooler_in_transaction_mode_is_upgraded_without_a_backup() {
    let (server, database) = (shared_postgres(), shared_postgres().create_database());
    let pooler = PgBouncer::start(server, PoolMode::Transaction, 4);
    let section = pooler.config(&database);
    let mut appliance = Appliance::builder().config(&section).config("redis: { mode: off }\n").start();
    add_records(&appliance, "before", 2);
    let before = all(&appliance);
    let sql = server.sql(&database);
    make_older(&sql);
    assert_eq!(sql.value(TABLES), "0");
    appliance.stop();
    forget_version(&appliance.data());
    appliance.start_again();
    assert_eq!(sql.value(TABLES), "1");
    assert_eq!(all(&appliance), before);
    assert!(!appliance.data().join("backups").exists());
}
