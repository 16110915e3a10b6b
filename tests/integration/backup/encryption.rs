//! Encrypted backups: which keys read them, and the message without one.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret;
use age::x25519::Identity;
use serde_json::Value;

use super::schedule::{backup_detail, metric, wait_for_failure, with_missed_backup};
use super::{all, appliance_with, assert_nothing_is_left, path_of, run};
use crate::support::{Appliance, Scratch, unprivileged_user};

/// Files of keys.
struct Keys {
    scratch: Scratch,
}

impl Keys {
    /// Two pairs of keys, `own` and `other`, and two passphrases.
    fn new() -> Self {
        let keys = Self { scratch: Scratch::new("keys") };
        fs::set_permissions(keys.scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["own", "other"] {
            let identity = Identity::generate();
            keys.write(&format!("{name}.key"), &format!("# a key\n{}\n", identity.to_string().expose_secret()));
            keys.write(&format!("{name}.pub"), &format!("{}\n", identity.to_public()));
            keys.write(&format!("{name}.word"), &format!("the passphrase {name}\n"));
        }
        keys
    }

    /// Writes a file that only the user of the appliance can read.
    fn write(&self, name: &str, text: &str) {
        let path = self.scratch.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some(user) = unprivileged_user() {
            chown(&path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        }
    }

    fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.scratch.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.scratch.path().join(name).display().to_string()
    }
}

/// The one message of a command that fails.
fn message(words: &[&str], data: &Path) -> String {
    let run = run(words, data).expect(1);
    let lines: Vec<&str> = run.stderr.lines().filter(|line| line.starts_with("attendance-api: ")).collect();
    assert_eq!((lines.len(), run.stderr.lines().count()), (1, 1), "{}", run.stderr);
    lines[0].to_owned()
}

fn listed(words: &[&str], data: &Path) -> Value {
    let all: Vec<&str> = ["list", "--json"].iter().chain(words).copied().collect();
    let run = run(&all, data).expect(0);
    serde_json::from_str::<Value>(&run.stdout).unwrap()["backups"][0].clone()
}

fn encrypted_backup(words: &[&str], data: &Path) -> PathBuf {
    let all: Vec<&str> = ["create"].iter().chain(words).copied().collect();
    let path = path_of(&run(&all, data).expect(0));
    assert!(path.display().to_string().ends_with("Z.tar.age"), "{}", path.display());
    path
}

#[test]
fn a_backup_that_is_encrypted_to_keys_is_opened_by_them_only() {
    let mut appliance = appliance_with(3);
    let (data, keys) = (appliance.data(), Keys::new());
    let path = encrypted_backup(&["--encrypt-to", &keys.path("own.pub")], &data);
    let file = path.to_str().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_nothing_is_left(&data);

    // Any program for the format can decrypt it.
    let bytes = fs::read(&path).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.starts_with("age-encryption.org/v1") && !text.contains("manifest") && !text.contains("PGDMP"));
    let identity: Identity = fs::read_to_string(keys.path("own.key")).unwrap().lines().nth(1).unwrap().parse().unwrap();
    let mut tar = Vec::new();
    let decryptor = age::Decryptor::new(&bytes[..]).unwrap();
    decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)).unwrap().read_to_end(&mut tar).unwrap();
    assert_eq!(tar::Archive::new(&tar[..]).entries().unwrap().count(), 5);

    let closed = listed(&[], &data);
    assert_eq!((&closed["encrypted"], closed.get("records"), closed.get("problem")), (&Value::Bool(true), None, None));
    assert_eq!(listed(&["--identity", &keys.path("own.key")], &data)["records"], 3);
    let text = run(&["list"], &data).expect(0).stdout;
    assert!(text.contains("  encrypted  "), "{text}");

    let before = all(&appliance);
    appliance.stop();
    for command in ["verify", "restore"] {
        let without = message(&[command, file], &data);
        assert!(without.contains("it is encrypted with a key; name the key with --identity"), "{without}");
        for flags in [["--identity", &keys.path("other.key")], ["--passphrase-file", &keys.path("own.word")]] {
            let wrong = message(&[command, file, flags[0], flags[1]], &data);
            assert!(wrong.contains("not with the one that was given"), "{wrong}");
        }
    }
    let verified = run(&["verify", file, "--identity", &keys.path("own.key")], &data).expect(0);
    assert!(verified.stdout.contains("can be restored: 3 records"), "{}", verified.stdout);
    let elsewhere = Scratch::new("elsewhere");
    let target = elsewhere.path().join("data");
    run(&["restore", file, "--identity", &keys.path("own.key")], &target).expect(0);
    assert_nothing_is_left(&target);
    let restored = Appliance::builder().data_dir(&target).config("redis: { mode: off }\n").start();
    assert_eq!(all(&restored), before);
}

#[test]
fn a_passphrase_opens_what_it_has_closed() {
    let appliance = appliance_with(2);
    let (data, keys) = (appliance.data(), Keys::new());
    let path = encrypted_backup(&["--passphrase-file", &keys.path("own.word")], &data);
    let file = path.to_str().unwrap();
    let without = message(&["verify", file], &data);
    assert!(without.contains("it is encrypted with a passphrase"), "{without}");
    let wrong = message(&["verify", file, "--passphrase-file", &keys.path("other.word")], &data);
    assert!(wrong.contains("encrypted with a passphrase, and not with the one that was given"), "{wrong}");
    run(&["verify", file, "--passphrase-file", &keys.path("own.word")], &data).expect(0);
}

#[test]
fn files_that_are_no_keys_are_named() {
    let appliance = appliance_with(1);
    let (data, keys) = (appliance.data(), Keys::new());
    keys.write("empty", "");
    for (words, expected) in [
        (["create", "--encrypt-to", "own.key"], "other lines than public keys"),
        (["create", "--encrypt-to", "missing"], "No such file"),
        (["create", "--passphrase-file", "empty"], "has no passphrase"),
        (["list", "--identity", "own.pub"], "other lines than private keys"),
    ] {
        let path = keys.path(words[2]);
        let found = message(&[words[0], words[1], &path], &data);
        assert!(found.contains(expected) && found.contains(&path), "{found}");
    }
    let both = ["create", "--encrypt-to", &keys.path("own.pub"), "--passphrase-file", &keys.path("own.word")];
    run(&both, &data).expect(64);
    let text = "backup: { encrypt_to: /a, passphrase_file: /b }\n";
    let refused = Appliance::builder().command(&["config", "check"]).config(text).finish().expect(78);
    assert!(refused.stderr.contains("contradict each other"), "{}", refused.stderr);
}

#[test]
fn a_flipped_bit_anywhere_in_an_encrypted_backup_is_found() {
    let mut appliance = appliance_with(2);
    let (data, keys) = (appliance.data(), Keys::new());
    let path = encrypted_backup(&["--encrypt-to", &keys.path("own.pub")], &data);
    appliance.stop();
    let good = fs::read(&path).unwrap();
    let flipped = keys.scratch.path().join("x.tar.age");
    let mut state = 88_172_645_463_325_252_u64;
    for round in 0..100 {
        // xorshift: a failure can be repeated.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // The header is small and has its own checks, so every third change is in it.
        let range = if round % 3 == 0 { 200 } else { good.len() as u64 };
        let position = usize::try_from(state % range).unwrap();
        let mut bytes = good.clone();
        bytes[position] ^= 1 << (state >> 60 & 7);
        fs::write(&flipped, &bytes).unwrap();
        let found = message(&["verify", flipped.to_str().unwrap(), "--identity", &keys.path("own.key")], &data);
        let words = ["altered", "incomplete", "not with the one that was given", "is not a backup"];
        assert!(words.iter().any(|words| found.contains(words)), "byte {position}: {found}");
    }
    for length in [good.len() - 1, good.len() / 2, 100, 10] {
        fs::write(&flipped, &good[..length]).unwrap();
        let found = message(&["verify", flipped.to_str().unwrap(), "--identity", &keys.path("own.key")], &data);
        assert!(found.contains("incomplete") || found.contains("altered") || found.contains("not a backup"), "{found}");
    }
}

#[test]
fn the_schedule_encrypts_and_verifies_with_the_configured_keys() {
    let keys = Keys::new();
    let settings = format!(
        "backup:\n  schedule: \"03:15\"\n  encrypt_to: {}\n  identity: {}\n",
        keys.path("own.pub"),
        keys.path("own.key")
    );
    let appliance = with_missed_backup(&settings);
    let line = appliance.wait_log("the scheduled backup", |line| line["message"] == "the scheduled backup is complete");
    let file = line["file"].as_str().unwrap().to_owned();
    assert!(file.ends_with(".tar.age"), "{file}");
    appliance.wait_log("its verification", |line| line["message"] == "the newest backup was restored for a test");
    assert!(backup_detail(&appliance)["reason"].is_null());
    assert_eq!(metric(&appliance, "attendance_api_backup_failed"), Some(0.0));
    let without = message(&["verify", &file], &appliance.data());
    assert!(without.contains("it is encrypted with a key"), "{without}");
}

#[test]
fn that_no_backup_is_verified_without_a_private_key_is_said_once() {
    let keys = Keys::new();
    let settings = format!("backup:\n  schedule: \"03:15\"\n  encrypt_to: {}\n", keys.path("own.pub"));
    let appliance = with_missed_backup(&settings);
    appliance.wait_log("the scheduled backup", |line| line["message"] == "the scheduled backup is complete");
    let words = "backups are encrypted to keys, and backup.identity names no private key";
    let is_said = |line: &Value| line["message"].as_str().is_some_and(|message| message.starts_with(words));
    assert_eq!(appliance.log().iter().filter(|line| is_said(line)).count(), 1);
}

#[test]
fn a_secret_that_others_can_read_is_refused_with_the_remedy() {
    let appliance = appliance_with(1);
    let (data, keys) = (appliance.data(), Keys::new());
    let word = keys.path("own.word");
    let file = encrypted_backup(&["--passphrase-file", &word], &data);
    for mode in [0o644, 0o640, 0o604, 0o602] {
        keys.set_mode("own.word", mode);
        keys.set_mode("own.key", mode);
        for words in [
            vec!["create", "--label", "x", "--passphrase-file", &word],
            vec!["verify", file.to_str().unwrap(), "--passphrase-file", &word],
            vec!["list", "--identity", &keys.path("own.key")],
        ] {
            let refused = message(&words, &data);
            assert!(refused.contains("let other users read it") && refused.contains("chmod 6"), "{mode:o}: {refused}");
        }
    }
    // Public keys are no secret.
    keys.set_mode("own.pub", 0o644);
    run(&["create", "--label", "y", "--encrypt-to", &keys.path("own.pub")], &data).expect(0);
}

#[test]
fn an_exposed_passphrase_is_a_failed_backup() {
    let keys = Keys::new();
    keys.set_mode("own.word", 0o644);
    let settings = format!("backup:\n  schedule: \"03:15\"\n  passphrase_file: {}\n", keys.path("own.word"));
    let appliance = with_missed_backup(&settings);
    let detail = wait_for_failure(&appliance);
    let reason = detail["reason"].as_str().unwrap();
    assert!(reason.contains("own.word") && reason.contains("chmod 600"), "{reason}");
    assert!(!appliance.data().join("backups").exists() || super::files(&appliance.data().join("backups")).is_empty());
}

#[test]
fn a_list_of_many_encrypted_backups_opens_none_of_them_by_a_configured_passphrase() {
    let appliance = appliance_with(1);
    let (data, keys) = (appliance.data(), Keys::new());
    let word = keys.path("own.word");
    let first = encrypted_backup(&["--passphrase-file", &word], &data);
    for day in 10..18 {
        fs::copy(&first, first.with_file_name(format!("attendance-api-2026-01-{day}T031500Z.tar.age"))).unwrap();
    }
    // A pipe, which would be waited for if it was opened.
    let pipe = first.with_file_name("attendance-api-2026-01-05T031500Z.tar");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let count = |words: &[&str]| {
        let listed: Value = serde_json::from_str(&super::command(words, &data).finish().expect(0).stdout).unwrap();
        let backups = listed["backups"].as_array().unwrap().clone();
        assert_eq!(backups.len(), 10);
        assert!(backups[0]["problem"].as_str().unwrap().contains("not an ordinary file"), "{}", backups[0]);
        assert!(backups[1..].iter().all(|backup| backup["encrypted"] == true && backup.get("problem").is_none()));
        assert_eq!(backups[1]["created"], "2026-01-10T03:15:00Z");
        backups.iter().filter(|backup| backup["records"] == 1).count()
    };
    let configured = format!("--set=backup.passphrase_file={word}");
    assert_eq!(count(&["list", "--json", &configured]), 0);
    assert_eq!(count(&["list", "--json", "--passphrase-file", &word]), 5);
}
