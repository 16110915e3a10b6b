//! Backups of the schedule, their report, and what is removed.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use serde_json::Value;

use super::{appliance_with, assert_nothing_is_left};
use crate::support::{API, Appliance, Scratch, eventually, shared, unprivileged_user};

const SCHEDULE: &str = "redis: { mode: off }\nbackup:\n  schedule: \"03:15\"\n";

/// Starts an appliance whose backup was missed while it did not run.
pub(super) fn with_missed_backup(settings: &str) -> Appliance {
    let mut appliance = appliance_with(2);
    let data = appliance.data();
    appliance.stop();
    write(&data.join("operate/state.json"), r#"{"scheduled_since":"2026-01-01T00:00:00Z"}"#);
    appliance.settings().config(settings).start()
}

/// Writes a file that belongs to the user of the appliance.
pub(super) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    if let Some(user) = unprivileged_user() {
        for path in [path, path.parent().unwrap()] {
            chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        }
    }
}

pub(super) fn backup_detail(appliance: &Appliance) -> Value {
    appliance.get(&format!("{API}/health/detail")).expect(200).json()["backup"].clone()
}

/// The report, when a backup has failed.
pub(super) fn wait_for_failure(appliance: &Appliance) -> Value {
    eventually("the failure is reported", || {
        Some(backup_detail(appliance)).filter(|detail| detail["last_failure"].is_string())
    })
}

pub(super) fn metric(appliance: &Appliance, name: &str) -> Option<f64> {
    let text = appliance.get("/metrics").expect(200).text();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

pub(super) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_missed_backup_is_made_copied_verified_and_reported() {
    let copies = Scratch::new("copies");
    fs::set_permissions(copies.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let settings = format!(
        "backup:\n  schedule: \"03:15\"\n  keep: {{ daily: 1, weekly: 0, monthly: 0 }}\n  copy_command: cp \"$1\" {}\n",
        copies.path().display()
    );
    let mut appliance = appliance_with(2);
    let data = appliance.data();
    super::back_up(&data);
    super::run(&["create", "--label", "mine"], &data).expect(0);
    appliance.stop();
    let old = data.join("backups/attendance-api-2026-01-05T031500Z.tar");
    write(&old, "old");
    write(&data.join("operate/state.json"), r#"{"scheduled_since":"2026-01-01T00:00:00Z"}"#);
    let appliance = appliance.settings().config(&settings).start();

    let line = appliance.wait_log("the scheduled backup", |line| line["message"] == "the scheduled backup is complete");
    assert_eq!(line["records"], 2);
    let file = line["file"].as_str().unwrap().to_owned();
    appliance.wait_log("its verification", |line| line["message"] == "the newest backup was restored for a test");
    let detail = backup_detail(&appliance);
    assert!(
        detail["last_success"].is_string() && detail["reason"].is_null() && detail["last_failure"].is_null(),
        "{detail}"
    );
    assert!(!old.exists(), "a backup that is not kept is removed");
    let left = names(&data.join("backups"));
    assert!(left.iter().any(|name| name.ends_with("-mine.tar")), "{left:?}");
    assert_eq!(names(copies.path()), [Path::new(&file).file_name().unwrap().to_string_lossy()]);
    eventually("the metrics are set", || metric(&appliance, "attendance_api_backup_last_verified_timestamp_seconds"));
    assert!(
        metric(&appliance, "attendance_api_backup_last_success_timestamp_seconds").is_some_and(|time| time > 1.7e9)
    );
    assert_eq!(metric(&appliance, "attendance_api_backup_failed"), Some(0.0));
    assert_eq!(metric(&appliance, "attendance_api_backup_overdue"), Some(0.0));
    assert!(metric(&appliance, "attendance_api_backup_bytes").is_some_and(|bytes| bytes > 1000.0));
    assert_nothing_is_left(&data);
}

#[test]
fn a_failing_copy_is_reported_until_the_copy_succeeds() {
    let copies = Scratch::new("copies");
    if let Some(user) = unprivileged_user() {
        chown(copies.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    }
    let (gate, target) = (copies.path().join("gate"), copies.path().join("target"));
    let command = format!(
        "test -e {} || {{ echo no route to host >&2; exit 3; }}; cp \"$1\" {}",
        gate.display(),
        target.display()
    );
    let settings = format!("backup:\n  schedule: \"03:15\"\n  verify: off\n  copy_command: {command:?}\n");
    let mut appliance = with_missed_backup(&settings);
    let data = appliance.data();
    let detail = wait_for_failure(&appliance);
    let reason = detail["reason"].as_str().unwrap();
    assert!(reason.contains("copy_command failed") && reason.contains("no route to host"), "{reason}");
    assert!(detail["last_failure"].is_string() && detail["last_success"].is_null(), "{detail}");
    let whole = appliance.get(&format!("{API}/health/detail")).expect(200).json();
    assert_eq!(whole["status"], "up");
    eventually("the metric is set", || (metric(&appliance, "attendance_api_backup_failed") == Some(1.0)).then_some(()));
    // A backup by hand succeeds, and is no copy.
    super::run(&["create", "--label", "by-hand"], &data).expect(0);
    eventually("the success is reported", || backup_detail(&appliance)["last_success"].is_string().then_some(()));
    let detail = backup_detail(&appliance);
    assert!(detail["reason"].as_str().is_some_and(|reason| reason.contains("copy_command failed")), "{detail}");

    // An hour later, the same backup is copied: none is made for it.
    appliance.stop();
    let made = names(&data.join("backups"));
    fs::write(&gate, "").unwrap();
    let state = data.join("operate/state.json");
    let mut noted: Value = serde_json::from_str(&fs::read_to_string(&state).unwrap()).unwrap();
    noted["last_failure"] = "2026-01-01T00:00:00Z".into();
    write(&state, &noted.to_string());
    let appliance = appliance.settings().start();
    eventually("the failure has ended", || backup_detail(&appliance)["reason"].is_null().then_some(()));
    assert_eq!(names(&data.join("backups")), made);
    assert!(fs::metadata(&target).unwrap().len() > 1000);
    assert_eq!(metric(&appliance, "attendance_api_backup_failed"), Some(0.0));
}

#[test]
fn a_directory_that_cannot_be_written_is_reported() {
    if unprivileged_user().is_none() {
        return;
    }
    let theirs = Scratch::new("theirs");
    let directory = format!("backup:\n  schedule: \"03:15\"\n  directory: {}\n", theirs.path().display());
    let appliance = with_missed_backup(&directory);
    let detail = wait_for_failure(&appliance);
    assert!(detail["reason"].as_str().unwrap().contains("belongs to the user 0"), "{detail}");
}

#[test]
fn without_a_schedule_nothing_is_reported() {
    let appliance = shared();
    let detail = appliance.get(&format!("{API}/health/detail")).expect(200).json();
    assert!(detail.get("backup").is_none(), "{detail}");
    assert!(!appliance.get("/metrics").expect(200).text().contains("attendance_api_backup_"));
}

#[test]
fn a_command_without_a_configuration_finds_the_configured_directory() {
    let directory = Scratch::new("configured");
    if let Some(user) = unprivileged_user() {
        chown(directory.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    }
    let text = format!("{SCHEDULE}  directory: {}\n", directory.path().display());
    let appliance = Appliance::builder().existing_cluster().config(&text).start();
    let path = super::back_up(&appliance.data());
    assert_eq!(path.parent(), Some(directory.path()));
    let listed = super::run(&["list"], &appliance.data()).expect(0);
    assert!(listed.stdout.contains(path.to_str().unwrap()), "{}", listed.stdout);
}

#[test]
fn a_file_of_keys_that_does_not_answer_is_a_failed_backup_and_requests_are_served() {
    let scratch = Scratch::new("hanging-keys");
    let keys = scratch.path().join("keys");
    // As on a network file system that is away: who opens it waits.
    nix::unistd::mkfifo(&keys, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    fs::set_permissions(&keys, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let settings = format!("backup:\n  schedule: \"03:15\"\n  encrypt_to: {}\n  verify: off\n", keys.display());
    let mut appliance = with_missed_backup(&settings);
    let detail = wait_for_failure(&appliance);
    let reason = detail["reason"].as_str().unwrap();
    assert!(reason.contains("does not answer within") && reason.contains("keys"), "{reason}");
    appliance.get(&format!("{API}/search/all")).expect(200);
    // It also stops.
    appliance.stop();
}

#[test]
fn a_clock_that_is_set_back_neither_repeats_a_backup_nor_stops_the_schedule() {
    let scratch = Scratch::new("clock");
    let clock = scratch.path().join("offset");
    let set = |offset: i64| {
        fs::write(&clock, offset.to_string()).unwrap();
        fs::set_permissions(&clock, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    };
    // A quarter past three, just after the time of the schedule.
    let now = jiff::Timestamp::now().as_second();
    let quarter_past_three = (3 * 3600 + 15 * 60 + 30 - now % 86_400).rem_euclid(86_400);
    set(quarter_past_three);
    let mut appliance = appliance_with(2);
    let data = appliance.data();
    appliance.stop();
    let since = jiff::Timestamp::from_second(now + quarter_past_three - 7200).unwrap();
    write(&data.join("operate/state.json"), &format!("{{\"scheduled_since\":\"{since}\"}}"));
    let settings = appliance.settings().env("ATTENDANCE_CLOCK_OFFSET", clock.to_str().unwrap());
    let appliance = settings.config("backup: { schedule: \"03:15\", verify: off }\n").start();
    let complete = || appliance.logged("the scheduled backup is complete").len();
    eventually("the backup of the first day", || (complete() == 1).then_some(()));

    set(quarter_past_three - 3600);
    // The task has looked at the clock again when it reports what a command has changed.
    let size = "attendance_api_backup_bytes";
    let written = fs::read_to_string(data.join("operate/state.json")).unwrap();
    let mut state: Value = serde_json::from_str(&written).unwrap();
    for bytes in [1, 2] {
        state["bytes"] = bytes.into();
        write(&data.join("operate/state.json"), &state.to_string());
        eventually("the state is read again", || (metric(&appliance, size) == Some(f64::from(bytes))).then_some(()));
    }
    assert_eq!(complete(), 1, "not again in the hour that is repeated");
    set(quarter_past_three + 86_400 - 3600);
    state["bytes"] = 3.into();
    write(&data.join("operate/state.json"), &state.to_string());
    eventually("the state is read again", || (metric(&appliance, size) == Some(3.0)).then_some(()));
    assert_eq!(complete(), 1, "not before its time");
    set(quarter_past_three + 86_400);
    eventually("the backup of the second day", || (complete() == 2).then_some(()));
    assert!(backup_detail(&appliance)["reason"].is_null());
}
