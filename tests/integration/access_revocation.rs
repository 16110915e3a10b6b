//! A revoked credential is served no more: under load, on instances with one Redis, with none in common and with none at all, while Redis ends and while the
//! connection that listens is cut, ended or stalls.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::accounts::{PASSWORD, Protected, bearing, begin_session, make_token};
use crate::support::{
    API, Appliance, Connection, RedisServer, Request, Response, TcpProxy, eventually, shared_postgres, unique,
};

/// After this time an instance that shares no Redis refuses, too.
const OTHER_INSTANCES: Duration = Duration::from_secs(2);

fn read(credential: &str) -> Request {
    bearing(Request::get(&format!("{API}/calendar")), credential)
}

/// The ways to end a credential.
#[derive(Debug, Clone, Copy)]
enum Revocation {
    Token,
    /// Of the token with which the one was made that made the credential.
    TokenAbove,
    Logout,
    EndSession,
    Disable,
    Remove,
    Demote,
    Password,
}

const ALL: [Revocation; 8] = [
    Revocation::Token,
    Revocation::TokenAbove,
    Revocation::Logout,
    Revocation::EndSession,
    Revocation::Disable,
    Revocation::Remove,
    Revocation::Demote,
    Revocation::Password,
];

/// A credential, the request that it is tried with, and the one that ends it.
struct Subject {
    tried: Request,
    /// The status of what is tried once it is revoked.
    refused: u16,
    revoke: Request,
}

impl Subject {
    fn new(protected: &Protected, way: Revocation) -> Self {
        let name = protected.account("manager", None);
        let session = || begin_session(&protected.appliance, &name, PASSWORD);
        let own = session();
        let json = |method: &str, target: String, body: &str| {
            Request::new(method, &target).header("Content-Type", "application/json").body(body)
        };
        let account = format!("{API}/accounts/{name}");
        let as_admin = |request: Request| bearing(request, &protected.admin);
        let (tried, revoke) = match way {
            Revocation::Token => {
                let token = make_token(&protected.appliance, &own, "manager");
                let listed =
                    protected.appliance.send(&bearing(Request::get(&format!("{API}/tokens")), &own)).expect(200);
                let target = format!("{API}/tokens/{}", listed.json()[0]["id"]);
                (token, bearing(Request::new("DELETE", &target), &own))
            }
            Revocation::TokenAbove => {
                let first = make_token(&protected.appliance, &own, "manager");
                let listed =
                    protected.appliance.send(&bearing(Request::get(&format!("{API}/tokens")), &own)).expect(200);
                let second = make_token(&protected.appliance, &first, "manager");
                let third = make_token(&protected.appliance, &second, "reader");
                let target = format!("{API}/tokens/{}", listed.json()[0]["id"]);
                (third, bearing(Request::new("DELETE", &target), &own))
            }
            Revocation::Logout => {
                let revoke = bearing(Request::new("DELETE", &format!("{API}/session")), &own);
                (own, revoke)
            }
            Revocation::EndSession => {
                let other = session();
                let listed =
                    protected.appliance.send(&bearing(Request::get(&format!("{API}/sessions")), &own)).expect(200);
                let target = format!("{API}/sessions/{}", listed.json()[0]["id"]);
                (other, bearing(Request::new("DELETE", &target), &own))
            }
            Revocation::Disable => (own, as_admin(json("PATCH", account, r#"{"disabled":true}"#))),
            Revocation::Remove => (own, as_admin(Request::new("DELETE", &account))),
            Revocation::Demote => (own, as_admin(json("PATCH", account, r#"{"role":"reader"}"#))),
            Revocation::Password => {
                let other = session();
                let body = json!({"old": PASSWORD, "new": "a new passphrase of mine"}).to_string();
                (other, bearing(json("PUT", format!("{API}/session/password"), &body), &own))
            }
        };
        // A demoted account may read the calendar, but not the changes.
        let (tried, refused) = match way {
            Revocation::Demote => (bearing(Request::get(&format!("{API}/changes?limit=1")), &tried), 403),
            _ => (read(&tried), 401),
        };
        Self { tried, refused, revoke }
    }
}

/// What happened to the requests that started after the acknowledgement.
#[derive(Debug, Default)]
struct Tries {
    before: AtomicUsize,
    after: AtomicUsize,
    served: Mutex<Vec<String>>,
}

/// Tries a credential on all instances while it is revoked through the first one. `grace` is how long after the acknowledgement an instance may serve.
/// `meanwhile` runs once the load is on. Returns the answer to the revocation.
fn revoke_under_load(
    subject: &Subject,
    instances: &[&Appliance],
    grace: Duration,
    meanwhile: impl FnOnce(),
) -> (Response, usize) {
    const THREADS: usize = 3;
    const TRIES: usize = 40;
    let acknowledged: Mutex<Option<Instant>> = Mutex::new(None);
    let is_over = AtomicBool::new(false);
    let tries: Vec<Tries> = instances.iter().map(|_| Tries::default()).collect();
    let answer = thread::scope(|scope| {
        for (instance, tries) in instances.iter().zip(&tries) {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let mut connection = instance.connect();
                    while !is_over.load(Ordering::SeqCst) {
                        let started = Instant::now();
                        let revoked_at = *acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                        let Ok(answer) = connection.send(&subject.tried) else {
                            connection = instance.connect();
                            continue;
                        };
                        match revoked_at {
                            None => drop(tries.before.fetch_add(1, Ordering::SeqCst)),
                            Some(revoked_at) if started >= revoked_at + grace => {
                                tries.after.fetch_add(1, Ordering::SeqCst);
                                if answer.status != subject.refused && answer.status != 503 {
                                    let at = started - revoked_at;
                                    tries.served.lock().unwrap().push(format!("{} after {at:?}", answer.status));
                                }
                            }
                            Some(_) => {}
                        }
                    }
                });
            }
        }
        eventually("the credential is in use everywhere", || {
            tries.iter().all(|tries| tries.before.load(Ordering::SeqCst) > 5 * THREADS).then_some(())
        });
        meanwhile();
        let answer = instances[0].send(&subject.revoke);
        *acknowledged.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if answer.status < 300 {
            eventually("the credential was tried afterwards", || {
                tries.iter().all(|tries| tries.after.load(Ordering::SeqCst) > TRIES).then_some(())
            });
        }
        is_over.store(true, Ordering::SeqCst);
        answer
    });
    for (instance, tries) in instances.iter().zip(&tries) {
        let served = tries.served.lock().unwrap();
        if answer.status < 300 {
            let first = served.iter().take(5).collect::<Vec<_>>();
            assert!(served.is_empty(), "{}: {first:?} and more, of {:?}", instance.address(), tries.after);
        }
    }
    let after = tries.iter().map(|tries| tries.after.load(Ordering::SeqCst)).sum();
    (answer, after)
}

/// Two instances on one database, the second one with a configuration of its own. The first one, which revokes, has time to do that: a machine
/// under load leaves a process of PostgreSQL without a processor for seconds, and what is tested begins with the acknowledgement.
fn pair(first: &str, second: impl FnOnce(&str) -> String) -> (Protected, Appliance, String) {
    let database = shared_postgres().create_database();
    let section = format!("{}  request_timeout: 10s\n", shared_postgres().config(&database));
    let protected = Protected::with(Appliance::builder().config(&section), first);
    let config = second(&database);
    let other = Appliance::builder().config(&format!("auth: {{ mode: required }}\n{config}")).start();
    (protected, other, database)
}

#[test]
fn a_revocation_is_seen_at_once_by_every_instance_with_the_same_redis() {
    let redis = RedisServer::start();
    let config = redis.config();
    let (protected, other, _) =
        pair(&format!("|{config}"), |database| format!("{}{config}", shared_postgres().config(database)));
    let mut tried = 0;
    for way in ALL {
        let subject = Subject::new(&protected, way);
        let (answer, after) = revoke_under_load(&subject, &[&protected.appliance, &other], Duration::ZERO, || {});
        assert!(answer.status < 300, "{way:?}: {answer:?}");
        tried += after;
    }
    // And through the instance that did not issue the credential.
    for _ in 0..3 {
        let subject = Subject::new(&protected, Revocation::Token);
        let (answer, after) = revoke_under_load(&subject, &[&other, &protected.appliance], Duration::ZERO, || {});
        answer.expect(204);
        tried += after;
    }
    assert!(tried > 800, "{tried} requests were tried");
}

#[test]
fn a_revocation_is_seen_at_once_by_the_only_instance() {
    for config in ["", "|redis: { mode: off }\n"] {
        let protected = Protected::start(config);
        for way in ALL {
            let subject = Subject::new(&protected, way);
            let (answer, _) = revoke_under_load(&subject, &[&protected.appliance], Duration::ZERO, || {});
            assert!(answer.status < 300, "{way:?}: {answer:?}");
        }
    }
}

#[test]
fn a_revocation_holds_while_redis_ends_and_when_it_comes_back() {
    let mut redis = RedisServer::start();
    let config = redis.config();
    let (protected, other, _) =
        pair(&format!("|{config}"), |database| format!("{}{config}", shared_postgres().config(database)));
    let instances = [&protected.appliance, &other];
    for round in 0..4 {
        let subject = Subject::new(&protected, Revocation::Token);
        let is_killed_before = round % 2 == 0;
        let (answer, _) = revoke_under_load(&subject, &instances, Duration::ZERO, || {
            if is_killed_before {
                redis.kill();
            }
        });
        // Without Redis the revocation is stored, and the answer says if another instance may not know it yet.
        assert!([204, 503].contains(&answer.status), "{answer:?}");
        if !is_killed_before {
            redis.kill();
        }
        let is_refused = |instance: &&Appliance| instance.send(&subject.tried).status == subject.refused;
        eventually("both refuse it", || instances.iter().all(is_refused).then_some(()));
        redis.restart();
        for _ in 0..50 {
            for instance in instances {
                let status = instance.send(&subject.tried).status;
                assert!([subject.refused, 503].contains(&status), "{status} after it was refused");
            }
        }
        eventually("both are well", || instances.iter().all(is_refused).then_some(()));
    }
    // A flushed Redis logs no user out.
    let session = protected.session("reader", None);
    for instance in instances {
        instance.send(&read(&session)).expect(200);
    }
    redis.command::<String>(&["FLUSHALL"]);
    for instance in instances {
        instance.send(&read(&session)).expect(200);
    }
    redis.kill();
    redis.restart();
    for instance in instances {
        eventually("the session is still one", || (instance.send(&read(&session)).status == 200).then_some(()));
    }
}

/// Without a Redis in common: each instance has its own, or none has one.
const NOTHING_IN_COMMON: [&str; 2] = ["", "redis: { mode: off }\n"];

/// Look-ups of credentials that an instance answered from its memory.
fn memory_hits(instance: &Appliance) -> u64 {
    let text = instance.get("/metrics").expect(200).text();
    let series = r#"attendance_api_credential_lookups_total{result="memory"} "#;
    text.lines().find_map(|line| line.strip_prefix(series)?.parse().ok()).expect("the series exists")
}

#[test]
fn an_instance_without_a_common_redis_refuses_within_two_seconds_also_when_its_connections_are_cut() {
    if std::env::var_os("INTEGRATION_POOLER").is_some() {
        // The announcements need a connection of their own then.
        return;
    }
    for redis in NOTHING_IN_COMMON {
        let proxy = TcpProxy::start(shared_postgres().port);
        let (protected, other, _) = pair(&format!("|{redis}"), |database| {
            let direct = shared_postgres().direct_config(database);
            direct.replace(&format!("port: {}", shared_postgres().port), &format!("port: {}", proxy.port)) + redis
        });
        for round in 0..4 {
            let subject = Subject::new(&protected, Revocation::Token);
            let (answer, _) =
                revoke_under_load(&subject, &[&protected.appliance, &other], OTHER_INSTANCES, || match round {
                    1 => proxy.cut(),
                    2 => proxy.stall(),
                    _ => {}
                });
            answer.expect(204);
            proxy.resume();
            eventually("the other instance is well", || {
                (other.send(&subject.tried).status == subject.refused).then_some(())
            });
        }
    }
}

#[test]
fn an_instance_without_a_common_redis_refuses_within_two_seconds_also_when_only_its_connection_that_listens_fails() {
    for redis in NOTHING_IN_COMMON {
        let proxy = TcpProxy::start(shared_postgres().port);
        let (protected, other, database) = pair(&format!("|{redis}"), |database| {
            let direct = shared_postgres().direct_config(database);
            format!("{direct}  listen_url: postgres://127.0.0.1:{}\n{redis}", proxy.port)
        });
        let sql = shared_postgres().sql(&database);
        for (round, way) in
            [Revocation::Token, Revocation::Logout, Revocation::Disable, Revocation::Demote].into_iter().enumerate()
        {
            let subject = Subject::new(&protected, way);
            // What memory does not answer proves nothing.
            let hits = memory_hits(&other);
            eventually("the other instance has the credential in memory", || {
                (other.send(&subject.tried).status == 200 && memory_hits(&other) > hits).then_some(())
            });
            let (answer, _) = revoke_under_load(&subject, &[&protected.appliance, &other], OTHER_INSTANCES, || {
                match round {
                    1 => proxy.cut(),
                    2 => proxy.stall(),
                    3 => {
                        let ended = sql.rows(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
                             AND query LIKE '%pg_listening_channels%attendance_api_access%' AND pid <> pg_backend_pid()",
                        );
                        assert!(!ended.is_empty(), "a session listens");
                    }
                    _ => {}
                }
            });
            assert!(answer.status < 300, "{answer:?}");
            // Requests are served from PostgreSQL meanwhile.
            assert_eq!(other.send(&subject.tried).status, subject.refused);
            proxy.resume();
        }
    }
}

#[test]
fn without_redis_a_credential_is_in_memory_and_its_end_by_a_command_is_seen() {
    let protected = Protected::start("|redis: { mode: off }\n");
    let name = protected.account("reader", None);
    let session = begin_session(&protected.appliance, &name, PASSWORD);
    let hits = memory_hits(&protected.appliance);
    eventually("memory answers", || {
        protected.appliance.send(&read(&session)).expect(200);
        (memory_hits(&protected.appliance) > hits).then_some(())
    });
    let data = protected.appliance.data();
    let words = ["account", "disable", &name, "--data-dir", data.to_str().expect("a path in UTF-8")];
    protected.appliance.settings().command(&words).finish().expect(0);
    let ended_at = Instant::now();
    eventually("the session is refused", || (protected.appliance.send(&read(&session)).status == 401).then_some(()));
    while ended_at.elapsed() < OTHER_INSTANCES {
        thread::sleep(Duration::from_millis(50));
    }
    protected.appliance.send(&read(&session)).expect(401);
    // With no memory either, nothing is kept.
    let without = Protected::start("|redis: { mode: off, local_memory: 0 }\n");
    let token = without.token("reader", "");
    (0..5).for_each(|_| drop(without.appliance.send(&read(&token)).expect(200)));
    assert_eq!(memory_hits(&without.appliance), 0);
}

#[test]
fn a_session_outlives_a_restart_and_a_revoked_one_does_not() {
    let mut protected = Protected::start("");
    let (kept, ended) = (protected.session("reader", None), protected.session("reader", None));
    protected.appliance.send(&bearing(Request::new("DELETE", &format!("{API}/session")), &ended)).expect(204);
    protected.appliance.stop();
    protected.appliance.start_again();
    protected.appliance.send(&read(&kept)).expect(200);
    protected.appliance.send(&read(&ended)).expect(401);
}

#[test]
fn a_forged_entry_in_a_shared_redis_is_ignored() {
    let redis = RedisServer::start();
    let protected = Protected::start(&format!("|{}", redis.config()));
    let (reader, admin) = (protected.token("reader", ""), protected.admin.clone());
    let accounts = |credential: &str| {
        protected.appliance.send(&bearing(Request::get(&format!("{API}/accounts")), credential)).status
    };
    assert_eq!((accounts(&reader), accounts(&admin)), (403, 200));
    let entries = |pattern: &str| -> Vec<(String, Vec<u8>)> {
        let keys = redis.keys(pattern).into_iter();
        keys.filter_map(|key| Some((key.clone(), redis.try_command(&["GET", &key]).ok()?))).collect()
    };
    let before = entries("*");
    // A program that can write to Redis gives each credential the entry of every other one.
    for (key, _) in &before {
        for (_, value) in &before {
            redis.set_bytes(key, value);
            assert_ne!(accounts(&reader), 200, "{key}");
        }
    }
    let unknown = format!("att_t_{}", &unique("x"));
    assert_eq!(accounts(&unknown), 401);
    let mut connection: Connection = protected.appliance.connect();
    connection.send(&read(&admin)).unwrap();
}

#[test]
fn an_entry_in_redis_lives_for_twenty_seconds_at_most_however_long_answers_do() {
    let redis = RedisServer::start();
    let protected = Protected::start(&format!("|{}  ttl: 1h\n", redis.config()));
    let token = protected.token("reader", "");
    let is_entry = |key: &&String| !key.contains(":g:") && key.rsplit(':').next().is_some_and(|end| end.len() == 64);
    let left = eventually("the credential is in Redis", || {
        protected.appliance.send(&read(&token)).expect(200);
        let keys = redis.keys("*access:*");
        let left: i64 = redis.command(&["PTTL", keys.iter().find(is_entry)?]);
        (left > 0).then_some(left)
    });
    assert!(left <= 20_000, "{left} ms");
}
