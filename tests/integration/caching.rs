//! Reads through the cache: hits and misses, conditional requests, and a Redis that is down, hangs or holds garbage.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    API, Appliance, RedisServer, Request, Response, create, eventually, record, shared, shared_postgres, unique,
    wait_for_cache, within,
};

/// An appliance with its own database that uses an external Redis; `more` continues its `redis:` section.
pub(crate) fn with_redis(redis: &RedisServer, more: &str) -> (Appliance, String) {
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).config(&redis.config()).config(more);
    let appliance = appliance.start();
    wait_for_cache(&appliance);
    (appliance, database)
}

/// Like [`with_redis`], without announcements of writes by other programs.
fn with_redis_and_unwatched(redis: &RedisServer, more: &str) -> (Appliance, String) {
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder().postgres(shared_postgres(), &database);
    let appliance = appliance.config("  watch_foreign_writes: false\n").config(&redis.config()).config(more).start();
    wait_for_cache(&appliance);
    (appliance, database)
}

/// Like [`with_redis`], without the local memory in front of Redis.
fn with_redis_and_no_local_memory(redis: &RedisServer) -> (Appliance, String) {
    with_redis(redis, "  local_memory: 0\n")
}

/// An appliance with its built-in Redis and its own database. It is not shared, because any create makes every list a miss.
fn isolated_appliance() -> Appliance {
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).start();
    wait_for_cache(&appliance);
    appliance
}

/// Sends a `GET`; returns the answer and the cache status from its access-log line.
fn cached_get(appliance: &Appliance, target: &str) -> (Response, String) {
    let id = unique("get");
    let answer = appliance.send(&Request::get(target).header("X-Request-Id", &id)).expect(200);
    let cache = appliance.access(&id)["cache"].as_str().expect("the access line has a cache status").to_owned();
    (answer, cache)
}

#[test]
fn the_second_read_is_a_hit_with_equal_bytes_until_a_create() {
    let appliance = &isolated_appliance();
    let id = unique("hit");
    create(appliance, &record(&id, "n", "s", "2023-08-01")).expect(200);
    for target in [format!("{API}/search?id={id}"), format!("{API}/search/all?id={id}")] {
        let (first, miss) = cached_get(appliance, &target);
        let (second, hit) = cached_get(appliance, &target);
        assert_eq!((miss.as_str(), hit.as_str()), ("miss", "hit"), "{target}");
        assert_eq!(first.body, second.body);
        for name in ["etag", "content-type", "cache-control", "content-length"] {
            assert_eq!(first.header(name), second.header(name), "{name}");
        }
        create(appliance, &record(&id, "later", "s", &format!("2024-{:02}-01", target.len() % 12 + 1))).expect(200);
        let (third, cache) = cached_get(appliance, &target);
        assert_eq!(cache, "miss", "{target}");
        assert_ne!(third.body, first.body);
    }
}

#[test]
fn the_key_includes_everything_the_answer_depends_on() {
    let appliance = &isolated_appliance();
    let id = unique("key");
    for day in 1..=3 {
        create(appliance, &record(&id, &format!("day {day}"), "s", &format!("2023-08-{day:02}"))).expect(200);
    }
    let queries = ["", "&date=2023-08-01", "&date=2023-08-02", "&date=20230803"];
    for _ in 0..2 {
        let names: Vec<Value> = queries
            .map(|query| cached_get(appliance, &format!("{API}/search?id={id}{query}")).0.json()["name"].clone())
            .into();
        assert_eq!(names, ["day 3", "day 1", "day 2", "day 3"]);
        let counts = ["", "&limit=1", "&limit=2", "&from=2023-08-03", "&to=2023-08-02", "&name=day%201", "&status=x"]
            .map(|query| {
                cached_get(appliance, &format!("{API}/search/all?id={id}{query}")).0.json().as_array().unwrap().len()
            });
        assert_eq!(counts, [3, 1, 2, 1, 2, 1, 0]);
    }
    let (page, cache) = cached_get(appliance, &format!("{API}/search/all?id={id}&limit=2"));
    assert_eq!(cache, "hit");
    assert!(page.header("link").is_some_and(|link| link.contains("after=")), "a hit has its Link header too");
}

#[test]
fn only_successful_answers_are_cached() {
    let redis = RedisServer::start();
    let (appliance, database) = with_redis(&redis, "");
    appliance.get(&format!("{API}/search?id=late")).expect(404);
    appliance.get(&format!("{API}/search")).expect(400);
    shared_postgres().sql(&database).run("INSERT INTO records VALUES ('late', 'n', 's', '2023-08-01')");
    appliance.get(&format!("{API}/search?id=late")).expect(200);
}

#[test]
fn keys_have_our_prefix_and_expire_within_the_ttl() {
    let redis = RedisServer::start();
    let foreign = "flask_cache_view//api/v1/attendance/search";
    redis.command::<String>(&["SET", foreign, "cos\nsystem\n(S'true'\ntR."]);
    let (appliance, database) = with_redis_and_no_local_memory(&redis);
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    appliance.get(&format!("{API}/search?id=1")).expect(200);
    appliance.get(&format!("{API}/search/all")).expect(200);
    let answers = eventually("both answers are stored", || {
        let ours = redis.keys("*").into_iter().filter(|key| key != foreign);
        let answers: Vec<String> = ours
            .inspect(|key| assert!(key.starts_with("attendance:"), "{key}"))
            .inspect(|key| assert!(redis.command::<i64>(&["PTTL", key]) > 0, "{key} has no TTL"))
            .filter(|key| redis.command::<Vec<u8>>(&["GET", key]).windows(7).any(|part| part == b"\"date\":"))
            .collect();
        (answers.len() == 2).then_some(answers)
    });
    for key in &answers {
        assert!(redis.command::<i64>(&["PTTL", key]) <= 20_000, "{key}");
    }
    assert_eq!(
        redis.command::<String>(&["GET", foreign]),
        "cos\nsystem\n(S'true'\ntR.",
        "keys of others are not changed"
    );
    assert_eq!(redis.keys("flask*").len(), 1);
    drop((appliance, database));
}

#[test]
fn without_announcements_a_change_made_directly_in_postgresql_is_seen_after_the_ttl() {
    let redis = RedisServer::start();
    let (appliance, database) = with_redis_and_unwatched(&redis, "  local_memory: 0\n  ttl: 2s\n");
    create(&appliance, &record("1", "before", "s", "2023-08-01")).expect(200);
    let name = || appliance.get(&format!("{API}/search?id=1")).expect(200).json()["name"].clone();
    assert_eq!(name(), "before");
    shared_postgres().sql(&database).run("UPDATE records SET name = 'after'");
    within(Duration::from_secs(60), "the cached answer expires", || (name() == "after").then_some(()));
}

#[test]
fn a_matching_entity_tag_is_answered_with_304() {
    let id = unique("etag");
    create(shared(), &record(&id, "n", "s", "2023-08-01")).expect(200);
    for target in [format!("{API}/search?id={id}"), format!("{API}/search/all?id={id}")] {
        let tag = shared().get(&target).expect(200).header("etag").expect("an entity tag").to_owned();
        assert!(tag.ends_with('"') && tag.contains('"'), "{tag}");
        let with = |value: &str| shared().send(&Request::get(&target).header("If-None-Match", value));
        for value in [tag.clone(), "*".into(), format!("W/{}", tag.trim_start_matches("W/")), format!("\"x\", {tag}")] {
            let answer = with(&value).expect(304);
            assert!(answer.body.is_empty());
            assert_eq!(answer.header("etag"), Some(tag.as_str()));
            assert_eq!(answer.header("cache-control"), Some("no-cache"));
            assert!(answer.header("x-request-id").is_some());
        }
        for value in ["\"x\"", "x", "", tag.trim_matches('"')] {
            with(value).expect(200);
        }
        let head = Request::new("HEAD", &target).header("If-None-Match", &tag);
        shared().send(&head).expect(304);
        create(shared(), &record(&id, "n2", "s", &format!("2024-01-{:02}", target.len() % 28 + 1))).expect(200);
        let changed = with(&tag).expect(200);
        assert_ne!(changed.header("etag"), Some(tag.as_str()));
    }
    let missing = Request::get(&format!("{API}/search?id=no-such-one")).header("If-None-Match", "*");
    shared().send(&missing).expect(404);
}

#[test]
fn a_redis_that_is_down_at_startup_is_used_once_it_is_up() {
    let mut redis = RedisServer::start();
    redis.kill();
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).config(&redis.config()).start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    let target = format!("{API}/search?id=1");
    assert_ne!(cached_get(&appliance, &target).1, "hit");
    assert_eq!(appliance.get(&format!("{API}/health/detail")).expect(200).json()["redis"], "down");
    redis.restart();
    wait_for_cache(&appliance);
    eventually("the cache is used", || (cached_get(&appliance, &target).1 == "hit").then_some(()));
}

#[test]
fn no_request_fails_when_redis_dies() {
    let mut redis = RedisServer::start();
    let (appliance, _database) = with_redis(&redis, "");
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    let check = |name: &str, day: u32| {
        let answer = create(&appliance, &record("1", name, "s", &format!("2023-09-{day:02}")));
        answer.expect(200);
        assert_eq!(appliance.get(&format!("{API}/search?id=1")).expect(200).json()["name"], name);
        let all = appliance.get(&format!("{API}/search/all")).expect(200).json();
        assert_eq!(all.as_array().unwrap().last().unwrap()["name"], name);
    };
    check("up", 1);
    redis.kill();
    (2..8).for_each(|day| check("down", day));
    redis.restart();
    (8..14).for_each(|day| check("back", day));
    wait_for_cache(&appliance);
    (14..20).for_each(|day| check("settled", day));
}

#[test]
fn no_request_fails_and_no_read_is_stale_when_redis_hangs_and_returns() {
    let redis = RedisServer::start();
    let (appliance, _database) = with_redis(&redis, "");
    let target = format!("{API}/search?id=1");
    create(&appliance, &record("1", "before", "s", "2023-08-01")).expect(200);
    assert_eq!(cached_get(&appliance, &target).1, "miss");
    assert_eq!(cached_get(&appliance, &target).1, "hit");
    redis.freeze();
    create(&appliance, &record("1", "while it hangs", "s", "2023-08-02")).expect(200);
    for _ in 0..5 {
        let (answer, cache) = cached_get(&appliance, &target);
        assert_eq!(answer.json()["name"], "while it hangs");
        assert_ne!(cache, "hit");
    }
    redis.thaw();
    for _ in 0..20 {
        assert_eq!(cached_get(&appliance, &target).0.json()["name"], "while it hangs", "the stored answer is older");
    }
    wait_for_cache(&appliance);
    eventually("the cache is used", || (cached_get(&appliance, &target).1 == "hit").then_some(()));
    assert_eq!(cached_get(&appliance, &target).0.json()["name"], "while it hangs");
}

#[test]
fn an_instance_without_local_memory_hits_in_redis() {
    for managed in [true, false] {
        let redis = RedisServer::start();
        let database = shared_postgres().create_database();
        let config = if managed { "redis:\n".to_owned() } else { redis.config() };
        let appliance = Appliance::builder().postgres(shared_postgres(), &database).config(&config);
        let appliance = appliance.config("  local_memory: 0\n").start();
        wait_for_cache(&appliance);
        create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
        let target = format!("{API}/search?id=1");
        assert_eq!(cached_get(&appliance, &target).1, "miss");
        eventually("the stored answer is found", || (cached_get(&appliance, &target).1 == "hit").then_some(()));
        assert!(appliance.get("/metrics").text().contains("attendance_api_cache_local_hits_total 0"));
        create(&appliance, &record("1", "later", "s", "2023-08-02")).expect(200);
        assert_eq!(cached_get(&appliance, &target).0.json()["name"], "later", "managed: {managed}");
    }
}

#[test]
fn two_instances_find_each_others_answers_and_see_each_others_creates() {
    let redis = RedisServer::start();
    let database = shared_postgres().create_database();
    let instances: Vec<Appliance> = (0..2)
        .map(|_| Appliance::builder().postgres(shared_postgres(), &database).config(&redis.config()).start())
        .collect();
    instances.iter().for_each(wait_for_cache);
    let target = format!("{API}/search?id=1");
    for day in 1..20 {
        let (here, there) = (&instances[day % 2], &instances[(day + 1) % 2]);
        create(here, &record("1", &format!("day {day}"), "s", &format!("2023-08-{day:02}"))).expect(200);
        assert_eq!(cached_get(there, &target).0.json()["name"], format!("day {day}"));
        eventually("the other instance has a hit", || (cached_get(here, &target).1 == "hit").then_some(()));
        assert_eq!(cached_get(there, &target).1, "hit");
        assert_eq!(cached_get(here, &target).0.json()["name"], format!("day {day}"));
    }
    let local = |instance: &Appliance| {
        let text = instance.get("/metrics").text();
        let line =
            text.lines().find(|line| line.starts_with("attendance_api_cache_local_hits_total")).unwrap().to_owned();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert!(instances.iter().all(|instance| local(instance) > 0.0));
}

#[test]
fn emptying_a_shared_redis_invalidates_the_local_memory() {
    let redis = RedisServer::start();
    let (appliance, database) = with_redis_and_unwatched(&redis, "");
    create(&appliance, &record("1", "before", "s", "2023-08-01")).expect(200);
    let target = format!("{API}/search?id=1");
    cached_get(&appliance, &target);
    assert_eq!(cached_get(&appliance, &target).1, "hit");
    shared_postgres().sql(&database).run("UPDATE records SET name = 'after'");
    assert_eq!(cached_get(&appliance, &target).0.json()["name"], "before", "an external change does not invalidate");
    redis.command::<String>(&["FLUSHALL"]);
    assert_eq!(cached_get(&appliance, &target).0.json()["name"], "after");
}

#[test]
fn the_local_memory_stays_valid_when_the_built_in_redis_dies() {
    let appliance = &isolated_appliance();
    let target = format!("{API}/search?id=1");
    create(appliance, &record("1", "before", "s", "2023-08-01")).expect(200);
    cached_get(appliance, &target);
    let child = appliance.redis_child().expect("there is a child").pid;
    crate::support::signal(child, nix::sys::signal::Signal::SIGKILL);
    let (answer, cache) = cached_get(appliance, &target);
    assert_eq!((answer.json()["name"].as_str().unwrap(), cache.as_str()), ("before", "hit"));
    create(appliance, &record("1", "after", "s", "2023-08-02")).expect(200);
    let (answer, cache) = cached_get(appliance, &target);
    assert_eq!((answer.json()["name"].as_str().unwrap(), cache.as_str()), ("after", "miss"));
    assert_eq!(cached_get(appliance, &target).1, "hit");
}

#[test]
fn garbage_in_redis_is_a_miss() {
    let redis = RedisServer::start();
    let (appliance, _database) = with_redis_and_no_local_memory(&redis);
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    let targets = [format!("{API}/search?id=1"), format!("{API}/search/all"), format!("{API}/search/all?limit=1")];
    let good: Vec<Vec<u8>> = targets.iter().map(|target| appliance.get(target).expect(200).body).collect();
    let garbage = ["", "5", "null", "{}", "cposix\nsystem\np1\n(S'id'\ntRp2\n.", "<h1>hello</h1>", "\u{0}\u{1}\u{2}"];
    let huge = "x".repeat(100_000);
    for value in garbage.iter().copied().chain([huge.as_str()]) {
        for key in redis.keys("attendance:*") {
            redis.command::<String>(&["SET", &key, value]);
        }
        for (target, good) in targets.iter().zip(&good) {
            assert_eq!(&appliance.get(target).expect(200).body, good, "{value:.20} {target}");
        }
    }
    for key in redis.keys("attendance:*") {
        // In one step, because the appliance sets some keys again and again.
        let script = "redis.call('DEL', KEYS[1]); return redis.call('RPUSH', KEYS[1], 'a', 'list')";
        redis.command::<i64>(&["EVAL", script, "1", &key]);
    }
    for (target, good) in targets.iter().zip(&good) {
        assert_eq!(&appliance.get(target).expect(200).body, good, "a list in place of a value: {target}");
    }
    create(&appliance, &record("1", "new", "s", "2023-08-02")).expect(200);
    assert_eq!(appliance.get(&targets[0]).expect(200).json()["name"], "new");
}

#[test]
fn a_truncated_value_in_redis_is_a_miss() {
    let redis = RedisServer::start();
    let (appliance, _database) = with_redis_and_no_local_memory(&redis);
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    let target = format!("{API}/search?id=1");
    let good = appliance.get(&target).expect(200).body;
    let holds_answer =
        |key: &String| redis.command::<Vec<u8>>(&["GET", key]).windows(7).any(|part| part == b"\"date\":");
    let key = eventually("the answer is stored", || redis.keys("attendance:*").into_iter().find(holds_answer));
    let whole: usize = redis.command(&["STRLEN", &key]);
    for length in [1, 8, 20, whole - 2] {
        let stored: Vec<u8> = redis.command(&["GETRANGE", &key, "0", &(length - 1).to_string()]);
        redis.set_bytes(&key, &stored);
        assert_eq!(appliance.get(&target).expect(200).body, good, "{length} of {whole} bytes");
    }
}

#[test]
fn a_wrong_redis_password_is_reported_in_health_and_fails_no_request() {
    let redis = RedisServer::start();
    let database = shared_postgres().create_database();
    let wrong = redis.config().replace(&redis.password, "wr0ng-passw0rd");
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).config(&wrong).start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    appliance.get(&format!("{API}/search?id=1")).expect(200);
    let detail = appliance.get(&format!("{API}/health/detail")).expect(200).json();
    assert_eq!((&detail["redis"], &detail["status"]), (&json!("down"), &json!("up")));
    assert!(!detail["details"]["redis"]["reason"].as_str().unwrap().is_empty());
    let output = format!("{detail}{}", appliance.stdout_lines().join("\n"));
    assert!(!output.contains("wr0ng-passw0rd"), "{output}");
}

#[test]
fn without_a_cache_every_read_queries_postgresql() {
    let database = shared_postgres().create_database();
    let settings = Appliance::builder().postgres(shared_postgres(), &database).config("redis: { mode: off }\n");
    let appliance = settings.start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    assert_eq!(cached_get(&appliance, &format!("{API}/search?id=1")).1, "bypass");
    shared_postgres().sql(&database).run("UPDATE records SET name = 'changed'");
    assert_eq!(cached_get(&appliance, &format!("{API}/search?id=1")).0.json()["name"], "changed");
    appliance.get(&format!("{API}/health/detail")).expect(200);
}
