//! Only one program migrates a database at a time.

use std::time::Duration;

use liquibase_compat::{Changelog, Error, Lock, LockOptions, Options, Report, UpdateTarget, check_up_to_date};

use crate::embedded_changelog::CHANGESETS;
use crate::support::{Database, log, records};

fn short_wait() -> LockOptions {
    LockOptions::default().with_timeout(Duration::from_millis(300)).with_max_backoff(Duration::from_millis(50))
}

async fn with_lock_row(locked_by: &str) -> Database {
    let database = Database::new().await;
    database.update(&log("")).await.unwrap();
    let sql = format!(
        "UPDATE databasechangeloglock SET locked = TRUE, lockedby = '{locked_by}', lockgranted = '2026-01-02 03:04:05'"
    );
    database.run(&sql).await;
    database
}

#[tokio::test]
async fn a_row_left_by_a_killed_process_is_taken_over() {
    let database = with_lock_row("gone#liquibase-compat-123 (10.0.0.9)").await;
    assert_eq!(database.update(&records()).await.unwrap().run_count(), CHANGESETS);
    assert_eq!(database.rows("SELECT * FROM databasechangeloglock").await, ["1|false|-|-"]);
}

#[tokio::test]
async fn a_row_left_after_the_last_changeset_is_released_although_nothing_is_pending() {
    let database = with_lock_row("gone#liquibase-compat-123 (10.0.0.9)").await;
    assert_eq!(database.update(&log("")).await.unwrap().run_count(), 0);
    assert_eq!(database.rows("SELECT * FROM databasechangeloglock").await, ["1|false|-|-"]);
}

#[tokio::test]
async fn a_run_waits_for_the_lock_of_another_program_and_names_it() {
    let database = with_lock_row("otherhost (10.0.0.9)").await;
    let mut client = database.connect().await;
    let mut lock = Lock::acquire(&mut client, &short_wait()).await.unwrap();
    let error = liquibase_compat::update(&mut lock, &records(), &Default::default()).await.unwrap_err();
    let Error::Locked { holder, since, .. } = &error else { panic!("{error}") };
    assert_eq!((holder.as_str(), since.as_str()), ("otherhost (10.0.0.9)", "2026-01-02 03:04:05"));
    assert_eq!(database.rows("SELECT lockedby FROM databasechangeloglock").await, ["otherhost (10.0.0.9)"]);
    // After the release, the next attempt succeeds.
    database.run("UPDATE databasechangeloglock SET locked = FALSE, lockedby = NULL, lockgranted = NULL").await;
    assert_eq!(
        liquibase_compat::update(&mut lock, &records(), &Default::default()).await.unwrap().run_count(),
        CHANGESETS
    );
    lock.release().await.unwrap();
}

#[tokio::test]
async fn the_lock_of_another_program_does_not_matter_when_nothing_is_pending() {
    let database = with_lock_row("otherhost (10.0.0.9)").await;
    assert_eq!(database.update(&log("")).await.unwrap().run_count(), 0);
}

/// What the check without a lock says.
async fn checked(database: &Database, changelog: &Changelog) -> Option<Report> {
    let client = database.connect().await;
    check_up_to_date(&client, changelog, &Options::default(), &UpdateTarget::All).await.unwrap()
}

#[tokio::test]
async fn that_nothing_is_pending_is_found_out_while_another_session_holds_the_lock() {
    let database = Database::new().await;
    assert!(checked(&database, &records()).await.is_none(), "there are no tables");
    assert_eq!(database.rows("SELECT to_regclass('databasechangeloglock')").await, ["-"]);
    database.update(&records()).await.unwrap();
    let mut client = database.connect().await;
    let lock = Lock::acquire(&mut client, &short_wait()).await.unwrap();
    let report = checked(&database, &records()).await.unwrap();
    assert_eq!((report.run_count(), report.previously_run), (0, CHANGESETS));
    database.run("UPDATE databasechangeloglock SET locked = TRUE, lockedby = 'otherhost (10.0.0.9)'").await;
    assert!(checked(&database, &records()).await.is_some());
    lock.release().await.unwrap();
}

#[tokio::test]
async fn what_needs_the_lock_is_not_decided_without_it() {
    let set = "<changeSet id='1' author='a'><sql>select 1</sql></changeSet>";
    let precondition = "<preConditions><dbms type='postgresql'/></preConditions>";
    for (changelog, sql) in [
        (format!("{set}{}", set.replace("id='1'", "id='2'")), ""),
        (set.replace("select 1", "select 2"), ""),
        (format!("{precondition}{set}"), ""),
        (set.to_owned(), "UPDATE databasechangelog SET md5sum = NULL"),
        (set.to_owned(), "UPDATE databasechangelog SET md5sum = '8:0'"),
        (set.to_owned(), "ALTER TABLE databasechangelog DROP COLUMN labels"),
        (set.to_owned(), "ALTER TABLE databasechangelog ALTER COLUMN contexts TYPE varchar(100)"),
        (set.to_owned(), "DELETE FROM databasechangeloglock"),
        (set.to_owned(), "DROP TABLE databasechangeloglock"),
        (
            set.to_owned(),
            "UPDATE databasechangeloglock SET locked = TRUE, lockedby = 'h#liquibase-compat-1 (10.0.0.9)'",
        ),
    ] {
        let database = Database::new().await;
        database.update(&log(set)).await.unwrap();
        assert!(checked(&database, &log(set)).await.is_some());
        database.run(sql).await;
        assert!(checked(&database, &log(&changelog)).await.is_none(), "{changelog} {sql}");
    }
}

#[tokio::test]
async fn a_second_run_waits_and_names_the_session_that_holds_the_lock() {
    let database = Database::new().await;
    let (mut one, mut other) = (database.connect().await, database.connect().await);
    let held = Lock::acquire(&mut one, &short_wait()).await.unwrap();
    let error = Lock::acquire(&mut other, &short_wait()).await.unwrap_err();
    let Error::Locked { holder, .. } = &error else { panic!("{error}") };
    assert!(holder.contains("database session") && holder.contains("of postgres"), "{holder}");
    held.release().await.unwrap();
    Lock::acquire(&mut other, &short_wait()).await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn the_lock_is_released_when_its_connection_closes() {
    let database = Database::new().await;
    let mut one = database.connect().await;
    // It is not released, as if the process had been killed.
    let _ = Lock::acquire(&mut one, &short_wait()).await.unwrap();
    drop(one);
    let options =
        LockOptions::default().with_timeout(Duration::from_secs(30)).with_max_backoff(Duration::from_millis(20));
    let mut other = database.connect().await;
    Lock::acquire(&mut other, &options).await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn a_lock_in_a_transaction_of_a_second_connection_excludes_both_kinds_until_it_is_released_or_dropped() {
    let database = Database::new().await;
    let (mut one, mut other) = (database.connect().await, database.connect().await);
    let patient = LockOptions::default().with_max_backoff(Duration::from_millis(20));
    for is_released in [true, false] {
        let mut held = Lock::acquire_beside(&mut one, database.connect().await, &short_wait()).await.unwrap();
        let error = Lock::acquire(&mut other, &short_wait()).await.unwrap_err();
        assert!(matches!(&error, Error::Locked { holder, .. } if holder.contains("database session")), "{error}");
        let error = Lock::acquire_beside(&mut other, database.connect().await, &short_wait()).await.unwrap_err();
        assert!(matches!(error, Error::Locked { .. }), "{error}");
        liquibase_compat::update(&mut held, &records(), &Default::default()).await.unwrap();
        if is_released {
            held.release().await.unwrap();
        } else {
            drop(held);
        }
        Lock::acquire(&mut other, &patient).await.unwrap().release().await.unwrap();
    }
    assert_eq!(database.rows("SELECT count(*) FROM databasechangelog").await, [CHANGESETS.to_string()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_concurrent_updates_one_runs_and_the_others_find_nothing_pending() {
    let database = std::sync::Arc::new(Database::new().await);
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let database = database.clone();
        running.spawn(async move { database.update(&records()).await.map(|report| report.run_count()) });
    }
    let mut runs: Vec<usize> = running.join_all().await.into_iter().map(Result::unwrap).collect();
    runs.sort_unstable();
    assert_eq!(runs, [0, 0, 0, 0, CHANGESETS]);
    assert_eq!(
        database.rows("SELECT count(*), count(DISTINCT id) FROM databasechangelog").await,
        [format!("{CHANGESETS}|{CHANGESETS}")]
    );
    assert_eq!(database.rows("SELECT * FROM databasechangeloglock").await, ["1|false|-|-"]);
}
