//! The ten known defects of the Python service, one test or more for each: the appliance must not have them.

use std::time::Duration;

use crate::support::{
    API, Appliance, Postgres, RedisServer, Request, create, eventually, record, records, shared, shared_postgres,
    unique, wait_for_cache, within,
};

#[test]
fn defect_01_one_bad_request_does_not_fail_the_next() {
    let id = unique("poison");
    create(shared(), &record(&id, "n", "s", "2023-08-01")).expect(200);
    for _ in 0..20 {
        create(shared(), &record(&id, "n", "s", "2023-08-01")).expect(409);
        create(shared(), &record(&id, "n", "s", "not-a-date")).expect(400);
        shared().get(&format!("{API}/search?id='")).expect(404);
        shared().get(&format!("{API}/health")).expect(200);
        shared().get(&format!("{API}/search?id={id}")).expect(200);
        create(shared(), &record(&unique("after"), "n", "s", "2023-08-01")).expect(200);
    }
}

#[test]
fn defect_02_the_cache_tells_employees_and_errors_apart() {
    wait_for_cache(shared());
    let (one, two) = (unique("one"), unique("two"));
    create(shared(), &record(&one, "One", "Present", "2023-08-01")).expect(200);
    create(shared(), &record(&two, "Two", "Absent", "2023-08-02")).expect(200);
    let name = |id: &str| shared().get(&format!("{API}/search?id={id}")).expect(200).json()["name"].clone();
    for _ in 0..3 {
        assert_eq!(name(&one), "One");
        assert_eq!(name(&two), "Two");
        shared().get(&format!("{API}/search")).expect(400);
        shared().get(&format!("{API}/search?id={one}-unknown")).expect(404);
        shared().send(&Request::new("HEAD", &format!("{API}/search?id={two}"))).expect(200);
    }
}

#[test]
fn defect_03_search_all_shows_a_create_immediately() {
    let status = unique("stale");
    for count in 1..=20 {
        create(shared(), &record(&unique("fresh"), "n", &status, "2023-08-01")).expect(200);
        assert_eq!(records(shared(), &format!("?status={status}")).len(), count);
    }
}

#[test]
fn defect_04_an_id_is_never_sql() {
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).start();
    create(&appliance, &record("secret", "n", "s", "2023-08-01")).expect(200);
    let attacks = [
        "' OR '1'='1",
        "' OR 1=1 --",
        "' UNION SELECT 'a','b','c',now()::date --",
        "x'; DROP TABLE records; --",
        "x'); DELETE FROM records; --",
        "\\'; TRUNCATE records; --",
        "$$; DROP TABLE records; $$",
        "%",
        "_ecret",
        "${id}",
    ];
    for attack in attacks {
        let encoded: String = attack.bytes().map(|byte| format!("%{byte:02X}")).collect();
        appliance.get(&format!("{API}/search?id={encoded}")).expect(404);
        for filter in ["id", "name", "status"] {
            assert!(records(&appliance, &format!("?{filter}={encoded}")).is_empty(), "{filter}={attack}");
        }
        for bad in ["date", "from", "to", "after", "limit"] {
            let path = if bad == "date" { format!("search?id=secret&{bad}") } else { format!("search/all?{bad}") };
            appliance.get(&format!("{API}/{path}={encoded}")).expect(400);
        }
        create(&appliance, &record(attack, attack, attack, "2023-08-01")).expect(200);
        let found = appliance.get(&format!("{API}/search?id={encoded}")).expect(200).json();
        assert_eq!(found, record(attack, attack, attack, "2023-08-01"));
    }
    assert_eq!(records(&appliance, "").len(), attacks.len() + 1);
}

#[test]
fn defect_05_service_resumes_when_postgresql_returns() {
    let mut postgres = Postgres::start();
    let database = postgres.create_database();
    let appliance = Appliance::builder().postgres(&postgres, &database).config("redis: { mode: off }\n").start();
    for round in 1..=3 {
        create(&appliance, &record(&format!("{round}"), "n", "s", "2023-08-01")).expect(200);
        postgres.kill();
        for _ in 0..5 {
            appliance.get(&format!("{API}/search/all")).expect(503);
        }
        postgres.restart();
        let search = || appliance.get(&format!("{API}/search?id={round}")).status;
        within(Duration::from_secs(30), "requests are served again", || (search() == 200).then_some(()));
    }
    assert_eq!(records(&appliance, "").len(), 3);
}

#[test]
fn defect_06_reads_leave_no_transaction_open() {
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(409);
    for target in ["/search?id=1", "/search?id=2", "/search/all", "/search/all?limit=1", "/health", "/health/detail"] {
        appliance.get(&format!("{API}{target}"));
    }
    let sql = shared_postgres().sql(&database);
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'";
    assert_eq!(sql.value(open), "0");
    sql.run("SET lock_timeout = '10s'; ALTER TABLE records ADD COLUMN note text; ALTER TABLE records DROP COLUMN note");
    create(&appliance, &record("1", "n", "s", "2023-08-02")).expect(200);
    appliance.get(&format!("{API}/search?id=1")).expect(200);
}

#[test]
fn defect_07_silent_connections_do_not_delay_other_requests() {
    let silent: Vec<_> = (0..100).map(|_| shared().connect()).collect();
    let mut half: Vec<_> = (0..20).map(|_| shared().connect()).collect();
    half.iter_mut().for_each(|connection| connection.write(b"GET /api/v1/att").unwrap());
    for _ in 0..20 {
        shared().get(&format!("{API}/health")).expect(200);
        create(shared(), &record(&unique("beside-silence"), "n", "s", "2023-08-01")).expect(200);
    }
    drop((silent, half));
}

#[test]
fn defect_07_a_hung_postgresql_does_not_hang_requests() {
    let postgres = Postgres::start();
    let database = postgres.create_database();
    let appliance = Appliance::builder().postgres(&postgres, &database).start();
    wait_for_cache(&appliance);
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    postgres.freeze();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..40)
            .map(|client| {
                scope.spawn({
                    let appliance = &appliance;
                    move || status_during_hang(appliance, client)
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("every request is answered")).collect()
    });
    assert!(statuses.iter().all(|&status| status == 503), "{statuses:?}");
    appliance.get(&format!("{API}/health")).expect(400);
    appliance.get("/livez").expect(200);
    appliance.get("/metrics").expect(200);
    postgres.thaw();
    eventually("requests are served again", || {
        (appliance.get(&format!("{API}/search/all?limit=1")).status == 200).then_some(())
    });
    create(&appliance, &record("2", "n", "s", "2023-08-01")).expect(200);
}

/// The status of a read that the cache cannot answer, or of a create.
fn status_during_hang(appliance: &Appliance, client: usize) -> u16 {
    match client % 2 {
        0 => appliance.get(&format!("{API}/search?id=unknown-{client}")).status,
        _ => create(appliance, &record(&format!("new-{client}"), "n", "s", "2023-08-01")).status,
    }
}

#[test]
fn defect_08_values_in_redis_are_neither_executed_nor_served_unchecked() {
    let redis = RedisServer::start();
    let (appliance, _database) = crate::caching::with_redis(&redis, "");
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    let target = format!("{API}/search?id=1");
    let good = appliance.get(&target).expect(200).body;
    let witness = appliance.settings().scratch().join("executed");
    let pickle = format!("cposix\nsystem\n(S'touch {}'\ntR.", witness.display());
    for path in ["search", "search/all", "search?id=1"] {
        redis.command::<String>(&["SET", &format!("flask_cache_view/{API}/{path}"), &pickle]);
    }
    for key in redis.keys("attendance:*") {
        redis.command::<String>(&["SET", &key, &pickle]);
    }
    assert_eq!(appliance.get(&target).expect(200).body, good);
    assert!(!witness.exists());
}

#[test]
fn defect_09_the_cache_authenticates_with_the_redis_password() {
    let redis = RedisServer::start();
    let (appliance, _database) = crate::caching::with_redis(&redis, "");
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    appliance.get(&format!("{API}/search?id=1")).expect(200);
    assert!(!redis.keys("attendance:*").is_empty(), "the answer is stored behind the password");
}

#[test]
fn defect_10_unknown_paths_and_methods_do_not_add_metric_labels() {
    // Of its own, because each route that another test uses for the first time adds series.
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).start();
    let invent = |round: usize| {
        for number in 0..50 {
            let name = unique("invented");
            appliance.get(&format!("/{name}"));
            appliance.get(&format!("{API}/search?id={name}"));
            appliance.get(&format!("{API}/{name}/{number}"));
            appliance.send(&Request::new(&format!("M{round}X{number}"), "/livez"));
            appliance.send(&Request::new("GET", &format!("/apidocs/{name}.js")));
        }
    };
    let series = || appliance.get("/metrics").expect(200).text().lines().filter(|line| !line.starts_with('#')).count();
    invent(0);
    // The first reading adds the series of its own route.
    series();
    let before = series();
    invent(1);
    assert_eq!(series(), before);
    assert!(!appliance.get("/metrics").text().contains("invented"));
}
