//! Data directories with unusual names: they work, or are refused before anything is started.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{API, Appliance, Scratch, create, record};

/// Fails if the name was run by a shell: some of the names below would make this file.
fn assert_no_shell(scratch: &Path) {
    let found: Vec<_> = fs::read_dir(scratch).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(!found.iter().any(|name| name == "owned"), "{found:?}");
}

#[test]
fn a_name_that_has_a_meaning_for_a_shell_or_a_list_works() {
    let names = [
        "$HOME $(touch owned) `touch owned`",
        "back\\slash\\ \"quoted\" it's",
        "a\"; touch owned; \"",
        ",:;*?[x]{a,b}~#!&|<>() %s%n =a=b",
        "-rf Ünïcödé 数据 🗄 .",
    ];
    let temporary = Scratch::new("temporary");
    fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o777)).unwrap();
    for name in names {
        let scratch = Scratch::new("name");
        let data = scratch.path().join(name);
        // New, so that initdb runs with this name.
        let builder = Appliance::builder().env("TMPDIR", &temporary.path().display().to_string());
        let mut appliance = builder.data_dir(&data).config("redis: { mode: off }\n").start();
        assert_eq!(create(&appliance, &record("1", "n", "s", "2023-08-01")).status, 200, "{name}");
        appliance.stop();
        appliance.start_again();
        appliance.get(&format!("{API}/search?id=1")).expect(200);
        appliance.stop();
        assert!(data.join("postgres/16/PG_VERSION").exists(), "{name}");
        assert_no_shell(scratch.path());
        assert_no_shell(appliance.settings().scratch());
    }
    let left = fs::read_dir(temporary.path()).unwrap().flatten().map(|entry| entry.file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains("initdb")).collect();
    assert!(left.is_empty(), "the programs for initdb are removed: {left:?}");
}

#[test]
fn a_long_name_works_and_a_longer_one_is_refused() {
    let scratch = Scratch::new("long");
    let long = scratch.path().join("x".repeat(200)).join("y".repeat(200)).join("z".repeat(200));
    let mut appliance = Appliance::builder().data_dir(&long).config("redis: { mode: off }\n").start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    appliance.stop();
    let longer = long.join("x".repeat(200));
    let finished = Appliance::builder().data_dir(&longer).finish().expect(78);
    assert!(
        finished.stderr.contains("longer than 800 bytes") && finished.stderr.contains("--data-dir"),
        "{}",
        finished.stderr
    );
    assert!(!longer.exists());
    let component = scratch.path().join("x".repeat(300));
    let finished = Appliance::builder().data_dir(&component).finish().expect(1);
    assert!(finished.stderr.contains("too long") && finished.stderr.contains("--data-dir"), "{}", finished.stderr);
}

#[test]
fn a_name_with_a_control_character_or_other_bytes_than_utf_8_is_refused() {
    for name in ["line\nbreak", "tab\tulator", "bell\u{7}", "\u{85}"] {
        let scratch = Scratch::new("control");
        let data = scratch.path().join(name);
        let finished = Appliance::builder().data_dir(&data).finish().expect(78);
        assert!(finished.stderr.contains("control character"), "{}", finished.stderr);
        assert!(!data.exists());
    }
    // Not an argument of the harness, which passes text: the variable of systemd, the home directory, the working directory.
    let scratch = Scratch::new("bytes");
    let program = env!("CARGO_BIN_EXE_attendance-api");
    for name in [&b"\xff\xfe"[..], b"line\nbreak"] {
        let data = scratch.path().join(OsStr::from_bytes(name));
        fs::create_dir(&data).unwrap();
        let variants: [&dyn Fn(&mut Command); 3] = [
            &|command| {
                command.env("STATE_DIRECTORY", &data);
            },
            &|command| {
                command.arg("--data-dir").arg("data").current_dir(&data);
            },
            &|command| {
                command.arg("--data-dir").arg(&data);
            },
        ];
        for variant in variants {
            let mut command = Command::new(program);
            command.args(["serve", "--listen", "127.0.0.1:0"]).env_clear().env("PATH", "/usr/bin:/bin");
            variant(&mut command);
            let output = command.output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(matches!(output.status.code(), Some(78 | 64)), "{:?}: {stderr}", output.status);
            assert!(stderr.contains("UTF-8") || stderr.contains("control character"), "{stderr}");
            assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "nothing was started");
        }
    }
}
