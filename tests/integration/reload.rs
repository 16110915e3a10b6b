//! SIGHUP: reloadable keys change, other changed keys are named in the log, an invalid configuration changes nothing.

use nix::sys::signal::Signal;

use crate::support::{Appliance, Request, eventually, shared_postgres, signal, unique};

fn appliance_with(config: &str) -> Appliance {
    let database = shared_postgres().create_database();
    Appliance::builder().postgres(shared_postgres(), &database).config("redis: { mode: off }\n").config(config).start()
}

/// Rewrites the configuration file of a running appliance and sends SIGHUP.
fn reload(appliance: &Appliance, change: impl Fn(String) -> String) {
    let file = appliance.settings().scratch().join("settings.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, change(text)).unwrap();
    signal(appliance.pid(), Signal::SIGHUP);
}

#[test]
fn limits_and_log_change_without_a_restart() {
    let mut appliance = appliance_with("server: { max_body: 1MiB }\nlog: { level: info, access: all }\n");
    let large = format!("{{\"id\":\"{}\"}}", "x".repeat(3000));
    appliance.post("/api/v1/attendance/create", &large).expect(400);
    reload(&appliance, |text| {
        text.replace("max_body: 1MiB", "max_body: 1KiB, drain_timeout: 3s").replace("access: all", "access: errors")
    });
    let line = appliance.wait_log("the reload", |line| line["message"] == "the configuration was read again");
    let changed = line["changed"].as_str().unwrap();
    assert!(changed.contains("server.max_body") && changed.contains("log.access"), "{changed}");
    let later = appliance.wait_log("the keys that need a restart", |line| line["keys"].is_string());
    assert_eq!(later["keys"], "server.drain_timeout");
    appliance.post("/api/v1/attendance/create", &large).expect(413);
    let quiet = unique("quiet");
    appliance.send(&Request::get("/livez").header("X-Request-Id", &quiet)).expect(200);
    let loud = unique("loud");
    appliance.send(&Request::get("/nowhere").header("X-Request-Id", &loud)).expect(404);
    appliance.access(&loud);
    assert!(
        appliance.log().iter().all(|line| line["request_id"] != quiet.as_str()),
        "successful requests are no longer logged"
    );
    appliance.stop();
}

#[test]
fn the_level_changes_without_a_restart() {
    let appliance = appliance_with("server: { drain_timeout: 9s }\nlog: { level: info }\n");
    let waits = |count: usize| {
        eventually("the keys that need a restart are logged", || {
            let lines = appliance.log().iter().filter(|line| line["keys"] == "server.drain_timeout").count();
            (lines == count).then_some(())
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
    assert!(appliance.log().iter().all(|line| line["request_id"] != quiet.as_str()), "requests are logged at info");
}

#[test]
fn an_invalid_configuration_changes_nothing_and_is_logged() {
    let appliance = appliance_with("server: { max_body: 1KiB }\n");
    reload(&appliance, |text| format!("{}nonsense: 1\n", text.replace("max_body: 1KiB", "max_body: 2MiB")));
    let line = appliance.wait_log("the problems", |line| line["problems"].is_string());
    assert!(line["problems"].as_str().unwrap().contains("nonsense"), "{line}");
    let large = format!("{{\"id\":\"{}\"}}", "x".repeat(3000));
    appliance.post("/api/v1/attendance/create", &large).expect(413);
}

#[test]
fn log_lines_have_no_journal_priority_outside_the_journal() {
    // The output is a pipe and not the journal that JOURNAL_STREAM names, so lines must not begin with a priority.
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder()
        .postgres(shared_postgres(), &database)
        .config("redis: { mode: off }\n")
        .env("JOURNAL_STREAM", "1:1")
        .start();
    assert!(appliance.stdout_lines().iter().all(|line| line.starts_with('{')));
}
