//! Freshness: a read that starts after a change was acknowledged shows that change, through each instance and cache.

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{
    API, Appliance, Change, Creates, FreshnessChecker, RedisServer, Request, Response, TcpProxy, create, eventually,
    record, shared_postgres, try_signal, wait_for_cache,
};

/// Corrections: version `n` of an employee is the status `n` of its one record.
struct Corrections;

const DAY: &str = "2026-01-31";

impl Change for Corrections {
    fn write(&self, subject: usize, version: u32) -> Request {
        if version == 1 {
            let body = record(&format!("c{subject}"), "n", "1", DAY).to_string();
            return Request::post_json(&format!("{API}/create"), body);
        }
        let body = serde_json::json!({"name": "n", "status": version.to_string(), "reason": "r"}).to_string();
        let request = Request::new("PUT", &format!("{API}/records/c{subject}/{DAY}"));
        request.header("Content-Type", "application/json").body(body)
    }

    fn reads(&self, subject: usize, _acknowledged: u32) -> Vec<Request> {
        let targets = ["search?id=c{}", "search/all?id=c{}", "records/c{}/2026-01-31", "records?id=c{}&order=created"];
        targets.map(|target| Request::get(&format!("{API}/{}", target.replace("{}", &subject.to_string())))).to_vec()
    }

    fn shows(&self, _subject: usize, version: u32, answer: &Response) -> bool {
        let found = answer.json();
        let found = found.as_array().map_or(Some(&found), |records| records.first());
        answer.status == 200 && found.map(|record| &record["status"]) == Some(&Value::from(version.to_string()))
    }
}

/// Something that odd versions create and even versions remove.
struct Removals {
    prefix: &'static str,
    /// The target of the removal of a subject.
    target: fn(&str) -> String,
    removed_status: u16,
}

/// Deletions of single records.
const DELETIONS: Removals =
    Removals { prefix: "d", target: |id| format!("{API}/records/{id}/{DAY}?reason=r"), removed_status: 204 };

/// Erasures of persons.
const ERASURES: Removals =
    Removals { prefix: "p", target: |id| format!("{API}/employees/{id}/data?reason=r"), removed_status: 200 };

impl Change for Removals {
    fn write(&self, subject: usize, version: u32) -> Request {
        let id = format!("{}{subject}", self.prefix);
        if version % 2 == 1 {
            let body = record(&id, "n", &version.to_string(), DAY).to_string();
            return Request::post_json(&format!("{API}/create"), body);
        }
        Request::new("DELETE", &(self.target)(&id))
    }

    fn perform(&self, subject: usize, version: u32, connection: &mut crate::support::Connection) {
        let status = if version % 2 == 1 { 200 } else { self.removed_status };
        connection.send(&self.write(subject, version)).expect("the write is answered").expect(status);
    }

    fn reads(&self, subject: usize, _acknowledged: u32) -> Vec<Request> {
        let id = format!("{}{subject}", self.prefix);
        let targets = [
            format!("search?id={id}"),
            format!("search/all?id={id}"),
            format!("records/{id}/{DAY}"),
            format!("records?id={id}"),
        ];
        targets.map(|target| Request::get(&format!("{API}/{target}"))).to_vec()
    }

    fn shows(&self, _subject: usize, version: u32, answer: &Response) -> bool {
        let found = answer.json();
        let found = match answer.status {
            404 => None,
            _ => found.as_array().map_or(Some(&found), |records| records.first()),
        };
        let status = found.map(|record| record["status"].as_str().unwrap_or_default().to_owned());
        status == (version % 2 == 1).then(|| version.to_string())
    }
}

/// A checker of every kind of change of records.
fn checker(instances: &[Appliance]) -> FreshnessChecker<'_> {
    FreshnessChecker::new(instances).with(&Creates).with(&Corrections).with(&DELETIONS).with(&ERASURES)
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
    checker(&instances).run().assert_fresh();
}

#[test]
fn no_read_is_stale_with_an_external_redis() {
    let redis = RedisServer::start();
    let instances = instances_with(&redis, 1);
    checker(&instances).run().assert_fresh();
}

#[test]
fn no_read_is_stale_with_two_instances_that_share_a_redis() {
    let redis = RedisServer::start();
    let instances = instances_with(&redis, 2);
    checker(&instances).run().assert_fresh();
}

#[test]
fn no_read_is_stale_while_redis_dies_and_hangs_repeatedly() {
    let mut redis = RedisServer::start();
    let instances = instances_with(&redis, 1);
    let report = checker(&instances).run_while(|| {
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
fn no_read_is_stale_while_the_network_to_redis_is_slow_and_ends_repeatedly() {
    let redis = RedisServer::start();
    let proxy = TcpProxy::start(redis.port);
    let database = shared_postgres().create_database();
    let section = redis.config().replace(&format!("port: {}", redis.port), &format!("port: {}", proxy.port));
    let start = || FreshnessChecker::instance_builder().postgres(shared_postgres(), &database).config(&section).start();
    let instances = [start(), start()];
    instances.iter().for_each(wait_for_cache);
    let report = FreshnessChecker::new(&instances).with(&Creates).run_while(|| {
        proxy.delay(Duration::from_millis(20));
        thread::sleep(Duration::from_millis(300));
        proxy.cut();
        thread::sleep(Duration::from_millis(100));
        proxy.delay(Duration::ZERO);
        thread::sleep(Duration::from_millis(200));
    });
    report.assert_fresh();
}

#[test]
fn no_read_is_stale_while_the_built_in_redis_dies_repeatedly() {
    let instances = instance_with_built_in_redis();
    let report = checker(&instances).run_while(|| {
        if let Some(child) = instances[0].redis_child() {
            try_signal(child.pid, Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(400));
    });
    report.assert_fresh();
    wait_for_cache(&instances[0]);
}

/// With a cache for each of two instances, and no announcements of writes, the checker must find stale reads.
#[test]
fn the_checker_counts_stale_reads_of_instances_that_share_no_redis() {
    let database = shared_postgres().create_database();
    let unwatched = "  watch_foreign_writes: false\n";
    let start =
        |_| FreshnessChecker::instance_builder().postgres(shared_postgres(), &database).config(unwatched).start();
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
