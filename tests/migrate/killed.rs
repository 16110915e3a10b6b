//! A run that is killed at any moment leaves nothing half-done, and the next one goes on where it ended.

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::Duration;

use crate::support::{Database, scratch, text};

const CHANGESETS: usize = 200;
const KILLS: usize = 50;

#[test]
fn killed_again_and_again_a_run_ends_complete_and_once() {
    let directory = scratch("killed");
    let mut log = String::from(
        "<databaseChangeLog xmlns=\"http://www.liquibase.org/xml/ns/dbchangelog\"><changeSet id=\"0\" author=\"k\">\
         <sql>CREATE TABLE ran (id int)</sql></changeSet>",
    );
    for id in 1..CHANGESETS {
        let _ = write!(
            log,
            "<changeSet id=\"{id}\" author=\"k\"><sql>INSERT INTO ran VALUES ({id}); CREATE TABLE t{id} (id int)</sql></changeSet>"
        );
    }
    std::fs::write(directory.join("log.xml"), log + "</databaseChangeLog>").unwrap();
    let mut kills = 0;
    while kills < KILLS {
        let database = Database::new();
        kills += until_complete(&database, &directory, KILLS - kills);
        let ran = database.run("SELECT count(*), count(DISTINCT id) FROM ran");
        assert_eq!(ran.trim(), format!("{0}|{0}", CHANGESETS - 1));
        assert_eq!(
            database
                .run("SELECT count(*), count(DISTINCT id), count(DISTINCT orderexecuted) FROM databasechangelog")
                .trim(),
            "200|200|200"
        );
        assert_eq!(database.run("SELECT locked, lockedby FROM databasechangeloglock").trim(), "f|");
    }
}

/// Updates and kills until an update gets through; how often it was killed.
fn until_complete(database: &Database, directory: &std::path::Path, most: usize) -> usize {
    let mut kills = 0;
    loop {
        let mut command = database.command(directory, &["--changelog-file=log.xml", "update"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        if kills < most {
            std::thread::sleep(moment());
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

/// Some moment of a run, from its very start.
fn moment() -> Duration {
    let mut random = [0; 1];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut random).unwrap();
    Duration::from_millis(u64::from(random[0]))
}
