//! Point-in-time recovery when something goes wrong: killed processes, a lost slot, damaged files, a full disk.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::interrupted::{kill_after, rounds};
use super::point_in_time::{
    ARCHIVED, archived, assert_archive_is_complete, restore_elsewhere, restore_to, segments, wait_for_base, windows,
};
use super::schedule::{backup_detail, metric};
use super::{add_records, all, assert_nothing_is_left, files, kept_clusters, run};
use crate::support::{Appliance, Mount, Scratch, children_of, eventually, signal};

/// Fails if the parts of a base that was not completed are left.
fn assert_bases_are_complete(appliance: &Appliance) {
    let archive = files(&appliance.data().join("backups/wal"));
    let left: Vec<_> = archive.iter().filter(|(path, _)| path.display().to_string().contains(".partial-")).collect();
    assert!(left.is_empty(), "{left:?}");
    let count = |end: &str| archive.iter().filter(|(path, _)| path.display().to_string().ends_with(end)).count();
    assert_eq!(count(".tar.zst"), count(".json"), "{archive:?}");
}

#[test]
fn a_kill_at_any_moment_of_a_base_backup_leaves_no_base_that_is_not_complete() {
    let mut appliance = Appliance::builder().existing_cluster().config(ARCHIVED).start();
    add_records(&appliance, "r", 1);
    let before = all(&appliance);
    for round in 0..rounds() {
        thread::sleep(Duration::from_millis(37 * u64::from(round) % 900));
        appliance.kill();
        // Whatever is there can be restored.
        if !windows(&appliance.data()).is_empty() {
            let elsewhere = Scratch::new("elsewhere");
            restore_elsewhere(&appliance.data(), &elsewhere.path().join("data"));
        }
        appliance.start_again();
        assert_eq!(all(&appliance), before);
    }
    eventually("a base is complete", || (!windows(&appliance.data()).is_empty()).then_some(()));
    appliance.kill();
    // With a process that ends between the files of the base and its description.
    fs::remove_dir_all(appliance.data().join("backups/wal")).unwrap();
    let mut killed = appliance.settings().env("ATTENDANCE_FAULT", "base-before-description").spawn();
    assert_eq!(killed.wait().code(), None, "the fault was not reached");
    appliance.start_again();
    wait_for_base(&appliance);
    assert_bases_are_complete(&appliance);
    appliance.stop();
    restore_to("latest", &appliance.data());
    appliance.start_again();
    assert_eq!(all(&appliance), before);
}

#[test]
fn a_kill_at_any_moment_of_a_restore_leaves_the_state_before_or_the_restored_one() {
    let mut appliance = archived();
    let data = appliance.data();
    add_records(&appliance, "first", 1);
    let between = jiff::Timestamp::now().to_string();
    let restored = all(&appliance);
    add_records(&appliance, "second", 1);
    let before = all(&appliance);
    appliance.stop();
    let mut plain = appliance.settings().config("log: { level: info }\n");
    plain = plain.env("ATTENDANCE_API__BACKUP__WAL", "false");
    let delays = (0..rounds()).map(|round| Duration::from_millis(30 + 190 * u64::from(round) % 3100));
    for delay in delays {
        kill_after(&["restore", "--to", &between], &data, delay);
        let mut next = plain.clone().start();
        let found = all(&next);
        let is_restored = !kept_clusters(&data).is_empty();
        assert_eq!(found, if is_restored { restored.clone() } else { before.clone() }, "{delay:?}");
        assert_nothing_is_left(&data);
        next.stop();
        if is_restored {
            // The cluster of before takes its place again.
            let kept = kept_clusters(&data).remove(0);
            fs::remove_dir_all(data.join("postgres/16")).unwrap();
            fs::rename(kept, data.join("postgres/16")).unwrap();
        }
    }
    for fault in ["restore-before-journal", "restore-after-journal", "restore-after-first-rename"] {
        let words = ["restore", "--to", &between];
        let killed = super::command(&words, &data).env("ATTENDANCE_FAULT", fault).finish();
        assert_eq!(killed.status.code(), None, "{fault} was not reached: {}", killed.stderr);
        let mut next = plain.clone().start();
        let is_restored = fault.contains("rename");
        assert_eq!(all(&next), if is_restored { restored.clone() } else { before.clone() }, "{fault}");
        next.stop();
    }
    run(&["forget"], &data).expect(0);
    restore_to(&between, &data);
    let next = plain.start();
    assert_eq!(all(&next), restored);
}

#[test]
fn a_lost_slot_is_reported_and_a_new_base_is_made() {
    let config = "redis: { mode: off }\nbackup: { wal: true, wal_max_lag: 32MiB }\n";
    let appliance = Appliance::builder().existing_cluster().config(config).start();
    wait_for_base(&appliance);
    add_records(&appliance, "before", 1);
    let receivers = || children_of(appliance.pid()).into_iter().find(|process| process.name == "pg_receivewal");
    let receiver = receivers().expect("the receiver runs");
    // It stays stopped: the checkpoint that invalidates the slot waits for it, until the appliance ends it.
    signal(receiver.pid, Signal::SIGSTOP);
    let sql = appliance.sql();
    sql.run("CREATE TABLE filler (text text)");
    let message = |line: &serde_json::Value| line["message"].as_str().unwrap_or_default().to_owned();
    let loss = "has removed WAL that was not copied yet";
    eventually("the slot is lost", || {
        sql.run("INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 20000)");
        sql.run("CHECKPOINT");
        appliance.log().iter().any(|line| message(line).contains(loss)).then_some(())
    });
    eventually("the loss is counted", || {
        (metric(&appliance, "attendance_api_wal_archive_slots_lost_total")? >= 1.0).then_some(())
    });
    eventually("a second base", || (appliance.logged("a base backup is complete").len() >= 2).then_some(()));
    eventually("the window of the new base", || (windows(&appliance.data()).len() == 2).then_some(()));
    assert!(backup_detail(&appliance)["reason"].is_null());
    add_records(&appliance, "after", 1);
    let mut appliance = appliance;
    assert_archive_is_complete(&mut appliance);
}

#[test]
fn damaged_and_missing_files_of_an_archive_are_named_and_nothing_is_changed() {
    let mut appliance = archived();
    let data = appliance.data();
    appliance.sql().run("CREATE TABLE filler (text text)");
    for _ in 0..5 {
        appliance.sql().run("INSERT INTO filler SELECT md5(n::text) FROM generate_series(1, 100000) AS n");
    }
    let before = all(&appliance);
    appliance.stop();
    let refused = || {
        let run = run(&["restore", "--to", "latest"], &data).expect(1);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        assert!(kept_clusters(&data).is_empty());
        assert_nothing_is_left(&data);
        run.stderr
    };
    let all_segments = segments(&data);
    assert!(all_segments.len() >= 4, "{all_segments:?}");
    let middle = &all_segments[all_segments.len() - 3];
    let good = fs::read(middle).unwrap();

    let mut bytes = good.clone();
    bytes[good.len() / 2] ^= 1;
    fs::write(middle, &bytes).unwrap();
    let damaged = refused();
    assert!(damaged.contains("is damaged after"), "{damaged}");
    fs::remove_file(middle).unwrap();
    let missing = refused();
    assert!(missing.contains("lacks") && missing.contains(middle.file_name().unwrap().to_str().unwrap()), "{missing}");
    fs::write(middle, &good).unwrap();

    let archive = files(&data.join("backups/wal"));
    let (base, _) = archive.iter().find(|(path, _)| path.display().to_string().ends_with(".tar.zst")).unwrap();
    let good = fs::read(base).unwrap();
    for position in [0, 10, good.len() / 2, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[position] ^= 1;
        fs::write(base, &bytes).unwrap();
        let altered = refused();
        assert!(altered.contains("altered or damaged") && altered.contains(base.to_str().unwrap()), "{altered}");
    }
    fs::write(base, &good[..good.len() - 1]).unwrap();
    let truncated = refused();
    assert!(truncated.contains("altered or damaged"), "{truncated}");
    fs::write(base, &good).unwrap();
    restore_to("latest", &data);
    appliance.start_again();
    assert_eq!(all(&appliance), before);
}

#[test]
fn a_full_disk_of_the_archive_is_reported_and_requests_are_served() {
    let scratch = Scratch::new("full-archive");
    let mount = Mount::memory(scratch.path(), "size=200m,mode=777");
    let config =
        format!("redis: {{ mode: off }}\nbackup: {{ wal: true, directory: {}/backups }}\n", mount.path().display());
    let appliance = Appliance::builder().existing_cluster().config(&config).start();
    wait_for_base(&appliance);
    let filler = mount.fill();
    let sql = appliance.sql();
    sql.run("CREATE TABLE filler (text text)");
    sql.run("INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 40000)");
    add_records(&appliance, "meanwhile", 1);
    eventually("the archive is behind", || {
        (metric(&appliance, "attendance_api_wal_archive_lag_bytes")? > 1e7).then_some(())
    });
    assert!(all(&appliance).contains("meanwhile0"));
    // What the receiver has left of a file that did not fit does not prevent its next start.
    drop(filler);
    sql.run("DROP TABLE filler");
    eventually("the archive has followed", || {
        (metric(&appliance, "attendance_api_wal_archive_lag_bytes")? < 1e6).then_some(())
    });
    let (before, mut appliance) = (all(&appliance), appliance);
    let data = appliance.data();
    appliance.stop();
    fs::remove_dir_all(data.join("postgres/16")).unwrap();
    let directory = format!("--set=backup.directory={}/backups", mount.path().display());
    super::command(&["restore", "--to", "latest"], &data).arg(&directory).finish().expect(0);
    let restored = Appliance::builder().data_dir(&data).config("redis: { mode: off }\n").start();
    assert_eq!(all(&restored), before);
}

#[test]
fn a_base_backup_that_would_fill_the_disk_is_not_begun() {
    let scratch = Scratch::new("small-archive");
    let mount = Mount::memory(scratch.path(), "size=60m,mode=777");
    let config =
        format!("redis: {{ mode: off }}\nbackup: {{ wal: true, directory: {}/backups }}\n", mount.path().display());
    let appliance = Appliance::builder().existing_cluster().config(&config).start();
    eventually("the reason is reported", || {
        let reason = backup_detail(&appliance)["reason"].as_str().unwrap_or_default().to_owned();
        reason.contains("a base backup needs about").then_some(())
    });
    let is_base = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("base"));
    assert!(files(&mount.path().join("backups")).iter().all(|(path, _)| !is_base(path)), "no base was begun");
    add_records(&appliance, "served", 1);
    assert!(all(&appliance).contains("served0"));
}
