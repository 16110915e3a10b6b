//! What is no backup, or none that this version can restore: one clear message, and nothing is changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::{all, appliance_with, back_up, files, run};
use crate::support::{Appliance, CompletedRun, Mount, Scratch};

/// Where the last message is from: one line of standard error that names the problem.
fn message(run: CompletedRun, code: i32) -> String {
    let run = run.expect(code);
    let lines: Vec<&str> = run.stderr.lines().filter(|line| line.starts_with("attendance-api: ")).collect();
    assert_eq!(lines.len(), 1, "{}", run.stderr);
    lines[0].to_owned()
}

fn verify(path: &Path, data: &Path) -> String {
    message(run(&["verify", path.to_str().unwrap()], data), 1)
}

/// Replaces the manifest of a backup, with right checksums.
fn with_manifest(backup: &[u8], change: impl Fn(&mut serde_json::Value)) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let mut archive = tar::Archive::new(backup);
    let mut builder = tar::Builder::new(Vec::new());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        let name = entry.path().unwrap().display().to_string();
        if name == "manifest.sha256" {
            continue;
        }
        let mut append = |name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_path(name).unwrap();
            header.set_size(bytes.len() as u64);
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(0o600);
            header.set_mtime(entry.header().mtime().unwrap());
            header.set_uid(0);
            header.set_gid(0);
            header.set_cksum();
            builder.append(&header, bytes).unwrap();
        };
        if name == "manifest.json" {
            let mut manifest = serde_json::from_slice(&bytes).unwrap();
            change(&mut manifest);
            let mut bytes = serde_json::to_vec_pretty(&manifest).unwrap();
            bytes.push(b'\n');
            let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            append(&name, &bytes);
            append("manifest.sha256", format!("{digest} {:012}\n", bytes.len()).as_bytes());
        } else {
            append(&name, &bytes);
        }
    }
    builder.into_inner().unwrap()
}

#[test]
fn what_is_no_backup_of_this_version_gets_one_message_and_changes_nothing() {
    let mut appliance = appliance_with(2);
    let data = appliance.data();
    let good = fs::read(back_up(&data)).unwrap();
    let before = all(&appliance);
    appliance.stop();
    let scratch = Scratch::new("bad");
    let file = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = scratch.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let fifo = scratch.path().join("fifo");
    mkfifo(&fifo, Mode::from_bits_truncate(0o666)).unwrap();
    let mut other = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    other.append_data(&mut header, "letter.txt", &b"abc"[..]).unwrap();
    let cases: Vec<(PathBuf, &str)> = vec![
        (file("truncated", &good[..good.len() / 2]), "it is incomplete: it ends after"),
        (file("one-byte-less", &good[..good.len() - 1]), "it is incomplete"),
        (file("longer", &[&good[..], b"x"].concat()), "something follows its end"),
        (file("empty", b""), "it is incomplete: it ends after 0 bytes"),
        (file("text", &b"hello\n".repeat(1000)), "is not a backup of attendance-api"),
        (file("other", &other.into_inner().unwrap()), "is not a backup of attendance-api"),
        (
            file("product", &with_manifest(&good, |m| m["product"] = "other".into())),
            "is not a backup of attendance-api",
        ),
        (
            file(
                "format",
                &with_manifest(&good, |m| {
                    m["format"] = 2.into();
                    m["appliance"] = "9.9".into();
                }),
            ),
            "attendance-api 9.9, in a form that this version does not know",
        ),
        (
            file("schema", &with_manifest(&good, |m| m["schema"]["migration"] = 9999.into())),
            "newer than that of this version",
        ),
        (
            file(
                "programs",
                &with_manifest(&good, |m| {
                    m["postgres"]["programs_major"] = 99.into();
                    m["postgres"]["programs"] = "99.1".into();
                }),
            ),
            "PostgreSQL 99.1",
        ),
        (
            file("counts", &with_manifest(&good, |m| m["content"]["rows"]["public.records"] = 3.into())),
            "2 rows, 3 were expected",
        ),
        (fifo, "is not an ordinary file"),
        (scratch.path().to_owned(), "is not an ordinary file"),
        (scratch.path().join("missing"), "No such file"),
    ];
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let untouched = files(&data.join("postgres/16"));
    for (path, words) in &cases {
        for command in ["verify", "restore"] {
            let found = message(run(&[command, path.to_str().unwrap()], &data), 1);
            assert!(found.contains(words), "{command} {}: {found}", path.display());
            assert!(words.contains("99.1") || found.contains(path.to_str().unwrap()), "{found}");
        }
    }
    assert!(files(&data.join("postgres/16")) == untouched);
    assert!(super::kept_clusters(&data).is_empty());
    appliance.start_again();
    assert_eq!(all(&appliance), before);
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let mut appliance = appliance_with(2);
    let data = appliance.data();
    let path = back_up(&data);
    appliance.stop();
    let good = fs::read(&path).unwrap();
    let scratch = Scratch::new("flipped");
    let flipped = scratch.path().join("x.tar");
    let mut state = 88_172_645_463_325_252_u64;
    for _ in 0..100 {
        // xorshift: a failure can be repeated.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let position = usize::try_from(state % good.len() as u64).unwrap();
        let mut bytes = good.clone();
        bytes[position] ^= 1 << (state >> 60 & 7);
        fs::write(&flipped, &bytes).unwrap();
        let found = verify(&flipped, &data);
        assert!(found.contains("altered") || found.contains("incomplete"), "byte {position}: {found}");
    }
}

#[test]
fn targets_that_cannot_be_written_are_named() {
    let mut appliance = appliance_with(1);
    let data = appliance.data();
    let scratch = Scratch::new("targets");
    let missing = scratch.path().join("missing/x.tar");
    let found = message(run(&["create", "--output", missing.to_str().unwrap()], &data), 1);
    assert!(found.contains("No such file") && found.contains("check the path"), "{found}");

    let medium = scratch.path().join("medium");
    fs::create_dir(&medium).unwrap();
    let _mount = Mount::memory(&medium, "size=4m");
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(&medium).status().expect("there is a mount");
    assert!(remounted.success());
    let found = message(run(&["create", "--output", medium.join("x.tar").to_str().unwrap()], &data), 1);
    assert!(
        found.contains("Read-only file system") && found.contains("choose a directory that can be written"),
        "{found}"
    );

    let pipe = scratch.path().join("pipe");
    mkfifo(&pipe, Mode::from_bits_truncate(0o666)).unwrap();
    let found = message(run(&["create", "--output", pipe.to_str().unwrap()], &data), 1);
    assert!(found.contains("exists and is not overwritten"), "{found}");

    for label in ["../x", "a b", ""] {
        let found = message(run(&["create", &format!("--label={label}")], &data), 1);
        assert!(found.contains("is no label"), "{found}");
    }
    // A file of root, for a command that is not root.
    appliance.stop();
    let theirs = scratch.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o755)).unwrap();
    let found = message(run(&["create", "--output", theirs.join("x.tar").to_str().unwrap()], &data), 1);
    if nix::unistd::geteuid().is_root() {
        assert!(found.contains("belongs to the user 0") && found.contains("chown"), "{found}");
    }
}

#[test]
fn a_clock_that_was_set_back_is_named() {
    let appliance = appliance_with(1);
    let data = appliance.data();
    let path = back_up(&data);
    let later = path.with_file_name("attendance-api-2999-01-01T000000Z.tar");
    fs::rename(&path, &later).unwrap();
    let found = message(run(&["create"], &data), 1);
    assert!(found.contains("was the clock set back?") && found.contains(later.to_str().unwrap()), "{found}");
    let elsewhere = Scratch::new("elsewhere");
    run(&["create", "--output", elsewhere.path().join("x.tar").to_str().unwrap()], &data).expect(0);
}

#[test]
fn a_schedule_that_is_no_time_and_a_relative_directory_are_refused() {
    for (text, words) in [
        ("backup: { schedule: \"25:00\" }\n", "00:00 to 23:59"),
        ("backup: { schedule: daily }\n", "00:00 to 23:59"),
        ("backup: { directory: backups }\n", "an absolute path"),
        ("backup: { verify: sometimes }\n", "weekly, off"),
        ("backup: { keep: { daily: -1 } }\n", "from 0 to 1000"),
    ] {
        let refused = Appliance::builder().command(&["config", "check"]).config(text).finish().expect(78);
        assert!(refused.stderr.contains(words), "{text}: {}", refused.stderr);
    }
}

#[test]
fn a_command_without_a_database_says_where_it_looked() {
    let scratch = Scratch::new("nothing");
    let found = message(run(&["create"], scratch.path()), 1);
    assert!(found.contains("there is no database in"), "{found}");
    let listed = run(&["list"], scratch.path()).expect(0);
    assert!(listed.stdout.contains("There are no backups in"), "{}", listed.stdout);
}
