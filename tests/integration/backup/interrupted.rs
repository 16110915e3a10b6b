//! Commands that are killed at any moment: the database is the one of before or the restored one, complete, and the next attempt succeeds.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::{
    add_records, all, appliance_with, assert_nothing_is_left, back_up, command, files, kept_clusters, restore, run,
};
use crate::support::{API, Mount, Scratch, eventually};

/// Every place between two steps of the exchange, and the step of the next start.
const FAULTS: [&str; 5] = [
    "restore-before-journal",
    "restore-after-journal",
    "restore-after-first-rename",
    "restore-after-second-rename",
    "recover-before-end",
];

/// At how many moments each command is killed.
pub(super) fn rounds() -> u32 {
    std::env::var("BACKUP_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(4)
}

#[test]
fn a_restore_that_is_killed_between_two_steps_is_finished_or_undone() {
    let mut appliance = appliance_with(2);
    let data = appliance.data();
    let path = back_up(&data);
    let restored = all(&appliance);
    for fault in FAULTS {
        add_records(&appliance, &format!("{fault}-"), 1);
        let before = all(&appliance);
        appliance.stop();
        let at = if fault == "recover-before-end" { "restore-after-first-rename" } else { fault };
        let killed = command(&["restore", path.to_str().unwrap()], &data).env("ATTENDANCE_FAULT", at).finish();
        assert_eq!(killed.status.code(), None, "{fault} was not reached: {}", killed.stderr);
        if fault == "recover-before-end" {
            let mut start = appliance.settings().env("ATTENDANCE_FAULT", fault).spawn();
            assert_eq!(start.wait().code(), None, "{fault} was not reached");
        }
        appliance.start_again();
        let found = all(&appliance);
        let is_restored = fault.contains("rename") || fault.starts_with("recover");
        assert_eq!(&found, if is_restored { &restored } else { &before }, "{fault}");
        assert_eq!(kept_clusters(&data).len(), usize::from(is_restored), "{fault}");
        assert_nothing_is_left(&data);
        run(&["forget"], &data).expect(0);
        appliance.stop();
        restore(&path, &data);
        run(&["forget"], &data).expect(0);
        appliance.start_again();
        assert_eq!(all(&appliance), restored, "{fault}");
    }
}

/// How long a command takes that is not killed.
fn duration(words: &[&str], data: &Path) -> Duration {
    let started = Instant::now();
    run(words, data).expect(0);
    started.elapsed()
}

/// Moments all over the time that a command takes.
fn moments(whole: Duration) -> impl Iterator<Item = Duration> {
    (0..rounds()).map(move |round| whole.mul_f64((f64::from(round) + 0.5) / f64::from(rounds())))
}

/// Starts a command and kills it after `delay`; fails if a process of it is left.
pub(super) fn kill_after(words: &[&str], data: &Path, delay: Duration) {
    let mut running = command(words, data).spawn();
    thread::sleep(delay);
    running.kill();
}

#[test]
fn a_backup_that_is_killed_at_any_moment_leaves_nothing_that_looks_complete() {
    let appliance = appliance_with(3);
    let data = appliance.data();
    let whole = duration(&["create", "--label", "whole"], &data);
    for (round, delay) in moments(whole).enumerate() {
        kill_after(&["create", "--label", &format!("killed-{round}")], &data, delay);
        for backup in backups(&data) {
            run(&["verify", &backup], &data).expect(0);
        }
    }
    appliance.get(&format!("{API}/health")).expect(200);
    let next = back_up(&data);
    run(&["verify", next.to_str().unwrap()], &data).expect(0);
    eventually("the appliance has removed its scratch directories", || {
        files(&data.join("operate/scratch")).is_empty().then_some(())
    });
    assert_nothing_is_left(&data);
}

fn backups(data: &Path) -> Vec<String> {
    let listed = run(&["list", "--json"], data).expect(0);
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let files = listed["backups"].as_array().unwrap().iter();
    files.map(|backup| backup["file"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_command_that_is_killed_at_any_moment_leaves_the_database_of_before_or_the_restored_one() {
    let mut appliance = appliance_with(2);
    let data = appliance.data();
    let path = back_up(&data);
    let restored = all(&appliance);
    let file = path.to_str().unwrap();
    add_records(&appliance, "later", 1);
    let mut before = all(&appliance);
    appliance.stop();
    for words in [&["create", "--label", "stopped"][..], &["verify", file], &["restore", file]] {
        let whole = duration(words, &data);
        for (round, delay) in moments(whole).enumerate() {
            if !kept_clusters(&data).is_empty() {
                // The restore was complete: there is again a difference between the two.
                run(&["forget"], &data).expect(0);
                appliance.start_again();
                assert_eq!(all(&appliance), restored, "{words:?} {round}");
                add_records(&appliance, &format!("later{round}-"), 1);
                before = all(&appliance);
                appliance.stop();
            }
            kill_after(words, &data, delay);
            appliance.start_again();
            let expected = if kept_clusters(&data).is_empty() { &before } else { &restored };
            assert_eq!(&all(&appliance), expected, "{words:?} after {delay:?}");
            assert_nothing_is_left(&data);
            appliance.stop();
        }
    }
    restore(&path, &data);
    appliance.start_again();
    assert_eq!(all(&appliance), restored);
}

#[test]
fn a_disk_that_fills_up_during_a_verification_or_restore_changes_nothing() {
    let appliance = appliance_with(2);
    let path = back_up(&appliance.data());
    let scratch = Scratch::new("small-data");
    let mount = Mount::memory(scratch.path(), "size=600m");
    let data = mount.path().join("data");
    restore(&path, &data);
    run(&["forget"], &data).expect(0);
    let untouched = files(&data.join("postgres/16"));
    for word in ["verify", "restore"] {
        let running = command(&[word, path.to_str().unwrap()], &data);
        let filled = thread::scope(|scope| {
            let running = scope.spawn(|| running.finish());
            eventually("the new cluster is being made", || {
                let made = files(&data.join("operate/scratch"));
                made.iter().any(|(path, _)| path.ends_with("PG_VERSION")).then_some(())
            });
            let _filler = mount.fill();
            running.join().expect("the command ends").expect(1)
        });
        // PostgreSQL says the second if a part of a page could still be written.
        let reasons = ["No space left on device", "Check free disk space"];
        assert!(reasons.iter().any(|reason| filled.stderr.contains(reason)), "{word}: {}", filled.stderr);
        assert_nothing_is_left(&data);
        assert!(files(&data.join("postgres/16")) == untouched, "{word}");
        run(&[word, path.to_str().unwrap()], &data).expect(0);
    }
}
