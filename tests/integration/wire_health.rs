//! Health, for load balancers, orchestrators and people.

use std::time::Duration;

use crate::support::{API, Appliance, Postgres, RedisServer, eventually, shared, shared_postgres, within};

const HEALTHY_MESSAGE: &str = "Attendance API is running fine and ready to serve requests";
const UNHEALTHY_MESSAGE: &str = "Attendance API is not healthy, please check logs";

#[test]
fn a_healthy_appliance_answers_in_the_words_of_the_reference() {
    let answer = shared().get(&format!("{API}/health")).expect(200);
    assert_eq!(answer.text(), format!("{{\"message\":\"{HEALTHY_MESSAGE}\"}}\n"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(shared().get("/livez").expect(200).status, 200);
    assert_eq!(shared().get("/readyz").expect(200).status, 200);
}

#[test]
fn the_detail_begins_as_in_the_reference_and_adds_reasons() {
    eventually("redis is up", || (shared().get(&format!("{API}/health/detail")).json()["redis"] == "up").then_some(()));
    let answer = shared().get(&format!("{API}/health/detail")).expect(200);
    let start = format!(
        "{{\"message\":\"{HEALTHY_MESSAGE}\",\"postgresql\":\"up\",\"redis\":\"up\",\"status\":\"up\",\"version\":\""
    );
    assert!(answer.text().starts_with(&start), "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
    assert!(body["uptime_seconds"].is_number());
    for dependency in ["postgresql", "redis"] {
        let detail = &body["details"][dependency];
        assert_eq!(detail["managed"], true, "{body}");
        assert!(detail["latency_ms"].is_number(), "{body}");
        let since = detail["since"].as_str().expect("since when");
        assert!(since.len() >= 20 && since.as_bytes()[10] == b'T' && since.ends_with('Z'), "RFC 3339: {since}");
        assert!(detail.get("reason").is_none_or(serde_json::Value::is_null), "{body}");
    }
}

#[test]
fn concurrent_health_checks_are_all_answered() {
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..32)
            .map(|_| {
                scope
                    .spawn(|| (0..20).map(|_| shared().get(&format!("{API}/health/detail")).status).collect::<Vec<_>>())
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client ends")).collect()
    });
    assert!(answers.iter().all(|&status| status == 200), "{answers:?}");
}

#[test]
fn the_service_stays_up_when_only_redis_is_down() {
    let mut redis = RedisServer::start();
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).config(&redis.config()).start();
    let detail = || appliance.get(&format!("{API}/health/detail")).expect(200).json();
    eventually("redis is seen up", || (detail()["redis"] == "up").then_some(()));
    assert_eq!(detail()["details"]["redis"]["managed"], false);
    redis.kill();
    let down = eventually("redis is seen down", || Some(detail()).filter(|body| body["redis"] == "down"));
    assert_eq!(
        (&down["status"], &down["postgresql"], &down["message"]),
        (&"up".into(), &"up".into(), &HEALTHY_MESSAGE.into())
    );
    assert!(!down["details"]["redis"]["reason"].as_str().expect("a reason").is_empty(), "{down}");
    appliance.get(&format!("{API}/health")).expect(200);
    appliance.get("/readyz").expect(200);
    redis.restart();
    let up = eventually("redis is seen up again", || Some(detail()).filter(|body| body["redis"] == "up"));
    assert_ne!(up["details"]["redis"]["since"], down["details"]["redis"]["since"], "since when is about the state");
}

#[test]
fn health_is_400_while_postgresql_is_down_and_recovers() {
    let mut postgres = Postgres::start();
    let database = postgres.create_database();
    let appliance = Appliance::builder().postgres(&postgres, &database).start();
    appliance.get(&format!("{API}/health")).expect(200);
    postgres.kill();
    let health = || appliance.get(&format!("{API}/health"));
    let down = eventually("health is not 200", || Some(health()).filter(|answer| answer.status != 200));
    assert_eq!(down.expect(400).text(), format!("{{\"message\":\"{UNHEALTHY_MESSAGE}\"}}\n"));
    let detail = appliance.get(&format!("{API}/health/detail")).expect(400);
    let start = format!("{{\"message\":\"{UNHEALTHY_MESSAGE}\",\"postgresql\":\"down\",\"redis\":");
    assert!(detail.text().starts_with(&start), "{}", detail.text());
    let detail = detail.json();
    assert_eq!(detail["status"], "down");
    let reason = detail["details"]["postgresql"]["reason"].as_str().expect("a reason").to_owned();
    assert!(!reason.is_empty() && !reason.contains(&postgres.password), "{reason}");
    appliance.get("/livez").expect(200);
    appliance.get("/readyz").expect(503);
    postgres.restart();
    within(Duration::from_secs(30), "health is 200 again", || (health().status == 200).then_some(()));
    eventually("readiness follows", || (appliance.get("/readyz").status == 200).then_some(()));
}
