//! A disk that takes nothing more: creates are refused with the reason, reads are answered, the service is healthy, and it recovers by itself.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{
    API, Appliance, HANG_TIMEOUT, Mount, Scratch, create, eventually, record, records, signal, try_signal, within,
};

/// The reserve for a recovery.
const RESERVE: &str = "postgres/16/pg_wal/attendance-reserve";

/// An appliance without a cache, on a data directory with one record.
fn appliance(data: &Path) -> Appliance {
    let appliance = Appliance::builder().existing_cluster().data_dir(data).config("redis: { mode: off }\n").start();
    create(&appliance, &record("before", "n", "s", "2023-08-01")).expect(200);
    appliance
}

/// Moves a directory of the cluster to a file system of its own.
fn move_to_mount(directory: &Path, options: &str) -> Mount {
    let content = directory.with_extension("content");
    fs::rename(directory, &content).unwrap();
    fs::create_dir(directory).unwrap();
    let mount = Mount::memory(directory, options);
    let copied = Command::new("cp").args(["-a", "-T"]).arg(&content).arg(directory).status().expect("there is a cp");
    assert!(copied.success());
    mount
}

fn disk(appliance: &Appliance) -> Value {
    appliance.get(&format!("{API}/health/detail")).expect(200).json()["details"]["disk"].clone()
}

fn wait_for_state(appliance: &Appliance, state: &str) -> Value {
    eventually(&format!("the state of the disk is {state}"), || {
        Some(disk(appliance)).filter(|disk| disk["state"] == state)
    })
}

fn metric(appliance: &Appliance, name: &str) -> f64 {
    let text = appliance.get("/metrics").expect(200).text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().expect("a number")
}

/// Fails unless creates are refused with these words, and everything else is as always.
fn assert_refuses_creates_only(appliance: &Appliance, words: &[&str]) {
    let refused = create(appliance, &record("refused", "n", "s", "2023-08-01")).expect(503);
    assert!(refused.header("retry-after").is_some());
    let message = refused.json()["message"].as_str().expect("a message").to_owned();
    words.iter().for_each(|word| assert!(message.contains(word), "{word:?} is not in {message}"));
    assert_eq!(appliance.get(&format!("{API}/search?id=before")).expect(200).json()["id"], "before");
    appliance.get(&format!("{API}/search?id=refused")).expect(404);
    appliance.get(&format!("{API}/search/all")).expect(200);
    appliance.get(&format!("{API}/health")).expect(200);
    appliance.get("/readyz").expect(200);
    let detail = appliance.get(&format!("{API}/health/detail")).expect(200).json();
    assert_eq!((&detail["postgresql"], &detail["status"]), (&"up".into(), &"up".into()));
    assert!(!detail["details"]["disk"]["reason"].as_str().expect("a reason").is_empty(), "{detail}");
    assert!(detail["details"]["disk"]["free_bytes"].is_u64(), "{detail}");
    assert!(metric(appliance, "attendance_api_data_bytes_free") >= 0.0);
    assert_eq!(metric(appliance, "attendance_api_data_writable"), 0.0);
}

/// Fails unless records are stored again, without intervention.
fn assert_recovers(appliance: &Appliance, id: &str) {
    let stored = || create(appliance, &record(id, "n", "s", "2023-08-01")).status == 200;
    eventually("records are stored again", || stored().then_some(()));
    wait_for_state(appliance, "ok");
    assert_eq!(metric(appliance, "attendance_api_data_writable"), 1.0);
    assert!(records(appliance, "").len() >= 2);
}

fn reserve(appliance: &Appliance) -> u64 {
    appliance.data().join(RESERVE).metadata().map_or(0, |found| found.len())
}

fn transitions(appliance: &Appliance) -> usize {
    let of_disk =
        |line: &Value| line["message"].as_str().is_some_and(|text| text.starts_with("the disk of the database "));
    appliance.log().iter().filter(|line| of_disk(line)).count()
}

#[test]
fn a_full_file_system_refuses_creates_only_until_there_is_space() {
    let scratch = Scratch::new("full");
    let mount = Mount::memory(scratch.path(), "size=400m");
    let mut appliance = appliance(&mount.path().join("data"));
    assert_eq!(disk(&appliance)["state"], "ok");
    assert!(metric(&appliance, "attendance_api_data_bytes_free") > 100e6);
    assert!(metric(&appliance, "attendance_api_data_inodes_free") > 100.0);
    assert_eq!(reserve(&appliance), 32 << 20);

    let filler = mount.fill();
    wait_for_state(&appliance, "full");
    for _ in 0..5 {
        assert_refuses_creates_only(&appliance, &["disk", "full"]);
    }
    assert!(metric(&appliance, "attendance_api_data_bytes_free") < 20e6);
    drop(filler);
    assert_recovers(&appliance, "after");
    // The state changes before its line is written.
    eventually("the end is logged", || (transitions(&appliance) >= 2).then_some(()));
    assert_eq!(transitions(&appliance), 2, "one line when it begins, one when it ends");

    // A restart while the disk is full, of PostgreSQL and of the appliance.
    let filler = mount.fill();
    wait_for_state(&appliance, "full");
    let postmaster = appliance.postgres_child().expect("PostgreSQL runs");
    signal(postmaster.pid, Signal::SIGKILL);
    eventually("another PostgreSQL runs", || appliance.postgres_child().filter(|child| child.pid != postmaster.pid));
    eventually("reads are answered", || (appliance.get(&format!("{API}/search/all")).status == 200).then_some(()));
    assert_eq!(reserve(&appliance), 0, "it was given up for the recovery");
    assert_refuses_creates_only(&appliance, &["disk", "full"]);
    appliance.stop();
    appliance.start_again();
    wait_for_state(&appliance, "full");
    assert_refuses_creates_only(&appliance, &["disk", "full"]);
    drop(filler);
    assert_recovers(&appliance, "after-restarts");
    within(HANG_TIMEOUT, "there is a reserve again", || (reserve(&appliance) == 32 << 20).then_some(()));
    appliance.stop();
}

#[test]
fn a_disk_that_is_filled_under_load_loses_no_acknowledged_record() {
    let scratch = Scratch::new("load");
    let mount = Mount::memory(scratch.path(), "size=400m");
    let mut appliance = appliance(&mount.path().join("data"));
    let ended = AtomicBool::new(false);
    let acknowledged = thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (appliance, ended) = (&appliance, &ended);
                scope.spawn(move || {
                    let mut stored = Vec::new();
                    for number in 0.. {
                        if ended.load(Relaxed) {
                            break;
                        }
                        let id = format!("w{writer}-{number}");
                        let answer = create(appliance, &record(&id, &"n".repeat(250), "s", "2023-08-01"));
                        match answer.status {
                            200 => stored.push(id),
                            503 => {}
                            status => panic!("{status}: {}", answer.text()),
                        }
                    }
                    stored
                })
            })
            .collect();
        for round in 0..3 {
            let filler = mount.fill();
            eventually("the disk is full, or PostgreSQL has ended for that", || {
                let detail = appliance.get(&format!("{API}/health/detail")).json();
                (detail["details"]["disk"]["state"] == "full").then_some(())
            });
            eventually("reads are answered", || {
                (appliance.get(&format!("{API}/search?id=before")).status == 200).then_some(())
            });
            drop(filler);
            wait_for_state(&appliance, "ok");
            assert_recovers(&appliance, &format!("round-{round}"));
        }
        ended.store(true, Relaxed);
        writers.into_iter().flat_map(|writer| writer.join().expect("no writer panics")).collect::<Vec<_>>()
    });
    let stored: std::collections::HashSet<String> =
        records(&appliance, "").iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect();
    let lost: Vec<_> = acknowledged.iter().filter(|id| !stored.contains(*id)).collect();
    assert!(acknowledged.len() > 100 && lost.is_empty(), "{} acknowledged, lost: {lost:?}", acknowledged.len());
    appliance.stop();
}

#[test]
fn a_full_file_system_of_the_log_or_of_the_tables_alone_refuses_creates_only() {
    for (directory, options) in [("pg_wal", "size=250m"), ("base", "size=120m")] {
        let scratch = Scratch::new("alone");
        let mut appliance = appliance(&scratch.path().join("data"));
        appliance.stop();
        let mount = move_to_mount(&appliance.data().join("postgres/16").join(directory), options);
        appliance.start_again();
        create(&appliance, &record("moved", "n", "s", "2023-08-01")).expect(200);
        for round in 0..2 {
            let filler = mount.fill();
            wait_for_state(&appliance, "full");
            assert_refuses_creates_only(&appliance, &["disk", "full"]);
            drop(filler);
            assert_recovers(&appliance, &format!("{directory}-{round}"));
        }
        appliance.stop();
    }
}

#[test]
fn a_file_system_without_inodes_refuses_creates_only() {
    let scratch = Scratch::new("inodes");
    let mount = Mount::memory(scratch.path(), "size=400m,nr_inodes=4000");
    let mut appliance = appliance(&mount.path().join("data"));
    let filler = mount.use_up_inodes();
    let full = wait_for_state(&appliance, "full");
    assert!(full["free_bytes"].as_u64().is_some_and(|bytes| bytes > 50 << 20), "{full}");
    assert!(full["free_inodes"].as_u64().is_some_and(|files| files < 16), "{full}");
    assert_refuses_creates_only(&appliance, &["disk", "full"]);
    drop(filler);
    assert_recovers(&appliance, "after");
    appliance.stop();
}

#[test]
fn a_file_system_that_became_read_only_is_named() {
    let scratch = Scratch::new("broken");
    let mount = Mount::ext4(scratch.path(), 400);
    let appliance = appliance(&mount.path().join("data"));
    // PostgreSQL opens its files for writing, also to read them, so that only files that it has open can be read afterwards.
    for target in ["search?id=before", "search?id=refused", "search/all"] {
        appliance.get(&format!("{API}/{target}"));
    }
    mount.break_ext4();
    wait_for_state(&appliance, "read-only");
    assert_refuses_creates_only(&appliance, &["disk", "read-only"]);
    // A shutdown writes to the disk, which is impossible.
    let postgres = appliance.postgres_child();
    drop(appliance);
    postgres.iter().for_each(|postgres| try_signal(postgres.pid, Signal::SIGKILL));
}
