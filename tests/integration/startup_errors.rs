//! What a person can get wrong: each ends with one readable message (what, where, what to do) and the right status, and
//! leaves nothing that blocks the next start.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::{API, Appliance, Finished, Scratch, create, lower_uid, record, shared_postgres};

/// A readable message: on stderr, not a log line, not a panic, and with these words in it.
fn tells(finished: &Finished, words: &[&str]) {
    let said = &finished.stderr;
    assert!(!said.trim().is_empty() && said.lines().count() <= 12, "one message: {said}");
    for never in ["panicked", "RUST_BACKTRACE", "Error {", "Os {", "unwrap"] {
        assert!(!said.contains(never), "{never}: {said}");
    }
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

/// `serve` with a configuration that must be refused before anything is started.
fn refused(text: &str, words: &[&str]) {
    let builder = Appliance::builder().config(text);
    let data = builder.data();
    let finished = builder.finish().expect(78);
    tells(&finished, words);
    assert!(!data.exists(), "nothing has been started: {}", data.display());
}

#[test]
fn an_unknown_key_names_the_file_the_key_and_the_one_that_was_meant() {
    refused("server: { max_bodi: 1MiB }\n", &["settings.yaml", "server.max_bodi", "max_body"]);
    refused("postgress: { host: x }\n", &["settings.yaml", "postgress", "postgres"]);
    refused("zzz: 1\n", &["settings.yaml", "zzz"]);
}

#[test]
fn a_wrong_type_names_the_key_the_value_and_what_is_expected() {
    refused("server: { max_connections: many }\n", &["settings.yaml", "server.max_connections", "many"]);
    refused("redis: { ttl: soon }\n", &["redis.ttl", "soon", "20s"]);
    refused("postgres: { host: [1, 2] }\n", &["postgres.host"]);
    refused("server: 5\n", &["server"]);
    refused("- a\n- b\n", &["settings.yaml"]);
    refused("log: { level: loud }\n", &["log.level", "loud", "debug"]);
    refused("api: { date_format: us }\n", &["api.date_format", "iso", "http"]);
    refused("server: { listen: 99999 }\n", &["server.listen"]);
    refused("postgres: { host: h, port: 70000 }\n", &["postgres.port", "70000"]);
    refused("server: { max_body: 0 }\n", &["server.max_body"]);
}

#[test]
fn a_contradiction_names_both_sides() {
    refused("redis: { mode: off, host: 10.0.0.4 }\n", &["redis.mode", "redis.host"]);
    refused("redis: { mode: external }\n", &["redis.mode", "redis.host"]);
    refused("postgres: { host: a, url: 'postgres://b/c' }\n", &["postgres.host", "postgres.url"]);
}

#[test]
fn all_problems_are_told_at_once() {
    refused(
        "server: { max_body: x, nope: 1 }\nredis: { ttl: y }\nlog: { level: z }\n",
        &["server.max_body", "server.nope", "redis.ttl", "log.level"],
    );
}

#[test]
fn what_is_not_yaml_is_located() {
    refused("server: {\n", &["settings.yaml"]);
    refused("a: b: c\n", &["settings.yaml", "1"]);
    refused("server:\n\tlisten: x\n", &["settings.yaml", "2"]);
    refused("server: { max_body: 1MiB }\nserver: { max_body: 2MiB }\n", &["settings.yaml", "server"]);
}

#[test]
fn a_secret_is_not_shown_even_when_it_is_wrong() {
    let finished = Appliance::builder()
        .config("postgres: { host: h, password: [S3CRET] }\nredis: { host: h, port: x, password: S3CRET }\n");
    let finished = finished.finish().expect(78);
    tells(&finished, &["postgres.password", "redis.port"]);
    assert!(!finished.all().contains("S3CRET"), "{}", finished.all());
}

#[test]
fn a_variable_or_flag_at_fault_is_named() {
    let finished = Appliance::builder().env("ATTENDANCE_API__SERVER__MAX_BODY", "big").finish().expect(78);
    tells(&finished, &["ATTENDANCE_API__SERVER__MAX_BODY", "big"]);
    let finished = Appliance::builder().env("ATTENDANCE_API__NOPE", "1").finish().expect(78);
    tells(&finished, &["ATTENDANCE_API__NOPE"]);
    let finished = Appliance::builder().arg("--set").arg("redis.ttl=never").finish().expect(78);
    tells(&finished, &["--set", "redis.ttl", "never"]);
}

#[test]
fn a_configuration_file_that_cannot_be_read() {
    let missing = Appliance::builder().arg("--config").arg("/no/such/config.yaml").finish().expect(78);
    tells(&missing, &["/no/such/config.yaml"]);
    let builder = Appliance::builder();
    let directory = builder.scratch().display().to_string();
    tells(&builder.arg("--config").arg(&directory).finish().expect(78), &[&directory]);
    let builder = Appliance::builder();
    let binary = builder.scratch().join("binary.yaml");
    fs::write(&binary, b"server: \xff\xfe\n").expect("a file can be written");
    tells(&builder.arg("--config").arg(&binary.display().to_string()).finish().expect(78), &["binary.yaml", "UTF-8"]);
    let builder = Appliance::builder().env("CONFIG_FILE", "/no/such/file.yaml");
    tells(&builder.finish().expect(78), &["/no/such/file.yaml", "CONFIG_FILE"]);
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let database = shared_postgres().create_database();
    let settings = || Appliance::builder().postgres(shared_postgres(), &database).config("redis: { mode: off }\n");
    let finished = settings().listen(&address).finish().expect(69);
    tells(&finished, &[&address, "in use", "listen"]);
    drop(taken);
    settings().start().stop();
}

#[test]
fn an_address_that_is_not_ours() {
    let database = shared_postgres().create_database();
    let settings = Appliance::builder().postgres(shared_postgres(), &database).config("redis: { mode: off }\n");
    tells(&settings.listen("192.0.2.1:8080").finish().expect(69), &["192.0.2.1:8080"]);
}

#[test]
fn a_data_directory_that_cannot_be_reached() {
    let place = Scratch::new("closed");
    let closed = place.path().join("closed");
    fs::create_dir(&closed).expect("a directory");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("ours");
    let finished = Appliance::builder().data_dir(&closed.join("data")).finish().expect(1);
    tells(&finished, &[&closed.display().to_string(), "--data-dir"]);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).expect("ours");
}

#[test]
fn a_data_directory_that_is_a_file() {
    let place = Scratch::new("file");
    let file = place.file("data", "");
    let finished = Appliance::builder().data_dir(&file).finish().expect(1);
    tells(&finished, &[&file.display().to_string(), "--data-dir"]);
}

#[test]
fn a_data_directory_of_root_that_holds_something_else() {
    let place = Scratch::new("other");
    place.file("letter.txt", "dear");
    // Only root's own directory would have to be given away; who starts it unprivileged owns what is there.
    if lower_uid().is_some() {
        tells(&Appliance::builder().data_dir(place.path()).finish().expect(1), &["letter.txt", "--data-dir"]);
    }
    assert_eq!(fs::metadata(place.path().join("letter.txt")).expect("it is there").len(), 4);
}

/// A directory of programs that answer `--version` like that PostgreSQL.
fn programs(directory: &Path, version: &str) -> PathBuf {
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
fn an_unsupported_postgresql() {
    let builder = Appliance::builder();
    let bin = programs(builder.scratch(), "13.9").display().to_string();
    let finished = builder.config(&format!("postgres: {{ bin_dir: {bin} }}\n")).finish().expect(1);
    tells(&finished, &[&bin, "13.9", "14"]);
}

#[test]
fn a_directory_without_programs() {
    let builder = Appliance::builder();
    let empty = builder.scratch().join("empty");
    fs::create_dir(&empty).expect("a directory");
    let text = format!("postgres: {{ bin_dir: {} }}\n", empty.display());
    tells(&builder.config(&text).finish().expect(1), &[&empty.display().to_string(), "bin_dir"]);
}

#[test]
fn data_of_another_major_version() {
    let mut appliance = Appliance::builder().config("redis: { mode: off }\n").start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    appliance.stop();
    let bin = programs(appliance.settings().scratch(), "17.2").display().to_string();
    let settings = appliance.settings();
    let finished = settings.clone().arg("--set").arg(&format!("postgres.bin_dir={bin}")).finish().expect(1);
    tells(&finished, &["16", "17", "bin_dir"]);
    let again = settings.start();
    again.get(&format!("{API}/search?id=1")).expect(200);
}

#[test]
fn a_disk_that_is_full_while_the_cluster_is_made() {
    // 10 MB are enough for the programs and not for PostgreSQL's log files of 16 MB.
    let settings = Appliance::builder().config("redis: { mode: off }\n");
    let finished = settings.clone().limits("-f 20000").finish().expect(1);
    assert!(!finished.stderr.trim().is_empty() && !finished.stderr.contains("panicked"), "{}", finished.stderr);
    let clusters = fs::read_dir(settings.data().join("postgres")).into_iter().flatten().flatten();
    let half: Vec<_> = clusters.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    assert!(half.is_empty(), "nothing half-made is left: {half:?}");
    let appliance = settings.start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
}

#[test]
fn bad_usage_is_64() {
    let cases: [&[&str]; 6] = [
        &["serv"],
        &["serve", "--nope"],
        &["serve", "extra"],
        &["config"],
        &["config", "nope"],
        &["migrate", "sideways"],
    ];
    for words in cases {
        let finished = Appliance::builder().command(words).run_as_is().expect(64);
        assert!(finished.stderr.to_lowercase().contains("usage"), "{words:?}: {}", finished.stderr);
    }
}
