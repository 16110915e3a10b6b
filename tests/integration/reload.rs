//! SIGHUP: what can change without a restart does, what cannot is named, what is wrong changes nothing.

use nix::sys::signal::Signal;

use crate::support::{Appliance, Request, eventually, shared_postgres, signal, unique};

fn served(config: &str) -> Appliance {
    let database = shared_postgres().create_database();
    Appliance::builder().postgres(shared_postgres(), &database).config("redis: { mode: off }\n").config(config).start()
}

/// Rewrites the configuration file of a running appliance and asks it to read it.
fn reload(appliance: &Appliance, change: impl Fn(String) -> String) {
    let file = appliance.settings().scratch().join("settings.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, change(text)).unwrap();
    signal(appliance.pid(), Signal::SIGHUP);
}

#[test]
fn limits_and_log_change_without_a_restart() {
    let mut appliance = served("server: { max_body: 1MiB }\nlog: { level: info, access: all }\n");
    let large = format!("{{\"id\":\"{}\"}}", "x".repeat(3000));
    appliance.post("/api/v1/attendance/create", &large).expect(400);
    reload(&appliance, |text| {
        text.replace("max_body: 1MiB", "max_body: 1KiB, drain_timeout: 3s").replace("access: all", "access: errors")
    });
    let told = appliance.wait_log("the reload", |line| line["message"] == "the configuration was read again");
    let changed = told["changed"].as_str().unwrap();
    assert!(changed.contains("server.max_body") && changed.contains("log.access"), "{changed}");
    let later = appliance.wait_log("what waits", |line| line["keys"].is_string());
    assert_eq!(later["keys"], "server.drain_timeout");
    appliance.post("/api/v1/attendance/create", &large).expect(413);
    let quiet = unique("quiet");
    appliance.send(&Request::get("/livez").header("X-Request-Id", &quiet)).expect(200);
    let loud = unique("loud");
    appliance.send(&Request::get("/nowhere").header("X-Request-Id", &loud)).expect(404);
    appliance.access(&loud);
    assert!(appliance.log().iter().all(|line| line["request_id"] != quiet.as_str()), "good requests leave no line now");
    appliance.stop();
}

#[test]
fn the_level_changes_without_a_restart() {
    let appliance = served("server: { drain_timeout: 9s }\nlog: { level: info }\n");
    let waits = |count: usize| {
        eventually("what waits for a restart is told", || {
            let told = appliance.log().iter().filter(|line| line["keys"] == "server.drain_timeout").count();
            (told == count).then_some(())
        });
    };
    let loud = unique("level");
    appliance.send(&Request::get("/livez").header("X-Request-Id", &loud)).expect(200);
    appliance.access(&loud);
    reload(&appliance, |text| text.replace("level: info", "level: warn").replace("9s", "8s"));
    waits(1);
    let quiet = unique("level");
    appliance.send(&Request::get("/livez").header("X-Request-Id", &quiet)).expect(200);
    reload(&appliance, |text| text.replace("8s", "7s"));
    waits(2);
    assert!(appliance.log().iter().all(|line| line["request_id"] != quiet.as_str()), "requests are told at info");
}

#[test]
fn a_wrong_configuration_changes_nothing_and_is_told() {
    let appliance = served("server: { max_body: 1KiB }\n");
    reload(&appliance, |text| format!("{}nonsense: 1\n", text.replace("max_body: 1KiB", "max_body: 2MiB")));
    let told = appliance.wait_log("the refusal", |line| line["problems"].is_string());
    assert!(told["problems"].as_str().unwrap().contains("nonsense"), "{told}");
    let large = format!("{{\"id\":\"{}\"}}", "x".repeat(3000));
    appliance.post("/api/v1/attendance/create", &large).expect(413);
}

#[test]
fn lines_of_the_journal_begin_with_their_priority() {
    // What the test reads is a pipe, not the journal: without its own device and inode there is no priority.
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder()
        .postgres(shared_postgres(), &database)
        .config("redis: { mode: off }\n")
        .env("JOURNAL_STREAM", "1:1")
        .start();
    assert!(appliance.lines().iter().all(|line| line.starts_with('{')));
}
