//! `backup create` and `backup list`.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use nix::fcntl::{Flock, FlockArg};
use serde_json::Value;

use super::{add_records, appliance_with, assert_nothing_is_left, back_up, command, path_of, restore, run};
use crate::support::{API, Appliance, Mount, Scratch, create, eventually, record, records};

#[test]
fn a_backup_is_made_while_the_appliance_serves_and_is_private() {
    let appliance = appliance_with(3);
    let data = appliance.data();
    let created = run(&["create", "--label", "first-1.0"], &data).expect(0);
    assert!(created.stdout.contains("3 records"), "{}", created.stdout);
    let path = path_of(&created);
    assert_eq!(path.parent(), Some(data.join("backups").as_path()));
    let name = path.file_name().unwrap().to_string_lossy();
    assert!(name.starts_with("attendance-api-2") && name.ends_with("Z-first-1.0.tar"), "{name}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_nothing_is_left(&data);
    appliance.wait_log("the backup is logged", |line| line["message"] == "a backup is complete");

    // The tools of the system can unpack it.
    let scratch = Scratch::new("unpacked");
    let unpacked =
        Command::new("tar").arg("-xf").arg(&path).arg("-C").arg(scratch.path()).output().expect("there is a tar");
    assert!(unpacked.status.success(), "{}", String::from_utf8_lossy(&unpacked.stderr));
    let dump = fs::read(scratch.path().join("database.dump.zst.000000")).unwrap();
    assert!(zstd::decode_all(&dump[..]).unwrap().starts_with(b"PGDMP"));
    let manifest: Value = serde_json::from_slice(&fs::read(scratch.path().join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["content"]["rows"]["public.records"], 3);
    assert_eq!(manifest["label"], "first-1.0");
    // The rows of the lock of migrations are left out.
    assert!(manifest["content"]["rows"].get("public.databasechangeloglock").is_none());

    let listed = run(&["list", "--json"], &data).expect(0);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed["base"], serde_json::json!([]));
    assert_eq!(listed["backups"][0]["file"], path.display().to_string());
    assert_eq!(listed["backups"][0]["records"], 3);
    let listed = run(&["list"], &data).expect(0);
    assert!(listed.stdout.contains("3 records") && listed.stdout.lines().count() == 1, "{}", listed.stdout);
}

#[test]
fn no_secret_is_in_the_configuration_of_a_backup() {
    let text = "redis: { mode: off }\nlog: { level: info }\n";
    let appliance = Appliance::builder().existing_cluster().config(text).start();
    let path = back_up(&appliance.data());
    let scratch = Scratch::new("configuration");
    let unpacked =
        Command::new("tar").arg("-xf").arg(&path).arg("-C").arg(scratch.path()).status().expect("there is a tar");
    assert!(unpacked.success());
    let configuration = fs::read(scratch.path().join("configuration.yaml.zst.000000")).unwrap();
    let configuration = String::from_utf8(zstd::decode_all(&configuration[..]).unwrap()).unwrap();
    assert!(configuration.contains("level: info") && configuration.contains("backup:"), "{configuration}");
    let secrets =
        ["postgres/password", "postgres/roles"].map(|file| fs::read_to_string(appliance.data().join(file)).unwrap());
    let whole = super::files(scratch.path()).into_iter().map(|(path, _)| fs::read(path).unwrap());
    for bytes in whole {
        let text = zstd::decode_all(&bytes[..]).unwrap_or(bytes);
        let text = String::from_utf8_lossy(&text).into_owned();
        for secret in secrets.iter().flat_map(|text| text.split_whitespace()).filter(|word| word.len() == 64) {
            assert!(!text.contains(secret), "a password is in the backup");
        }
    }
}

#[test]
fn without_a_running_appliance_its_postgresql_is_started_for_the_backup() {
    let mut appliance = appliance_with(2);
    let data = appliance.data();
    appliance.stop();
    let path = back_up(&data);
    assert!(!data.join("postgres/16/postmaster.pid").exists());
    let verified = run(&["verify", &path.display().to_string()], &data).expect(0);
    assert!(verified.stdout.contains("can be restored: 2 records"), "{}", verified.stdout);
    assert_nothing_is_left(&data);
}

#[test]
fn a_copy_of_the_data_directory_is_backed_up_itself() {
    let mut original = appliance_with(1);
    original.stop();
    let scratch = Scratch::new("copied");
    let copy = scratch.path().join("data");
    original.start_again();
    let copied = Command::new("cp").arg("-a").arg(original.data()).arg(&copy).status().expect("there is a cp");
    assert!(copied.success());
    add_records(&original, "later", 1);
    // Of a running cluster: it recovers as after a crash.
    let created = run(&["create"], &copy).expect(0);
    assert!(created.stdout.contains("1 record ("), "{}", created.stdout);
    assert!(path_of(&created).starts_with(&copy));
}

#[test]
fn the_output_can_be_any_new_file_and_none_is_overwritten() {
    let appliance = appliance_with(1);
    let (data, scratch) = (appliance.data(), Scratch::new("output"));
    let file = scratch.path().join("mine.tar");
    let words = ["create", "--output", file.to_str().unwrap()];
    assert_eq!(path_of(&run(&words, &data).expect(0)), file);
    let before = fs::read(&file).unwrap();
    let refused = run(&words, &data).expect(1);
    assert!(refused.stderr.contains("exists and is not overwritten"), "{}", refused.stderr);
    assert!(fs::read(&file).unwrap() == before);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
}

#[test]
fn a_second_backup_at_the_same_time_is_refused() {
    let appliance = appliance_with(1);
    let data = appliance.data();
    back_up(&data);
    let lock = fs::OpenOptions::new().write(true).open(data.join("operate/backup.lock")).unwrap();
    let held = Flock::lock(lock, FlockArg::LockExclusiveNonblock).expect("no backup is being made");
    let refused = run(&["create", "--label", "second"], &data).expect(1);
    assert!(refused.stderr.contains("another backup is being made (process "), "{}", refused.stderr);
    drop(held);
    assert_nothing_is_left(&data);
    run(&["create", "--label", "third"], &data).expect(0);
}

#[test]
fn a_full_disk_leaves_no_partial_backup() {
    let appliance = appliance_with(1);
    // Incompressible enough that the backup does not fit.
    appliance.sql().run(
        "INSERT INTO records (id, name, status, date) SELECT md5(n::text) || md5((n + 1)::text), md5((n * 7)::text), 's', '2023-08-01' \
         FROM generate_series(1, 60000) AS n",
    );
    let scratch = Scratch::new("small");
    let mount = Mount::memory(scratch.path(), "size=1m");
    let file = mount.path().join("x.tar");
    let failed = run(&["create", "--output", file.to_str().unwrap()], &appliance.data()).expect(1);
    assert!(failed.stderr.contains("No space left") && failed.stderr.contains("free some space"), "{}", failed.stderr);
    assert_eq!(fs::read_dir(mount.path()).unwrap().count(), 0);
    eventually("the next one succeeds", || {
        let next = run(&["create"], &appliance.data());
        next.status.success().then_some(())
    });
}

#[test]
fn every_record_acknowledged_before_a_backup_is_in_it() {
    let appliance = appliance_with(0);
    let data = appliance.data();
    let (acknowledged, ended) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let (path, before) = thread::scope(|scope| {
        for writer in 0..64 {
            let (appliance, acknowledged, ended) = (&appliance, &acknowledged, &ended);
            scope.spawn(move || {
                for number in 0.. {
                    if ended.load(Relaxed) {
                        break;
                    }
                    let id = format!("w{writer}-{number}");
                    create(appliance, &record(&id, "n", "s", "2023-08-01")).expect(200);
                    acknowledged.lock().unwrap().push(id.clone());
                    appliance.get(&format!("{API}/search?id={id}")).expect(200);
                }
            });
        }
        eventually("records are stored", || (acknowledged.lock().unwrap().len() > 500).then_some(()));
        let before = acknowledged.lock().unwrap().clone();
        let path = back_up(&data);
        ended.store(true, Relaxed);
        (path, before)
    });
    let copy = Scratch::new("copy");
    let target = copy.path().join("data");
    restore(&path, &target);
    let restored = Appliance::builder().data_dir(&target).config("redis: { mode: off }\n").start();
    let found: HashSet<String> =
        records(&restored, "").iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect();
    let lost: Vec<_> = before.iter().filter(|id| !found.contains(*id)).collect();
    assert!(lost.is_empty(), "{} acknowledged, lost: {lost:?}", before.len());
    let never: HashSet<String> = acknowledged.lock().unwrap().iter().cloned().collect();
    assert!(found.iter().all(|id| never.contains(id)), "only records that were created are there");
}

#[test]
fn partial_files_of_killed_backups_are_removed_by_the_next_one_and_others_stay() {
    let appliance = appliance_with(1);
    let data = appliance.data();
    let directory = data.join("backups");
    back_up(&data);
    let stale = directory.join(".attendance-api-2026-01-31T120000Z.tar.partial-1");
    let other = directory.join(".letter.partial-1");
    for path in [&stale, &other] {
        fs::write(path, "x").unwrap();
    }
    command(&["create", "--label", "next"], &data).finish().expect(0);
    assert!(!stale.exists() && other.exists());
    add_records(&appliance, "later", 1);
}
