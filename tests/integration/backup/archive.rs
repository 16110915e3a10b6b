//! The archive of WAL over time: lineages of earlier clusters, damaged descriptions, a directory that does not answer.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;

use super::point_in_time::{archived, assert_archive_is_complete, restore_to, wait_for_base, windows};
use super::schedule::backup_detail;
use super::{add_records, all, back_up, files, restore, run};
use crate::support::{API, Appliance, eventually};

/// The directories of lineages, the oldest first.
pub(super) fn lineages(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join("wal")).into_iter().flatten().flatten();
    let mut found: Vec<(String, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            Some((name.splitn(3, '-').nth(2)?.to_owned(), entry.path()))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// Makes the last moment of a lineage one of this many days ago, and its bases an hour older.
fn age(lineage: &Path, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 86_400);
    for (path, _) in files(lineage) {
        if path.extension().is_some_and(|extension| extension == "json") {
            let mut description: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            let from = jiff::Timestamp::try_from(then - Duration::from_secs(3600)).unwrap();
            description["from"] = from.to_string().into();
            fs::write(&path, description.to_string()).unwrap();
        }
        File::options().append(true).open(&path).and_then(|file| file.set_modified(then)).unwrap();
    }
}

fn is_gone(path: &Path) -> Option<()> {
    (!path.exists()).then_some(())
}

#[test]
fn the_archive_of_an_earlier_cluster_goes_when_all_of_it_is_too_old_and_not_before() {
    let mut appliance = archived();
    let data = appliance.data();
    let backup = back_up(&data);
    // Two further clusters, with system identifiers of their own.
    for round in 0..2 {
        add_records(&appliance, &format!("round{round}-"), 1);
        appliance.stop();
        restore(&backup, &data);
        appliance.start_again();
        wait_for_base(&appliance);
    }
    let found = lineages(&data.join("backups"));
    assert_eq!((found.len(), windows(&data).len()), (3, 3), "{found:?}");
    add_records(&appliance, "last", 1);
    let before = all(&appliance);
    age(&found[0], 8);
    age(&found[1], 6);
    eventually("what is too old is removed", || is_gone(&found[0]));
    assert!(found[1].exists() && found[2].exists(), "it has moments of the last seven days");
    appliance.stop();
    assert_eq!(windows(&data).len(), 2);
    restore_to("latest", &data);
    appliance.start_again();
    assert_eq!(all(&appliance), before);
    wait_for_base(&appliance);
    appliance.stop();

    // While no appliance runs, `forget` does the same.
    for lineage in &found[1..] {
        age(lineage, 30);
    }
    let forgotten = run(&["forget"], &data).expect(0).stdout;
    assert!(forgotten.contains(found[1].to_str().unwrap()) && forgotten.contains(".before-restore-"), "{forgotten}");
    assert!(!found[1].exists() && !found[2].exists(), "{forgotten}");
    assert_eq!(lineages(&data.join("backups")).len(), 1, "what is not too old stays");
    restore_to("latest", &data);
}

/// The descriptions of bases.
fn descriptions(data: &Path) -> Vec<PathBuf> {
    let all = files(&data.join("backups/wal")).into_iter().map(|(path, _)| path);
    all.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}

fn listed(data: &Path) -> Value {
    serde_json::from_str(&run(&["list", "--json"], data).expect(0).stdout).unwrap()
}

#[test]
fn a_damaged_description_is_named_and_another_base_is_made() {
    let mut appliance = archived();
    let data = appliance.data();
    add_records(&appliance, "r", 1);
    let damage = || {
        let newest = descriptions(&data).into_iter().next_back().unwrap();
        let text = fs::read(&newest).unwrap();
        fs::write(&newest, &text[..text.len() / 2]).unwrap();
        newest
    };
    let is_named = |appliance: &Appliance, file: &Path| {
        let lines = appliance.logged("a base backup cannot be used");
        lines.iter().any(|line| line["file"] == file.display().to_string())
    };
    appliance.stop();
    let first = damage();
    let found = listed(&data);
    assert_eq!(
        (&found["base"], &found["damaged"][0]["file"]),
        (&serde_json::json!([]), &first.display().to_string().into())
    );
    let text = run(&["list"], &data).expect(0).stdout;
    assert!(text.contains(first.to_str().unwrap()) && text.contains("damaged: it was altered"), "{text}");
    let refused = run(&["restore", "--to", "latest"], &data).expect(1).stderr;
    assert!(refused.contains("has no base backup"), "{refused}");

    appliance.start_again();
    wait_for_base(&appliance);
    eventually("the damaged one is named", || is_named(&appliance, &first).then_some(()));
    assert!(first.exists() && first.with_extension("tar.zst").exists(), "what may be mended stays");
    // Also while it runs.
    let second = damage();
    eventually("it is named", || is_named(&appliance, &second).then_some(()));
    eventually("another base", || (appliance.logged("a base backup is complete").len() == 2).then_some(()));
    assert!(backup_detail(&appliance)["reason"].is_null());
    add_records(&appliance, "later", 1);
    assert_archive_is_complete(&mut appliance);
}

#[test]
fn an_archive_that_does_not_answer_is_reported_and_requests_are_served() {
    let appliance = archived();
    let confirmed = lineages(&appliance.data().join("backups"))[0].join("confirmed");
    // As on a network file system that is away: who opens it waits.
    let pipe = confirmed.with_file_name("pipe");
    mkfifo(&pipe, Mode::from_bits_truncate(0o666)).unwrap();
    fs::set_permissions(&pipe, fs::Permissions::from_mode(0o666)).unwrap();
    fs::rename(&pipe, &confirmed).unwrap();
    let reason = || backup_detail(&appliance)["reason"].as_str().map(str::to_owned);
    let mut number = 0;
    eventually("the reason is reported", || {
        // A request that waited would not get its answer.
        number += 1;
        add_records(&appliance, &format!("r{number}-"), 1);
        appliance.get(&format!("{API}/search?id=r{number}-0")).expect(200);
        reason()?.contains("does not answer within").then_some(())
    });
    let released = File::options().read(true).write(true).open(&confirmed).unwrap();
    fs::remove_file(&confirmed).unwrap();
    drop(released);
    eventually("the archive has recovered", || reason().is_none().then_some(()));
    assert!(eventually("it is confirmed again", || confirmed.metadata().ok()).is_file());
}
