//! `backup: { wal: true }` and `backup restore --to`: the database of a moment.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use jiff::{SignedDuration, Timestamp};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::schedule::metric;
use super::{add_records, all, assert_nothing_is_left, back_up, kept_clusters, restore, run};
use crate::support::{
    API, Appliance, Connection, Request, Scratch, create, descendants, eventually, record, records, try_signal,
};

pub(super) const ARCHIVED: &str = "redis: { mode: off }\nbackup: { wal: true }\n";

/// An appliance with an archive whose first base is complete.
pub(super) fn archived() -> Appliance {
    let appliance = Appliance::builder().existing_cluster().config(ARCHIVED).start();
    wait_for_base(&appliance);
    appliance
}

pub(super) fn wait_for_base(appliance: &Appliance) {
    appliance.wait_log("a base backup", |line| line["message"] == "a base backup is complete");
}

/// The windows of `backup list`.
pub(super) fn windows(data: &Path) -> Vec<(Timestamp, Timestamp)> {
    let listed: Value = serde_json::from_str(&run(&["list", "--json"], data).expect(0).stdout).unwrap();
    let time = |value: &Value| value.as_str().unwrap().parse().unwrap();
    listed["base"].as_array().unwrap().iter().map(|window| (time(&window["from"]), time(&window["to"]))).collect()
}

pub(super) fn restore_to(moment: &str, data: &Path) -> String {
    run(&["restore", "--to", moment], data).expect(0).stdout
}

/// The end of the archive of an appliance has every record that the appliance has.
pub(super) fn assert_archive_is_complete(appliance: &mut Appliance) {
    let before = all(appliance);
    appliance.stop();
    restore_to("latest", &appliance.data());
    appliance.start_again();
    assert_eq!(all(appliance), before);
}

/// Restores the end of the archive of one data directory into another one.
pub(super) fn restore_elsewhere(data: &Path, target: &Path) -> String {
    let directory = format!("--set=backup.directory={}", data.join("backups").display());
    super::command(&["restore", "--to", "latest"], target).arg(&directory).finish().expect(0).stdout
}

/// The one message of a restore that fails.
fn refused(moment: &str, data: &Path) -> String {
    let run = run(&["restore", "--to", moment], data).expect(1);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    run.stderr
}

/// The files of WAL in the archive.
pub(super) fn segments(data: &Path) -> Vec<PathBuf> {
    let all = super::files(&data.join("backups/wal")).into_iter().map(|(path, _)| path);
    all.filter(|path| path.parent().is_some_and(|parent| parent.ends_with("segments"))).collect()
}

/// Removes the cluster, as a lost disk would.
fn lose_cluster(data: &Path) {
    fs::remove_dir_all(data.join("postgres/16")).unwrap();
}

#[test]
fn the_state_between_two_writes_has_exactly_the_first() {
    let mut appliance = archived();
    let data = appliance.data();
    add_records(&appliance, "first", 1);
    let between = Timestamp::now();
    let before = all(&appliance);
    add_records(&appliance, "second", 1);
    let both = all(&appliance);
    let identity = appliance.sql().value("SELECT id FROM attendance_api.identity");
    let running = run(&["restore", "--to", &between.to_string()], &data).expect(1);
    assert!(running.stderr.contains("in use by another attendance-api"), "{}", running.stderr);
    appliance.stop();

    let restored = restore_to(&between.to_string(), &data);
    assert!(restored.contains("1 record (") && restored.contains("the last change is of"), "{restored}");
    assert!(restored.contains("is kept in"), "{restored}");
    assert_nothing_is_left(&data);
    assert!(!data.join("postgres/16/recovery.signal").exists());
    let settings = fs::read_to_string(data.join("postgres/16/postgresql.auto.conf")).unwrap();
    assert!(!settings.contains("recovery") && !settings.contains("restore_command"), "{settings}");
    appliance.start_again();
    assert_eq!(all(&appliance), before);
    assert_ne!(appliance.sql().value("SELECT id FROM attendance_api.identity"), identity);
    assert_eq!(appliance.sql().value("SELECT pg_is_in_recovery()"), "f");
    create(&appliance, &record("new", "n", "s", "2023-08-01")).expect(200);

    // A restored database has a base of its own, and what was before can still be restored.
    wait_for_base(&appliance);
    let windows = windows(&data);
    assert!(windows.len() == 2 && windows[0].1 < windows[1].0, "{windows:?}");
    appliance.stop();
    restore_to(&windows[0].1.to_string(), &data);
    appliance.start_again();
    assert_eq!(all(&appliance), both);
    wait_for_base(&appliance);
    appliance.stop();
    // That moment again: the timeline of the first restore is not used a second time.
    restore_to(&between.to_string(), &data);
    appliance.start_again();
    assert_eq!(all(&appliance), before);
    assert_eq!(appliance.sql().value("SELECT timeline_id FROM pg_control_checkpoint()"), "4");
    assert_eq!(kept_clusters(&data).len(), 3);
}

#[test]
fn every_record_acknowledged_a_second_before_a_kill_is_restored_without_the_cluster() {
    let mut appliance = archived();
    let data = appliance.data();
    let (acknowledged, ended) = (Mutex::new(HashMap::new()), AtomicBool::new(false));
    let killed = thread::scope(|scope| {
        for writer in 0..8 {
            let (appliance, acknowledged, ended) = (&appliance, &acknowledged, &ended);
            scope.spawn(move || {
                for number in 0.. {
                    if ended.load(Relaxed) {
                        break;
                    }
                    let id = format!("w{writer}-{number}");
                    let begun = Timestamp::now();
                    let body = record(&id, "n", "s", "2023-08-01").to_string();
                    let request = Request::post_json(&format!("{API}/create"), body);
                    // The kill ends requests without an answer.
                    let answer = Connection::open(appliance.address()).and_then(|mut server| server.send(&request));
                    match answer {
                        Ok(response) if response.status == 200 => {}
                        _ => break,
                    }
                    acknowledged.lock().unwrap().insert(id, (begun, Timestamp::now()));
                }
            });
        }
        eventually("records are stored for three seconds", || {
            let stored = acknowledged.lock().unwrap();
            let times = || stored.values().map(|(_, end): &(Timestamp, Timestamp)| *end);
            let duration = times().max()?.duration_since(times().min()?);
            (duration > SignedDuration::from_secs(3)).then_some(())
        });
        let processes = descendants(appliance.pid());
        let killed = Timestamp::now();
        for process in &processes {
            try_signal(process.pid, Signal::SIGKILL);
        }
        try_signal(appliance.pid(), Signal::SIGKILL);
        ended.store(true, Relaxed);
        killed
    });
    appliance.kill();
    let acknowledged = acknowledged.into_inner().unwrap();
    let second_before = killed - SignedDuration::from_secs(1);
    let found = |moment: &str| {
        lose_cluster(&data);
        restore_to(moment, &data);
        let restored = Appliance::builder().data_dir(&data).config("redis: { mode: off }\n").start();
        let ids: Vec<String> =
            records(&restored, "").iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect();
        ids
    };
    let (at_end, at_moment) = (found("latest"), found(&second_before.to_string()));
    let before = acknowledged.iter().filter(|(_, (_, end))| *end <= second_before);
    let lost: Vec<_> = before.clone().filter(|(id, _)| !at_end.contains(id) || !at_moment.contains(id)).collect();
    assert!(lost.is_empty(), "{} acknowledged a second before, lost: {lost:?}", before.count());
    let later = |id: &String| acknowledged.get(id).is_none_or(|(begun, _)| *begun > second_before);
    let too_new: Vec<_> = at_moment.iter().filter(|id| later(id)).collect();
    assert!(too_new.is_empty(), "{too_new:?}");
    assert!(at_end.len() >= at_moment.len());
}

#[test]
fn a_moment_outside_of_the_archive_gets_one_message_with_what_can_be_restored() {
    let mut appliance = archived();
    let data = appliance.data();
    add_records(&appliance, "r", 1);
    let before = all(&appliance);
    appliance.stop();
    let window = windows(&data)[0];
    let early = refused("2026-01-31T12:00:00Z", &data);
    assert!(early.contains("before the first base backup"), "{early}");
    for message in [&early, &refused("2999-01-01T00:00:00Z", &data)] {
        assert!(message.contains(&format!("{} to {}", window.0, window.1)), "{message}");
    }
    let future = refused("2999-01-01T00:00:00Z", &data);
    assert!(future.contains("it is in the future"), "{future}");
    let late = refused(&Timestamp::now().to_string(), &data);
    assert!(late.contains("after the end of the archive"), "{late}");
    // The clock was set back: the end of the archive is in the future.
    let offset = appliance.settings().scratch().join("offset");
    fs::write(&offset, "-3600").unwrap();
    let early = super::command(&["restore", "--to", &window.1.to_string()], &data);
    let early = early.env("ATTENDANCE_CLOCK_OFFSET", offset.to_str().unwrap()).finish().expect(1);
    assert!(early.stderr.contains("it is in the future"), "{}", early.stderr);
    for words in [&["restore", "--to", "yesterday"][..], &["restore", "--to", "2026-01-31 12:00"], &["restore"]] {
        run(words, &data).expect(64);
    }
    run(&["restore", "--to", "latest", "some.tar"], &data).expect(64);
    let empty = Scratch::new("no-archive");
    let nothing = refused("latest", &empty.path().join("data"));
    assert!(nothing.contains("has no base backup"), "{nothing}");
    assert!(kept_clusters(&data).is_empty());
    appliance.start_again();
    assert_eq!(all(&appliance), before);
}

#[test]
fn the_last_record_before_an_ordered_stop_is_in_the_archive() {
    let mut appliance = archived();
    let data = appliance.data();
    for round in 0..3 {
        add_records(&appliance, &format!("round{round}-"), 1);
        appliance.stop();
        appliance.start_again();
    }
    add_records(&appliance, "last", 1);
    let before = all(&appliance);
    appliance.stop();
    lose_cluster(&data);
    let restored = restore_to("latest", &data);
    assert!(restored.contains("4 records"), "{restored}");
    let restored = Appliance::builder().data_dir(&data).config("redis: { mode: off }\n").start();
    assert_eq!(all(&restored), before);
    // One unbroken window, also over three restarts.
    assert_eq!(windows(&data).len(), 1);
}

#[test]
fn an_archive_is_restored_on_another_machine() {
    let appliance = archived();
    let (data, scratch) = (appliance.data(), Scratch::new("other-machine"));
    add_records(&appliance, "r", 2);
    let sql = appliance.sql();
    let confirmed = || metric(&appliance, "attendance_api_wal_archive_latest_timestamp_seconds");
    let now = Timestamp::now().as_second() as f64 + 1.0;
    eventually("the records are confirmed", || confirmed().filter(|time| *time > now));
    let target = scratch.path().join("data");
    let restored = restore_elsewhere(&data, &target);
    assert!(!restored.contains("is kept in"), "{restored}");
    let copy = Appliance::builder().data_dir(&target).config("redis: { mode: off }\n").start();
    assert_eq!(all(&copy), all(&appliance));
    assert_eq!(sql.value("SELECT count(*) FROM records"), "2");
}

#[test]
fn the_window_the_lag_and_the_health_are_reported() {
    let appliance = archived();
    let data = appliance.data();
    let window = windows(&data)[0];
    assert!(window.0 <= window.1);
    let listed = run(&["list"], &data).expect(0).stdout;
    assert!(listed.contains("any moment (backup restore --to)"), "{listed}");
    eventually("the metrics are set", || {
        (metric(&appliance, "attendance_api_wal_archive_earliest_timestamp_seconds")? > 1.7e9).then_some(())
    });
    assert_eq!(metric(&appliance, "attendance_api_wal_archive_failed"), Some(0.0));
    assert_eq!(metric(&appliance, "attendance_api_wal_archive_slots_lost_total"), Some(0.0));
    assert!(metric(&appliance, "attendance_api_wal_archive_lag_bytes").is_some());
    let detail = appliance.get(&format!("{API}/health/detail")).expect(200).json();
    assert!(detail["backup"]["reason"].is_null(), "{detail}");
}

#[test]
fn without_wal_the_slot_is_removed_and_a_later_archive_begins_anew() {
    let mut appliance = archived();
    let data = appliance.data();
    add_records(&appliance, "archived", 1);
    appliance.stop();
    let slots = "SELECT count(*) FROM pg_replication_slots";
    let mut plain = Appliance::builder().data_dir(&data).config("redis: { mode: off }\n").start();
    assert_eq!(plain.sql().value(slots), "0");
    add_records(&plain, "not-archived", 1);
    plain.stop();
    let again = Appliance::builder().data_dir(&data).config(ARCHIVED).start();
    wait_for_base(&again);
    assert_eq!(again.sql().value(slots), "1");
    assert_eq!(windows(&data).len(), 2);
}

#[test]
fn a_restored_backup_begins_an_archive_of_its_own() {
    let mut appliance = archived();
    let data = appliance.data();
    add_records(&appliance, "r", 1);
    let backup = back_up(&data);
    appliance.stop();
    restore(&backup, &data);
    appliance.start_again();
    wait_for_base(&appliance);
    assert_eq!(windows(&data).len(), 2);
    assert_archive_is_complete(&mut appliance);
}

#[test]
fn an_external_postgresql_has_no_archive_here() {
    let text = "backup: { wal: true }\npostgres: { host: 10.0.0.3 }\n";
    let refused = Appliance::builder().command(&["config", "check"]).config(text).finish().expect(78);
    assert!(refused.stderr.contains("backup.wal") && refused.stderr.contains("postgres.host"), "{}", refused.stderr);
}
