//! What is written to standard output: one JSON object a line, complete, and without secrets.

use serde_json::Value;

use crate::support::{
    API, Appliance, RedisServer, Request, cache_is_up, create, eventually, record, shared, shared_postgres, unique,
};

fn asked(appliance: &Appliance, request: Request) -> Value {
    let id = unique("log");
    appliance.send(&request.header("X-Request-Id", &id));
    appliance.access(&id)
}

#[test]
fn every_line_is_a_json_object_with_the_members_of_the_reference() {
    shared().get("/livez").expect(200);
    shared().wait_log("an access line", |line| line.get("status_code").is_some());
    for line in shared().lines() {
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
fn a_request_leaves_one_line_that_tells_all() {
    let line = asked(shared(), Request::get(&format!("{API}/health")));
    assert_eq!(line["request"], format!("GET {API}/health HTTP/1.1"));
    assert_eq!(line["status_code"], 200);
    assert_eq!(line["method"], "GET");
    assert!(line["remote_address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1")), "{line}");
    assert!(line["duration_ms"].as_f64().is_some_and(|duration| duration >= 0.0), "{line}");
    let id = line["request_id"].as_str().expect("an id").to_owned();
    let lines = shared().log().iter().filter(|other| other["request_id"] == id.as_str()).count();
    assert_eq!(lines, 1);
    let missing = asked(shared(), Request::get("/nowhere?x=%22%0a"));
    assert_eq!(missing["status_code"], 404);
    assert_eq!(missing["request"], "GET /nowhere?x=%22%0a HTTP/1.1");
}

#[test]
fn the_line_says_what_the_cache_did() {
    cache_is_up(shared());
    let id = unique("cache-field");
    create(shared(), &record(&id, "n", "s", "2023-08-01")).expect(200);
    let target = format!("{API}/search?id={id}");
    let cache = || asked(shared(), Request::get(&target))["cache"].clone();
    assert_eq!((cache(), cache()), ("miss".into(), "hit".into()));
}

#[test]
fn a_request_body_never_appears() {
    let name = unique("Confidential Name");
    create(shared(), &record(&unique("private"), &name, "s", "2023-08-01")).expect(200);
    create(shared(), &record(&unique("private"), &name, "s", "bad date")).expect(400);
    shared().post(&format!("{API}/create"), &format!("{{\"name\":\"{name}\"")).expect(400);
    asked(shared(), Request::get("/livez").header("Authorization", "Bearer s3cret-t0ken"));
    let all = shared().lines().join("\n");
    assert!(!all.contains(&name) && !all.contains("s3cret-t0ken"));
}

#[test]
fn passwords_never_appear_even_at_the_finest_level() {
    let redis = RedisServer::start();
    let database = shared_postgres().create_database();
    let settings = Appliance::builder().postgres(shared_postgres(), &database).config(&redis.config());
    let mut appliance = settings.config("log: { level: trace }\n").start();
    cache_is_up(&appliance);
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    appliance.get(&format!("{API}/search?id=1")).expect(200);
    appliance.stop();
    let all = format!("{}{}", appliance.lines().join("\n"), appliance.complaints().join("\n"));
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
    for seen in crate::support::descendants(appliance.pid()) {
        for file in ["cmdline", "environ"] {
            let text = std::fs::read(format!("/proc/{}/{file}", seen.pid)).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&text).contains(password), "{} shows it in {file}", seen.name);
        }
    }
    appliance.stop();
    assert!(!appliance.lines().join("\n").contains(password));
}

#[test]
fn the_level_and_the_access_log_are_settings() {
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
fn text_is_for_people() {
    let database = shared_postgres().create_database();
    let settings = Appliance::builder().postgres(shared_postgres(), &database);
    let appliance = settings.config("redis: { mode: off }\nlog: { format: text }\n").spawn();
    let line = eventually("it listens", || appliance.lines().into_iter().find(|line| line.contains("listening")));
    assert!(!line.starts_with('{'), "{line}");
    assert!(line.contains("INFO") && line.contains("127.0.0.1:"), "{line}");
}
