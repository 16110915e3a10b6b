//! Several appliances with one `backup.directory`: each continues, verifies and removes only what it has made.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::archive::lineages;
use super::point_in_time::wait_for_base;
use super::schedule::{names, write};
use super::{add_records, all, path_of};
use crate::support::{Appliance, CompletedRun, Scratch, eventually};

fn shared() -> Scratch {
    let directory = Scratch::new("shared-backups");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    directory
}

fn archived_in(directory: &Path) -> String {
    format!("redis: {{ mode: off }}\nbackup: {{ wal: true, directory: {} }}\n", directory.display())
}

fn run(words: &[&str], data: &Path, directory: &Path) -> CompletedRun {
    super::command(words, data).arg(&format!("--set=backup.directory={}", directory.display())).finish()
}

fn restore(data: &Path, directory: &Path) {
    run(&["restore", "--to", "latest"], data, directory).expect(0);
}

#[test]
fn each_appliance_restores_its_own_moments() {
    let directory = shared();
    let start = || Appliance::builder().existing_cluster().config(&archived_in(directory.path())).start();
    let (mut one, mut other) = (start(), start());
    for (appliance, prefix) in [(&one, "one"), (&other, "other")] {
        wait_for_base(appliance);
        add_records(appliance, prefix, 1);
    }
    // Both are copies of one cluster, with one system identifier, and have written into directories of their own.
    let found = lineages(directory.path());
    assert_eq!(found.len(), 2, "{found:?}");
    let listed = run(&["list"], &one.data(), directory.path()).expect(0).stdout;
    assert_eq!(
        (listed.matches("of another appliance").count(), listed.matches("(backup restore --to)").count()),
        (1, 1)
    );
    for appliance in [&mut one, &mut other] {
        let before = all(appliance);
        appliance.stop();
        restore(&appliance.data(), directory.path());
        appliance.start_again();
        assert_eq!(all(appliance), before);
    }
    other.stop();
    // Removing what is too old concerns its own only.
    let age = std::time::SystemTime::now() - Duration::from_secs(30 * 86_400);
    for (path, _) in found.iter().flat_map(|lineage| super::files(lineage)) {
        fs::File::options().append(true).open(&path).and_then(|file| file.set_modified(age)).unwrap();
    }
    wait_for_base(&one);
    eventually("its own old lineage is removed", || found.iter().any(|path| !path.exists()).then_some(()));
    let removed = run(&["forget"], &one.data(), directory.path()).expect(0).stdout;
    assert!(!removed.contains("/wal/"), "{removed}");
    assert_eq!(found.iter().filter(|path| path.exists()).count(), 1);
}

#[test]
fn a_data_directory_without_an_archive_of_its_own_restores_the_only_database_and_no_other() {
    let directory = shared();
    let mut one = Appliance::builder().config(&archived_in(directory.path())).start();
    wait_for_base(&one);
    add_records(&one, "one", 1);
    let before = all(&one);
    one.stop();
    let scratch = Scratch::new("new-machine");
    let data = scratch.path().join("data");
    restore(&data, directory.path());
    let mut copy = Appliance::builder().data_dir(&data).config("redis: { mode: off }\n").start();
    assert_eq!(all(&copy), before);
    copy.stop();
    // Another database, with another system identifier.
    let mut other = Appliance::builder().config(&archived_in(directory.path())).start();
    wait_for_base(&other);
    other.stop();
    let third = scratch.path().join("third");
    let refused = run(&["restore", "--to", "latest"], &third, directory.path()).expect(1).stderr;
    assert!(refused.contains("of several databases") && refused.contains("-*"), "{refused}");
}

#[test]
fn an_appliance_on_a_copy_of_the_data_directory_does_not_write_into_the_archive_of_the_original() {
    let directory = shared();
    let mut original = Appliance::builder().existing_cluster().config(&archived_in(directory.path())).start();
    wait_for_base(&original);
    original.stop();
    let scratch = Scratch::new("copied-data");
    let data = scratch.path().join("data");
    let copied = Command::new("cp").arg("-a").arg(original.data()).arg(&data).status().unwrap();
    assert!(copied.success());
    original.start_again();
    original.wait_log("the copy goes on", |line| line["message"] == "the WAL is copied");
    let copy = Appliance::builder().data_dir(&data).config(&archived_in(directory.path())).start();
    wait_for_base(&copy);
    let directory_of = |appliance: &Appliance| appliance.logged("the WAL is copied")[0]["directory"].clone();
    assert_ne!(directory_of(&original), directory_of(&copy));
    assert_eq!(lineages(directory.path()).len(), 2);
}

#[test]
fn keep_removes_only_what_the_appliance_has_made() {
    let directory = shared();
    let theirs: Vec<PathBuf> =
        (1..4).map(|day| directory.path().join(format!("attendance-api-2026-01-0{day}T031500Z.tar"))).collect();
    for path in &theirs {
        write(path, "a backup of another appliance");
    }
    let mut appliance = super::appliance_with(1);
    let data = appliance.data();
    let first = path_of(&run(&["create"], &data, directory.path()).expect(0));
    appliance.stop();
    let second = path_of(&run(&["create"], &data, directory.path()).expect(0));
    let recorded = fs::read_to_string(data.join("operate/state.json")).unwrap();
    for path in [&first, &second] {
        assert!(recorded.contains(path.to_str().unwrap()), "{recorded}");
    }
    // Names have seconds, and a second backup in one second has the name of the next: the following have names of their own.
    let pause = || thread::sleep(Duration::from_millis(2100));
    pause();
    // The newest one is of another appliance, and cannot be restored.
    let newest =
        directory.path().join(format!("attendance-api-{}.tar", jiff::Timestamp::now().strftime("%Y-%m-%dT%H%M%SZ")));
    write(&newest, "a backup of another appliance");
    pause();
    let mut state: serde_json::Value = serde_json::from_str(&recorded).unwrap();
    state["last_success"] = serde_json::Value::Null;
    state["scheduled_since"] = "2026-01-01T00:00:00Z".into();
    write(&data.join("operate/state.json"), &state.to_string());
    let settings = format!(
        "backup:\n  schedule: \"03:15\"\n  keep: {{ daily: 1, weekly: 0, monthly: 0 }}\n  directory: {}\n",
        directory.path().display()
    );
    let appliance = appliance.settings().config(&settings).start();
    let line = appliance.wait_log("the scheduled backup", |line| line["message"] == "the scheduled backup is complete");
    assert_eq!(line["removed"], 2, "{line}");
    let verified =
        appliance.wait_log("its verification", |line| line["message"] == "the newest backup was restored for a test");
    assert_eq!(verified["file"], line["file"]);
    let left = names(directory.path());
    assert!(theirs.iter().chain([&newest]).all(|path| path.exists()), "{left:?} without {}; {line}", newest.display());
    assert!(!first.exists() && !second.exists(), "{left:?}");
}
