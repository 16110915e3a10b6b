//! A Redis that answers with errors: reported as down with its reason, used again when it is cured, and no read is stale meanwhile.
//!
//! Policy: each state is one [`RedisState`], which two instances on one database and one Redis go through in [`check`]. The
//! server, and the errors, are those of a real `redis-server`.

use std::time::Duration;

use serde_json::Value;

use crate::support::{
    API, Appliance, RedisServer, TcpProxy, create, eventually, free_port, record, shared_postgres, wait_for_cache,
    within,
};

/// An instance reports a state, and uses a cured Redis, within 2 s. The rest is for a machine that is busy with other tests.
const REPORT_TIMEOUT: Duration = Duration::from_secs(4);

/// A busy machine is no state of Redis.
const TIMEOUT: &str = "  timeout: 1s\n";

/// A state of a server, and how it is entered and left.
struct RedisState {
    /// Words of the reason in health.
    reason: &'static str,
    /// Options of the server.
    options: &'static [&'static str],
    enter: fn(&mut RedisServer),
    cure: fn(&mut RedisServer),
    /// Whether connections stay open while it is entered, so that the log's one line has the reason, too.
    keeps_connections: bool,
}

impl Default for RedisState {
    fn default() -> Self {
        Self { reason: "", options: &[], enter: |_| {}, cure: |_| {}, keeps_connections: true }
    }
}

/// Two instances on one database and one Redis, and the next version of the employee that they serve.
struct Pair {
    instances: [Appliance; 2],
    version: usize,
}

impl Pair {
    /// Instances with these `redis:` sections.
    fn start(sections: [&str; 2]) -> Self {
        let database = shared_postgres().create_database();
        let instances =
            sections.map(|section| Appliance::builder().postgres(shared_postgres(), &database).config(section).start());
        instances.iter().for_each(wait_for_cache);
        let mut pair = Self { instances, version: 0 };
        pair.change_and_read(0);
        pair.change_and_read(1);
        pair
    }

    /// Creates a record through one instance, and reads it at once through the other and then through itself.
    fn change_and_read(&mut self, creator: usize) {
        self.version += 1;
        let (year, month, day) = (2000 + self.version / 336, self.version % 336 / 28 + 1, self.version % 28 + 1);
        let name = format!("version {}", self.version);
        let new = record("1", &name, "s", &format!("{year:04}-{month:02}-{day:02}"));
        create(&self.instances[creator], &new).expect(200);
        for reader in [1 - creator, creator] {
            let latest = self.instances[reader].get(&format!("{API}/search?id=1")).expect(200).json();
            assert_eq!(latest["name"], name, "created through {creator}, read through {reader}");
            let all = self.instances[reader].get(&format!("{API}/search/all?id=1")).expect(200).json();
            let last = all.as_array().and_then(|records| records.last()).expect("there is a record").clone();
            assert_eq!(last["name"], name, "created through {creator}, listed through {reader}");
        }
    }

    fn change_and_read_repeatedly(&mut self) {
        (0..10).for_each(|round| self.change_and_read(round % 2));
    }

    /// The health of an instance, which is 200 whatever Redis does.
    fn health(&self, instance: usize) -> Value {
        self.instances[instance].get(&format!("{API}/health")).expect(200);
        self.instances[instance].get(&format!("{API}/health/detail")).expect(200).json()
    }

    fn wait_down(&self, reason: &str) {
        for instance in 0..2 {
            within(REPORT_TIMEOUT, "health reports the reason", || {
                let health = self.health(instance);
                let is_reported =
                    health["redis"] == "down" && health["details"]["redis"]["reason"].as_str()?.contains(reason);
                is_reported.then_some(())
            });
        }
    }

    fn wait_up(&self) {
        for instance in 0..2 {
            within(REPORT_TIMEOUT, "health reports that Redis is up", || {
                (self.health(instance)["redis"] == "up").then_some(())
            });
        }
    }

    /// Both instances answer from the cache again.
    fn wait_hits(&self) {
        for instance in &self.instances {
            let hits = || {
                let text = instance.get("/metrics").text();
                let line =
                    text.lines().find(|line| line.starts_with("attendance_api_cache_hits_total")).map(str::to_owned);
                line.expect("hits are counted")
            };
            let before = hits();
            eventually("the cache has hits", || {
                instance.get(&format!("{API}/search?id=1")).expect(200);
                (hits() != before).then_some(())
            });
        }
    }
}

/// Log lines of an instance about the cache: that it cannot be used, and that it can.
fn transitions(instance: &Appliance) -> (Vec<Value>, usize) {
    let down = instance.logged("the cache cannot be used; reads go to PostgreSQL until it can");
    (down, instance.logged("the cache is connected").len())
}

/// Takes two instances through a state.
fn check(state: &RedisState) {
    let mut redis = RedisServer::with_options("", state.options);
    let config = format!("{}{TIMEOUT}", redis.config());
    let mut pair = Pair::start([&config, &config]);
    pair.change_and_read_repeatedly();
    pair.wait_hits();
    (state.enter)(&mut redis);
    // Freshness from the first moment, before either instance has reported anything.
    pair.change_and_read(0);
    pair.change_and_read(1);
    pair.wait_down(state.reason);
    pair.change_and_read_repeatedly();
    (state.cure)(&mut redis);
    pair.change_and_read_repeatedly();
    pair.wait_up();
    pair.wait_hits();
    pair.change_and_read_repeatedly();
    for instance in &pair.instances {
        let (down, up) = transitions(instance);
        assert_eq!((down.len(), up), (1, 2), "one line for each transition: {down:?}");
        if state.keeps_connections {
            let reason = down[0]["reason"].as_str().expect("the line has the reason");
            assert!(reason.contains(state.reason), "{reason}");
        }
    }
}

/// Sets options of a running server.
fn configure(redis: &RedisServer, settings: &[(&str, &str)]) {
    for (name, value) in settings {
        redis.command::<String>(&["CONFIG", "SET", name, value]);
    }
}

#[test]
fn a_primary_that_became_a_replica() {
    check(&RedisState {
        reason: "READONLY",
        enter: |redis| {
            // A primary to which it cannot connect: the former data stays.
            redis.command::<String>(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]);
        },
        cure: |redis| {
            redis.command::<String>(&["REPLICAOF", "NO", "ONE"]);
        },
        ..RedisState::default()
    });
}

#[test]
fn a_replica_that_has_lost_its_primary() {
    check(&RedisState {
        reason: "MASTERDOWN",
        enter: |redis| {
            configure(redis, &[("replica-serve-stale-data", "no"), ("replica-read-only", "no")]);
            redis.command::<String>(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]);
        },
        cure: |redis| {
            redis.command::<String>(&["REPLICAOF", "NO", "ONE"]);
        },
        ..RedisState::default()
    });
}

#[test]
fn a_server_without_memory() {
    check(&RedisState {
        reason: "OOM",
        enter: |redis| configure(redis, &[("maxmemory-policy", "noeviction"), ("maxmemory", "1")]),
        cure: |redis| configure(redis, &[("maxmemory", "0")]),
        ..RedisState::default()
    });
}

#[test]
fn a_server_with_too_few_replicas() {
    check(&RedisState {
        reason: "NOREPLICAS",
        enter: |redis| configure(redis, &[("min-replicas-to-write", "1")]),
        cure: |redis| configure(redis, &[("min-replicas-to-write", "0")]),
        ..RedisState::default()
    });
}

#[test]
fn a_server_that_cannot_save_its_data() {
    check(&RedisState {
        reason: "MISCONF",
        enter: |redis| {
            // A directory in the place of the file.
            std::fs::create_dir(redis.directory().join("dump.rdb")).expect("the directory can be made");
            configure(redis, &[("save", "3600 1"), ("stop-writes-on-bgsave-error", "yes")]);
            redis.command::<String>(&["BGSAVE"]);
            eventually("saving has failed", || {
                let status: String = redis.command(&["INFO", "persistence"]);
                status.contains("rdb_last_bgsave_status:err").then_some(())
            });
        },
        cure: |redis| configure(redis, &[("save", "")]),
        ..RedisState::default()
    });
}

#[test]
fn a_server_that_loads_its_data() {
    check(&RedisState {
        reason: "LOADING",
        enter: |redis| {
            for key in 0..2_000 {
                redis.command::<String>(&["SET", &format!("other:{key}"), &"x".repeat(100)]);
            }
            redis.command::<String>(&["SAVE"]);
            redis.kill();
            // A pause in microseconds for each key; it answers other clients after each 1024 bytes.
            redis.launch(&["--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024"]);
        },
        cure: |redis| {
            configure(redis, &[("key-load-delay", "0")]);
        },
        keeps_connections: false,
        ..RedisState::default()
    });
}

#[test]
fn a_server_that_demands_a_password() {
    check(&RedisState {
        reason: "NOAUTH",
        enter: |redis| {
            configure(redis, &[("requirepass", "n3w")]);
            redis.password = "n3w".to_owned();
            redis.command::<i64>(&["CLIENT", "KILL", "TYPE", "normal"]);
        },
        cure: |redis| configure(redis, &[("requirepass", "")]),
        keeps_connections: false,
        ..RedisState::default()
    });
}

#[test]
fn a_user_who_may_not_write() {
    check(&RedisState {
        reason: "NOPERM",
        enter: |redis| drop(redis.command::<String>(&["ACL", "SETUSER", "default", "-@write"])),
        cure: |redis| drop(redis.command::<String>(&["ACL", "SETUSER", "default", "+@all"])),
        ..RedisState::default()
    });
}

#[test]
fn a_user_who_may_not_read() {
    check(&RedisState {
        reason: "NOPERM",
        enter: |redis| drop(redis.command::<String>(&["ACL", "SETUSER", "default", "-@read"])),
        cure: |redis| drop(redis.command::<String>(&["ACL", "SETUSER", "default", "+@all"])),
        ..RedisState::default()
    });
}

#[test]
fn a_server_that_does_not_answer() {
    check(&RedisState {
        reason: "no answer",
        enter: |redis| redis.freeze(),
        cure: |redis| redis.thaw(),
        // Its port still accepts connections, but the first reason may be that of the health check.
        keeps_connections: false,
        ..RedisState::default()
    });
}

#[test]
fn a_server_that_is_gone() {
    check(&RedisState {
        reason: "refused",
        enter: |redis| redis.kill(),
        cure: |redis| redis.restart(),
        keeps_connections: false,
        ..RedisState::default()
    });
}

/// A `redis:` section for a proxy.
fn through(proxy: &TcpProxy) -> String {
    format!("redis:\n  host: 127.0.0.1\n  port: {}\n{TIMEOUT}", proxy.port)
}

#[test]
fn an_address_that_leads_to_another_server() {
    let servers = [RedisServer::without_password(), RedisServer::without_password()];
    let proxies = [TcpProxy::start(servers[0].port), TcpProxy::start(servers[0].port)];
    let sections = proxies.each_ref().map(through);
    let mut pair = Pair::start([&sections[0], &sections[1]]);
    for round in 1..6 {
        pair.change_and_read_repeatedly();
        for proxy in &proxies {
            proxy.lead_to(servers[round % 2].port);
        }
        proxies.iter().for_each(TcpProxy::cut);
        pair.change_and_read_repeatedly();
        pair.wait_up();
        pair.wait_hits();
    }
}

/// As in a planned change of the primary: connections to the former one stay open, and it answers reads.
#[test]
fn an_address_that_leads_to_another_primary_while_connections_to_the_former_one_stay() {
    let servers = [RedisServer::without_password(), RedisServer::without_password()];
    let proxies = [TcpProxy::start(servers[0].port), TcpProxy::start(servers[0].port)];
    let sections = proxies.each_ref().map(through);
    let mut pair = Pair::start([&sections[0], &sections[1]]);
    for round in 1..4 {
        let (former, new) = (&servers[(round + 1) % 2], &servers[round % 2]);
        pair.change_and_read_repeatedly();
        new.command::<String>(&["REPLICAOF", "NO", "ONE"]);
        proxies.iter().for_each(|proxy| proxy.lead_to(new.port));
        // Without its data: what it still has is what must not be read.
        former.command::<String>(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]);
        pair.change_and_read_repeatedly();
        pair.wait_up();
        pair.wait_hits();
        pair.change_and_read_repeatedly();
    }
}
