//! A run that is killed at any time leaves no changeset half done, and the next run continues after the last complete one.

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::Duration;

use crate::support::{Database, scratch, text};

const CHANGESET_COUNT: usize = 200;
const KILL_COUNT: usize = 50;

#[test]
fn after_any_number_of_kills_each_changeset_has_run_exactly_once() {
    let directory = scratch("crash-recovery");
    let mut log = String::from(
        "<databaseChangeLog xmlns=\"http://www.liquibase.org/xml/ns/dbchangelog\"><changeSet id=\"0\" author=\"k\">\
         <sql>CREATE TABLE ran (id int)</sql></changeSet>",
    );
    for id in 1..CHANGESET_COUNT {
        let _ = write!(
            log,
            "<changeSet id=\"{id}\" author=\"k\"><sql>INSERT INTO ran VALUES ({id}); CREATE TABLE t{id} (id int)</sql></changeSet>"
        );
    }
    std::fs::write(directory.join("log.xml"), log + "</databaseChangeLog>").unwrap();
    let mut kills = 0;
    while kills < KILL_COUNT {
        let database = Database::new();
        kills += until_complete(&database, &directory, KILL_COUNT - kills);
        let ran = database.run("SELECT count(*), count(DISTINCT id) FROM ran");
        assert_eq!(ran.trim(), format!("{0}|{0}", CHANGESET_COUNT - 1));
        assert_eq!(
            database
                .run("SELECT count(*), count(DISTINCT id), count(DISTINCT orderexecuted) FROM databasechangelog")
                .trim(),
            "200|200|200"
        );
        assert_eq!(database.run("SELECT locked, lockedby FROM databasechangeloglock").trim(), "f|");
    }
}

/// Starts updates, and kills them at random times, until one completes. Returns how often it killed.
fn until_complete(database: &Database, directory: &std::path::Path, max_kills: usize) -> usize {
    let mut kills = 0;
    loop {
        let mut command = database.command(directory, &["--changelog-file=log.xml", "update"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        if kills < max_kills {
            std::thread::sleep(random_delay());
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
                continue;
            }
        }
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "after {kills} kills: {}", text(&output.stderr));
        return kills;
    }
}

/// A random time from the start of a run to about its end.
fn random_delay() -> Duration {
    let mut random = [0; 1];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut random).unwrap();
    Duration::from_millis(u64::from(random[0]))
}
