//! Wrong configuration and a wrong environment. Policy: each ends with one readable message (what, where, what to do) and
//! the documented exit status, and leaves nothing that blocks the next start.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::{API, Appliance, CompletedRun, Scratch, create, record, shared_postgres, unprivileged_user};

/// Fails unless stderr has one short message, neither a log line nor a panic, that contains these words.
fn assert_message(finished: &CompletedRun, words: &[&str]) {
    let message = &finished.stderr;
    assert!(!message.trim().is_empty() && message.lines().count() <= 12, "one message: {message}");
    for forbidden in ["panicked", "RUST_BACKTRACE", "Error {", "Os {", "unwrap"] {
        assert!(!message.contains(forbidden), "{forbidden}: {message}");
    }
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

/// Runs `serve` with a configuration that must be rejected before anything is started.
fn assert_config_rejected(text: &str, words: &[&str]) {
    let builder = Appliance::builder().config(text);
    let data = builder.data();
    let finished = builder.finish().expect(78);
    assert_message(&finished, words);
    assert!(!data.exists(), "nothing has been started: {}", data.display());
}

#[test]
fn an_unknown_key_is_named_with_its_file_and_the_closest_key() {
    assert_config_rejected("server: { max_bodi: 1MiB }\n", &["settings.yaml", "server.max_bodi", "max_body"]);
    assert_config_rejected("postgress: { host: x }\n", &["settings.yaml", "postgress", "postgres"]);
    assert_config_rejected("zzz: 1\n", &["settings.yaml", "zzz"]);
}

#[test]
fn a_value_of_a_wrong_type_is_named_with_its_key_and_what_is_expected() {
    assert_config_rejected("server: { max_connections: many }\n", &["settings.yaml", "server.max_connections", "many"]);
    assert_config_rejected("redis: { ttl: soon }\n", &["redis.ttl", "soon", "20s"]);
    assert_config_rejected("postgres: { host: [1, 2] }\n", &["postgres.host"]);
    assert_config_rejected("server: 5\n", &["server"]);
    assert_config_rejected("- a\n- b\n", &["settings.yaml"]);
    assert_config_rejected("log: { level: loud }\n", &["log.level", "loud", "debug"]);
    assert_config_rejected("api: { date_format: us }\n", &["api.date_format", "iso", "http"]);
    assert_config_rejected("server: { listen: 99999 }\n", &["server.listen"]);
    assert_config_rejected("postgres: { host: h, port: 70000 }\n", &["postgres.port", "70000"]);
    assert_config_rejected("server: { max_body: 0 }\n", &["server.max_body"]);
}

#[test]
fn contradicting_keys_are_both_named() {
    assert_config_rejected("redis: { mode: off, host: 10.0.0.4 }\n", &["redis.mode", "redis.host"]);
    assert_config_rejected("redis: { mode: external }\n", &["redis.mode", "redis.host"]);
    assert_config_rejected("postgres: { host: a, url: 'postgres://b/c' }\n", &["postgres.host", "postgres.url"]);
}

#[test]
fn all_problems_are_reported_together() {
    assert_config_rejected(
        "server: { max_body: x, nope: 1 }\nredis: { ttl: y }\nlog: { level: z }\n",
        &["server.max_body", "server.nope", "redis.ttl", "log.level"],
    );
}

#[test]
fn invalid_yaml_is_reported_with_its_location() {
    assert_config_rejected("server: {\n", &["settings.yaml"]);
    assert_config_rejected("a: b: c\n", &["settings.yaml", "1"]);
    assert_config_rejected("server:\n\tlisten: x\n", &["settings.yaml", "2"]);
    assert_config_rejected("server: { max_body: 1MiB }\nserver: { max_body: 2MiB }\n", &["settings.yaml", "server"]);
}

#[test]
fn an_invalid_secret_is_not_shown() {
    let finished = Appliance::builder()
        .config("postgres: { host: h, password: [S3CRET] }\nredis: { host: h, port: x, password: S3CRET }\n");
    let finished = finished.finish().expect(78);
    assert_message(&finished, &["postgres.password", "redis.port"]);
    assert!(!finished.output().contains("S3CRET"), "{}", finished.output());
}

#[test]
fn an_invalid_variable_or_flag_is_named() {
    let finished = Appliance::builder().env("ATTENDANCE_API__SERVER__MAX_BODY", "big").finish().expect(78);
    assert_message(&finished, &["ATTENDANCE_API__SERVER__MAX_BODY", "big"]);
    let finished = Appliance::builder().env("ATTENDANCE_API__NOPE", "1").finish().expect(78);
    assert_message(&finished, &["ATTENDANCE_API__NOPE"]);
    let finished = Appliance::builder().arg("--set").arg("redis.ttl=never").finish().expect(78);
    assert_message(&finished, &["--set", "redis.ttl", "never"]);
}

#[test]
fn an_unreadable_configuration_file_is_named() {
    let missing = Appliance::builder().arg("--config").arg("/no/such/config.yaml").finish().expect(78);
    assert_message(&missing, &["/no/such/config.yaml"]);
    let builder = Appliance::builder();
    let directory = builder.scratch().display().to_string();
    assert_message(&builder.arg("--config").arg(&directory).finish().expect(78), &[&directory]);
    let builder = Appliance::builder();
    let binary = builder.scratch().join("binary.yaml");
    fs::write(&binary, b"server: \xff\xfe\n").expect("a file can be written");
    assert_message(
        &builder.arg("--config").arg(&binary.display().to_string()).finish().expect(78),
        &["binary.yaml", "UTF-8"],
    );
    let builder = Appliance::builder().env("CONFIG_FILE", "/no/such/file.yaml");
    assert_message(&builder.finish().expect(78), &["/no/such/file.yaml", "CONFIG_FILE"]);
}

#[test]
fn a_listen_address_in_use_is_named() {
    let occupied = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = occupied.local_addr().expect("bound").to_string();
    let database = shared_postgres().create_database();
    let settings = || Appliance::builder().postgres(shared_postgres(), &database).config("redis: { mode: off }\n");
    let finished = settings().listen(&address).finish().expect(69);
    assert_message(&finished, &[&address, "in use", "listen"]);
    drop(occupied);
    settings().start().stop();
}

#[test]
fn a_listen_address_of_another_machine_is_named() {
    let database = shared_postgres().create_database();
    let settings = Appliance::builder().postgres(shared_postgres(), &database).config("redis: { mode: off }\n");
    assert_message(&settings.listen("192.0.2.1:8080").finish().expect(69), &["192.0.2.1:8080"]);
}

#[test]
fn an_inaccessible_data_directory_is_named() {
    let directory = Scratch::new("closed");
    let closed = directory.path().join("closed");
    fs::create_dir(&closed).expect("a directory");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("ours");
    let finished = Appliance::builder().data_dir(&closed.join("data")).finish().expect(1);
    assert_message(&finished, &[&closed.display().to_string(), "--data-dir"]);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).expect("ours");
}

#[test]
fn a_data_directory_that_is_a_file_is_named() {
    let directory = Scratch::new("file");
    let file = directory.file("data", "");
    let finished = Appliance::builder().data_dir(&file).finish().expect(1);
    assert_message(&finished, &[&file.display().to_string(), "--data-dir"]);
}

#[test]
fn a_data_directory_with_unrelated_files_is_rejected_and_left_alone() {
    let directory = Scratch::new("other");
    directory.file("letter.txt", "dear");
    // Only a start as root would change the owner of what is in the directory, so only that is rejected.
    if unprivileged_user().is_some() {
        assert_message(
            &Appliance::builder().data_dir(directory.path()).finish().expect(1),
            &["letter.txt", "--data-dir"],
        );
    }
    assert_eq!(fs::metadata(directory.path().join("letter.txt")).expect("it is there").len(), 4);
}

/// A directory of scripts that answer `--version` as PostgreSQL of that version does.
fn fake_programs(directory: &Path, version: &str) -> PathBuf {
    let bin = directory.join(format!("postgresql-{version}"));
    fs::create_dir(&bin).expect("a directory");
    for name in ["initdb", "postgres", "pg_ctl"] {
        let path = bin.join(name);
        fs::write(&path, format!("#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    }
    bin
}

#[test]
fn an_unsupported_postgresql_version_is_named() {
    let builder = Appliance::builder();
    let bin = fake_programs(builder.scratch(), "13.9").display().to_string();
    let finished = builder.config(&format!("postgres: {{ bin_dir: {bin} }}\n")).finish().expect(1);
    assert_message(&finished, &[&bin, "13.9", "14"]);
}

#[test]
fn a_bin_dir_without_programs_is_named() {
    let builder = Appliance::builder();
    let empty = builder.scratch().join("empty");
    fs::create_dir(&empty).expect("a directory");
    let text = format!("postgres: {{ bin_dir: {} }}\n", empty.display());
    assert_message(&builder.config(&text).finish().expect(1), &[&empty.display().to_string(), "bin_dir"]);
}

#[test]
fn a_cluster_of_another_major_version_is_rejected_and_left_alone() {
    let mut appliance = Appliance::builder().existing_cluster().config("redis: { mode: off }\n").start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    appliance.stop();
    let bin = fake_programs(appliance.settings().scratch(), "17.2").display().to_string();
    let settings = appliance.settings();
    let finished = settings.clone().arg("--set").arg(&format!("postgres.bin_dir={bin}")).finish().expect(1);
    assert_message(&finished, &["16", "17", "bin_dir"]);
    let again = settings.start();
    again.get(&format!("{API}/search?id=1")).expect(200);
}

#[test]
fn a_full_disk_during_initdb_leaves_no_half_made_cluster() {
    // A limit of 10 MB for each file: enough for the programs, not for PostgreSQL's WAL files of 16 MB.
    let settings = Appliance::builder().config("redis: { mode: off }\n");
    let finished = settings.clone().limits("-f 20000").finish().expect(1);
    assert!(!finished.stderr.trim().is_empty() && !finished.stderr.contains("panicked"), "{}", finished.stderr);
    let clusters = fs::read_dir(settings.data().join("postgres")).into_iter().flatten().flatten();
    let half_made: Vec<_> = clusters.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    assert!(half_made.is_empty(), "nothing half-made is left: {half_made:?}");
    let appliance = settings.start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
}

#[test]
fn wrong_usage_exits_with_64() {
    let cases: [&[&str]; 6] = [
        &["serv"],
        &["serve", "--nope"],
        &["serve", "extra"],
        &["config"],
        &["config", "nope"],
        &["migrate", "sideways"],
    ];
    for words in cases {
        let finished = Appliance::builder().command(words).finish_without_default_args().expect(64);
        assert!(finished.stderr.to_lowercase().contains("usage"), "{words:?}: {}", finished.stderr);
    }
}
