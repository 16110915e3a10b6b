//! `/metrics`: the reference's series, our own series, and an exposition that `promtool` accepts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::{
    API, Appliance, Request, create, eventually, record, shared, shared_postgres, unique, wait_for_cache,
};

/// The value of each series, by name and labels.
fn scrape(appliance: &Appliance) -> BTreeMap<String, f64> {
    let answer = appliance.get("/metrics").expect(200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    let series = text.lines().filter(|line| !line.starts_with('#'));
    series
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a series has a value");
            (name.to_owned(), value.parse().expect("a value is a number"))
        })
        .collect()
}

fn isolated_appliance() -> Appliance {
    let database = shared_postgres().create_database();
    Appliance::builder().postgres(shared_postgres(), &database).start()
}

#[test]
fn promtool_accepts_the_exposition() {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is needed: run `apt-get install prometheus`");
    create(shared(), &record(&unique("prom"), "n", "s", "2023-08-01")).expect(200);
    let text = shared().get("/metrics").expect(200).body;
    promtool.stdin.take().expect("stdin is piped").write_all(&text).expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.trim().is_empty(), "{text}");
}

#[test]
fn every_alert_rule_is_valid_and_passes_its_tests() {
    for words in [
        ["check", "rules", "packaging/monitoring/prometheus/alerts.yml"],
        ["test", "rules", "tests/monitoring/alerts.test.yml"],
    ] {
        let output = Command::new("promtool")
            .args(words)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("promtool is needed: run `apt-get install prometheus`");
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{words:?}: {text}");
    }
}

#[test]
fn the_dashboards_of_the_reference_find_their_series() {
    let appliance = isolated_appliance();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(409);
    appliance.post(&format!("{API}/create"), "{}").expect(400);
    appliance.get(&format!("{API}/search?id=1")).expect(200);
    appliance.get("/nowhere").expect(404);
    appliance.get("/elsewhere").expect(404);
    let found = scrape(&appliance);
    let count = |method: &str, path: &str, status: u16| {
        let labels = format!("{{method=\"{method}\",path=\"{path}\",status=\"{status}\"}}");
        found.get(&format!("flask_http_request_duration_seconds_count{labels}")).copied().unwrap_or_default()
    };
    assert_eq!(count("POST", &format!("{API}/create"), 200), 1.0);
    assert_eq!(count("POST", &format!("{API}/create"), 409), 1.0);
    assert_eq!(count("POST", &format!("{API}/create"), 400), 1.0);
    assert_eq!(count("GET", &format!("{API}/search"), 200), 1.0);
    assert_eq!(count("GET", "unmatched", 404), 2.0);
    assert_eq!(found["flask_http_request_total{method=\"POST\",status=\"200\"}"], 1.0);
    assert_eq!(found["flask_http_request_total{method=\"GET\",status=\"404\"}"], 2.0);
    assert_eq!(found[&format!("attendance_api{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))], 1.0);
    for name in
        ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"]
    {
        assert!(found.contains_key(name), "{name}");
    }
}

#[test]
fn the_buckets_are_those_of_the_reference() {
    shared().get(&format!("{API}/health")).expect(200);
    let found = scrape(shared());
    let start = format!(
        "flask_http_request_duration_seconds_bucket{{method=\"GET\",path=\"{API}/health\",status=\"200\",le=\""
    );
    let buckets: BTreeSet<String> = found
        .keys()
        .filter_map(|series| series.strip_prefix(&start))
        .map(|rest| rest.trim_end_matches("\"}").to_owned())
        .collect();
    let expected =
        ["0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1", "2.5", "5", "7.5", "10", "+Inf"];
    assert_eq!(buckets, expected.map(String::from).into());
}

#[test]
fn requests_to_metrics_are_not_counted() {
    let appliance = isolated_appliance();
    for _ in 0..3 {
        appliance.get("/metrics").expect(200);
        appliance.send(&Request::new("HEAD", "/metrics")).expect(200);
    }
    let found = scrape(&appliance);
    assert!(!found.keys().any(|series| series.starts_with("flask_http_request_total{")), "{found:?}");
    assert!(!found.keys().any(|series| series.contains("path=\"/metrics\"")));
}

#[test]
fn our_own_series_count_what_happened() {
    let appliance = Appliance::builder().start();
    wait_for_cache(&appliance);
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(409);
    for _ in 0..3 {
        appliance.get(&format!("{API}/search?id=1")).expect(200);
    }
    // Answers are stored in Redis in the background.
    let found = eventually("the answer is stored in Redis", || {
        let stored = "attendance_api_cache_duration_seconds_count{operation=\"set\"}";
        Some(scrape(&appliance)).filter(|found| found.get(stored).is_some_and(|&count| count > 0.0))
    });
    let expected = [
        ("attendance_api_records_created_total", 1.0),
        ("attendance_api_record_conflicts_total", 1.0),
        ("attendance_api_cache_hits_total", 2.0),
        ("attendance_api_cache_misses_total", 1.0),
        ("attendance_api_cache_errors_total", 0.0),
        ("attendance_api_child_up{child=\"postgres\"}", 1.0),
        ("attendance_api_child_up{child=\"redis\"}", 1.0),
        ("attendance_api_child_restarts_total{child=\"postgres\"}", 0.0),
        ("attendance_api_pool_connections_max", 8.0),
        ("attendance_api_pool_waiters", 0.0),
        ("attendance_api_query_duration_seconds_count{operation=\"search\"}", 1.0),
    ];
    for (series, value) in expected {
        assert_eq!(found.get(series), Some(&value), "{series}");
    }
    let positive = [
        "attendance_api_query_duration_seconds_count{operation=\"create\"}",
        "attendance_api_cache_duration_seconds_count{operation=\"get\"}",
        "attendance_api_cache_duration_seconds_count{operation=\"set\"}",
        "attendance_api_pool_wait_seconds_count",
        "attendance_api_child_start_seconds{child=\"postgres\"}",
        "attendance_api_migrations_applied",
        "attendance_api_migration_duration_seconds",
        "attendance_api_connections_open",
    ];
    for series in positive {
        assert!(found.get(series).is_some_and(|&value| value > 0.0), "{series}: {:?}", found.get(series));
    }
    let build =
        found.keys().find(|series| series.starts_with("attendance_api_build_info{")).expect("build information");
    assert!(build.contains(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION"))), "{build}");
}
