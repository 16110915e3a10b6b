//! Backups: made while the appliance serves, verified, restored, refused, interrupted, and what is kept of them.

mod archive;
mod archive_limit;
mod bad_input;
mod create;
mod encryption;
mod external;
mod interrupted;
mod point_in_time;
mod point_in_time_faults;
mod restore;
mod schedule;
mod shared_directory;
mod upgrade;

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Appliance, Builder, CompletedRun, create as create_record, record};

/// An appliance without a cache, with so many records.
pub(super) fn appliance_with(count: usize) -> Appliance {
    let appliance = Appliance::builder().existing_cluster().config("redis: { mode: off }\n").start();
    add_records(&appliance, "r", count);
    appliance
}

/// Stores records with ids that begin with `prefix`.
pub(super) fn add_records(appliance: &Appliance, prefix: &str, count: usize) {
    for number in 0..count {
        create_record(appliance, &record(&format!("{prefix}{number}"), "Ünal", "present", "2023-08-01")).expect(200);
    }
}

/// A `backup` command on a data directory.
pub(super) fn command(words: &[&str], data: &Path) -> Builder {
    let all: Vec<&str> = ["backup"].iter().chain(words).copied().collect();
    Appliance::builder().command(&all).arg("--data-dir").arg(&data.display().to_string())
}

/// Runs a `backup` command.
pub(super) fn run(words: &[&str], data: &Path) -> CompletedRun {
    command(words, data).finish()
}

/// Makes a backup and returns its path.
pub(super) fn back_up(data: &Path) -> PathBuf {
    path_of(&run(&["create"], data).expect(0))
}

/// The path in the output of `backup create`.
pub(super) fn path_of(created: &CompletedRun) -> PathBuf {
    PathBuf::from(created.stdout.lines().next().expect("a first line"))
}

/// Restores a backup, which must succeed.
pub(super) fn restore(file: &Path, data: &Path) -> CompletedRun {
    run(&["restore", &file.display().to_string()], data).expect(0)
}

/// The body of `search/all`.
pub(super) fn all(appliance: &Appliance) -> String {
    appliance.get("/api/v1/attendance/search/all").expect(200).text()
}

/// Everything below a directory, by name and content.
pub(super) fn files(directory: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => waiting.push(path),
                false => found.push((path.clone(), path.metadata().map_or(0, |file| file.len()))),
            }
        }
    }
    found.sort();
    found
}

/// The clusters that restores have replaced.
pub(super) fn kept_clusters(data: &Path) -> Vec<PathBuf> {
    let clusters = fs::read_dir(data.join("postgres")).expect("there are clusters").flatten().map(|entry| entry.path());
    clusters.filter(|path| path.display().to_string().contains(".before-restore-")).collect()
}

/// Fails if scratch directories or partial backups are left.
pub(super) fn assert_nothing_is_left(data: &Path) {
    let is_partial = |path: &Path| path.display().to_string().contains(".partial-");
    let left: Vec<_> = files(&data.join("operate/scratch")).into_iter().map(|(path, _)| path).collect();
    assert!(left.is_empty(), "{left:?}");
    let partial: Vec<_> = files(&data.join("backups")).into_iter().filter(|(path, _)| is_partial(path)).collect();
    assert!(partial.is_empty(), "{partial:?}");
}
