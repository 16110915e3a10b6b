//! Freshness: a read that starts after a change was acknowledged shows that change, through each instance and cache.

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{
    API, Appliance, Change, FreshnessChecker, RedisServer, Request, Response, create, eventually, record,
    shared_postgres, try_signal, wait_for_cache,
};

/// Creates: version `n` of an employee is the record of the day `n`, and the latest day is the current one.
struct Creates;

impl Creates {
    /// Day `version` of an employee's history, in order.
    fn day(version: u32) -> String {
        format!("{:04}-{:02}-{:02}", 2000 + version / 336, version % 336 / 28 + 1, version % 28 + 1)
    }
}

impl Change for Creates {
    fn write(&self, subject: usize, version: u32) -> Request {
        let body = record(&format!("e{subject}"), &format!("version {version}"), "Present", &Self::day(version));
        Request::post_json(&format!("{API}/create"), body.to_string())
    }

    fn reads(&self, subject: usize, acknowledged: u32) -> Vec<Request> {
        let latest = format!("{API}/search?id=e{subject}");
        let list = format!("{API}/search/all?id=e{subject}&from={}", Self::day(acknowledged));
        vec![Request::get(&latest), Request::get(&list)]
    }

    fn shows(&self, _subject: usize, version: u32, answer: &Response) -> bool {
        let found = answer.json();
        let latest = found.as_array().map_or(Some(&found), |records| records.last());
        answer.status == 200 && latest.map(|record| &record["date"]) == Some(&Value::from(Self::day(version)))
    }

    /// The latest day is current in whatever order days are created.
    fn allows_overlapping_writes(&self) -> bool {
        true
    }
}

/// Instances on one new database that share an external Redis.
fn instances_with(redis: &RedisServer, count: usize) -> Vec<Appliance> {
    let database = shared_postgres().create_database();
    let start = |_| {
        let builder = FreshnessChecker::instance_builder().postgres(shared_postgres(), &database);
        builder.config(&redis.config()).start()
    };
    let instances: Vec<Appliance> = (0..count).map(start).collect();
    instances.iter().for_each(wait_for_cache);
    instances
}

/// An instance with the built-in Redis.
fn instance_with_built_in_redis() -> Vec<Appliance> {
    let appliance = FreshnessChecker::instance_builder().existing_cluster().start();
    wait_for_cache(&appliance);
    vec![appliance]
}

#[test]
fn no_read_is_stale_with_the_built_in_redis() {
    let instances = instance_with_built_in_redis();
    FreshnessChecker::new(&instances).with(&Creates).run().assert_fresh();
}

#[test]
fn no_read_is_stale_with_an_external_redis() {
    let redis = RedisServer::start();
    let instances = instances_with(&redis, 1);
    FreshnessChecker::new(&instances).with(&Creates).run().assert_fresh();
}

#[test]
fn no_read_is_stale_with_two_instances_that_share_a_redis() {
    let redis = RedisServer::start();
    let instances = instances_with(&redis, 2);
    FreshnessChecker::new(&instances).with(&Creates).run().assert_fresh();
}

#[test]
fn no_read_is_stale_while_redis_dies_and_hangs_repeatedly() {
    let mut redis = RedisServer::start();
    let instances = instances_with(&redis, 1);
    let report = FreshnessChecker::new(&instances).with(&Creates).run_while(|| {
        redis.kill();
        thread::sleep(Duration::from_millis(100));
        redis.restart();
        redis.freeze();
        thread::sleep(Duration::from_millis(150));
        redis.thaw();
        thread::sleep(Duration::from_millis(200));
    });
    report.assert_fresh();
}

#[test]
fn no_read_is_stale_while_the_built_in_redis_dies_repeatedly() {
    let instances = instance_with_built_in_redis();
    let report = FreshnessChecker::new(&instances).with(&Creates).run_while(|| {
        if let Some(child) = instances[0].redis_child() {
            try_signal(child.pid, Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(400));
    });
    report.assert_fresh();
    wait_for_cache(&instances[0]);
}

/// Two instances on one database must share a Redis. With a cache for each, the checker must find stale reads.
#[test]
fn the_checker_counts_stale_reads_of_instances_that_share_no_redis() {
    let database = shared_postgres().create_database();
    let start = |_| FreshnessChecker::instance_builder().postgres(shared_postgres(), &database).start();
    let instances: Vec<Appliance> = (0..2).map(start).collect();
    instances.iter().for_each(wait_for_cache);
    let report = FreshnessChecker::new(&instances).with(&Creates).run();
    assert!(report.stale_reads > 0 && !report.examples.is_empty(), "{report:?}");
}

#[test]
fn an_invalidation_that_did_not_reach_redis_is_sent_later() {
    let redis = RedisServer::start();
    let instances = instances_with(&redis, 2);
    let name = |instance: usize| {
        instances[instance].get(&format!("{API}/search?id=1")).expect(200).json()["name"].as_str().unwrap().to_owned()
    };
    create(&instances[0], &record("1", "old", "s", "2023-08-01")).expect(200);
    assert_eq!((name(0), name(1)), ("old".into(), "old".into()));
    redis.freeze();
    create(&instances[0], &record("1", "new", "s", "2023-08-02")).expect(200);
    assert_eq!(name(0), "new", "the instance that created it reads PostgreSQL");
    redis.thaw();
    eventually("the other instance sees it", || (name(1) == "new").then_some(()));
    assert_eq!(name(0), "new");
}
