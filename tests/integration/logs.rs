//! The log on standard output: one complete JSON object for each line, without secrets.

use serde_json::Value;

use crate::support::{
    API, Appliance, RedisServer, Request, create, eventually, record, shared, shared_postgres, unique, wait_for_cache,
};

fn access_line_of(appliance: &Appliance, request: Request) -> Value {
    let id = unique("log");
    appliance.send(&request.header("X-Request-Id", &id));
    appliance.access(&id)
}

#[test]
fn every_line_is_a_json_object_with_the_members_of_the_reference() {
    shared().get("/livez").expect(200);
    shared().wait_log("an access line", |line| line.get("status_code").is_some());
    for line in shared().stdout_lines() {
        let entry: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |name: &str| entry[name].as_str().unwrap_or_else(|| panic!("{name}: {line}")).to_owned();
        let time = text("timestamp");
        assert!(
            time.len() == 27 && time.as_bytes()[10] == b'T' && time.as_bytes()[19] == b'.' && time.ends_with('Z'),
            "{time}"
        );
        assert!(["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&text("level").to_uppercase().as_str()), "{line}");
        assert!(["ERROR", "WARNING", "INFO", "DEBUG"].contains(&text("levelname").as_str()), "{line}");
        text("message");
        text("target");
    }
}

#[test]
fn a_request_is_logged_in_one_complete_line() {
    let line = access_line_of(shared(), Request::get(&format!("{API}/health")));
    assert_eq!(line["request"], format!("GET {API}/health HTTP/1.1"));
    assert_eq!(line["status_code"], 200);
    assert_eq!(line["method"], "GET");
    assert!(line["remote_address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1")), "{line}");
    assert!(line["duration_ms"].as_f64().is_some_and(|duration| duration >= 0.0), "{line}");
    let id = line["request_id"].as_str().expect("an id").to_owned();
    let lines = shared().log().iter().filter(|other| other["request_id"] == id.as_str()).count();
    assert_eq!(lines, 1);
    let missing = access_line_of(shared(), Request::get("/nowhere?x=%22%0a"));
    assert_eq!(missing["status_code"], 404);
    assert_eq!(missing["request"], "GET /nowhere?x=%22%0a HTTP/1.1");
}

#[test]
fn the_access_line_has_the_cache_status() {
    wait_for_cache(shared());
    let id = unique("cache-field");
    create(shared(), &record(&id, "n", "s", "2023-08-01")).expect(200);
    let target = format!("{API}/search?id={id}");
    let cache = || access_line_of(shared(), Request::get(&target))["cache"].clone();
    assert_eq!((cache(), cache()), ("miss".into(), "hit".into()));
}

#[test]
fn request_bodies_and_credentials_are_never_logged() {
    let name = unique("Confidential Name");
    create(shared(), &record(&unique("private"), &name, "s", "2023-08-01")).expect(200);
    create(shared(), &record(&unique("private"), &name, "s", "bad date")).expect(400);
    shared().post(&format!("{API}/create"), &format!("{{\"name\":\"{name}\"")).expect(400);
    access_line_of(shared(), Request::get("/livez").header("Authorization", "Bearer s3cret-t0ken"));
    let all = shared().stdout_lines().join("\n");
    assert!(!all.contains(&name) && !all.contains("s3cret-t0ken"));
}

#[test]
fn passwords_are_not_logged_even_at_level_trace() {
    let redis = RedisServer::start();
    let database = shared_postgres().create_database();
    let settings = Appliance::builder().postgres(shared_postgres(), &database).config(&redis.config());
    let mut appliance = settings.config("log: { level: trace }\n").start();
    wait_for_cache(&appliance);
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    appliance.get(&format!("{API}/search?id=1")).expect(200);
    appliance.stop();
    let all = format!("{}{}", appliance.stdout_lines().join("\n"), appliance.stderr_lines().join("\n"));
    for secret in [&redis.password, &shared_postgres().password] {
        assert!(!all.contains(secret.as_str()), "{secret} is in the log");
    }
}

#[test]
fn the_managed_password_is_in_no_log_and_on_no_command_line() {
    let mut appliance = Appliance::builder().config("log: { level: trace }\n").start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    let password = std::fs::read_to_string(appliance.data().join("postgres/password")).expect("it is kept");
    let password = password.trim();
    assert!(password.len() >= 32, "it cannot be guessed");
    for process in crate::support::descendants(appliance.pid()) {
        for file in ["cmdline", "environ"] {
            let text = std::fs::read(format!("/proc/{}/{file}", process.pid)).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&text).contains(password), "{} shows it in {file}", process.name);
        }
    }
    appliance.stop();
    assert!(!appliance.stdout_lines().join("\n").contains(password));
}

#[test]
fn the_access_log_can_be_limited_to_errors_or_turned_off() {
    let database = shared_postgres().create_database();
    let start = |log: &str| {
        Appliance::builder()
            .postgres(shared_postgres(), &database)
            .config(&format!("redis: {{ mode: off }}\nlog: {log}\n"))
            .start()
    };
    let accesses = |appliance: &Appliance| -> Vec<u64> {
        appliance.log().iter().filter_map(|line| line["status_code"].as_u64()).collect()
    };
    let errors = start("{ access: errors }");
    errors.get("/livez").expect(200);
    errors.get("/nowhere").expect(404);
    eventually("the error is logged", || (accesses(&errors) == [404]).then_some(()));
    let off = start("{ access: off }");
    off.get("/nowhere").expect(404);
    let mut off = off;
    off.stop();
    assert!(accesses(&off).is_empty());
}

#[test]
fn the_text_format_is_not_json() {
    let database = shared_postgres().create_database();
    let settings = Appliance::builder().postgres(shared_postgres(), &database);
    let appliance = settings.config("redis: { mode: off }\nlog: { format: text }\n").spawn();
    let line =
        eventually("it listens", || appliance.stdout_lines().into_iter().find(|line| line.contains("listening")));
    assert!(!line.starts_with('{'), "{line}");
    assert!(line.contains("INFO") && line.contains("127.0.0.1:"), "{line}");
}
