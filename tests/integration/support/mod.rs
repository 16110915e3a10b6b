//! The test harness: real child processes and a small HTTP client; no mocks.
//!
//! Policy: each wait has a bound. Each process is registered with the [`reaper`] as soon as it runs. A missing program
//! fails the test with a message that says what to install. The harness does not contain correct answers: that is
//! the tests' part.

pub(crate) mod accounts;
mod appliance;
mod browser;
mod builder;
mod cgroup;
pub(crate) mod choice;
mod creates;
mod freshness;
mod http;
mod json;
mod mount;
mod pgbouncer;
mod postgres;
mod process;
mod reaper;
mod redis;
mod scratch;
mod sql;
mod tcp_proxy;

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use appliance::{Appliance, CompletedRun};
pub(crate) use browser::{Browser, page_of_another_origin};
pub(crate) use builder::Builder;
pub(crate) use cgroup::Cgroup;
pub(crate) use creates::Creates;
pub(crate) use freshness::{Change, FreshnessChecker};
pub(crate) use http::{Connection, Request, Response, raw_exchange};
pub(crate) use json::{begin_create, create, record, records, wait_for_cache};
pub(crate) use mount::Mount;
pub(crate) use pgbouncer::{PgBouncer, PoolMode};
pub(crate) use postgres::Postgres;
pub(crate) use process::{
    as_unprivileged_user, children_of, descendants, is_alive, signal, try_signal, uids_of, unprivileged_user,
};
pub(crate) use redis::RedisServer;
pub(crate) use scratch::{Scratch, free_port, unique};
pub(crate) use sql::Sql;
pub(crate) use tcp_proxy::TcpProxy;

/// The prefix of every endpoint.
pub(crate) const API: &str = "/api/v1/attendance";

/// After this time an operation counts as hung: far more than a loaded machine needs.
pub(crate) const HANG_TIMEOUT: Duration = Duration::from_secs(60);

/// Server connections of the pooler in front of the shared PostgreSQL, for each role and database.
const INTEGRATION_POOL_SIZE: usize = 10;

/// The longest pause between two checks of a condition.
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Runs `probe` until it gives a value; fails naming `what` after [`HANG_TIMEOUT`].
pub(crate) fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(HANG_TIMEOUT, what, probe)
}

/// Runs `probe` until it gives a value; fails naming `what` after `bound`.
pub(crate) fn within<T>(bound: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + bound;
    // Begins with short pauses: most conditions hold after a few milliseconds.
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < end, "not within {bound:?}: {what}");
        thread::sleep(pause);
        pause = (pause * 3 / 2).min(MAX_POLL_INTERVAL);
    }
}

/// An appliance with an empty configuration, shared by the tests that do not disturb it. Its tests use ids and statuses
/// of their own (see [`unique`]).
pub(crate) fn shared() -> &'static Appliance {
    static SHARED: OnceLock<Appliance> = OnceLock::new();
    SHARED.get_or_init(|| Appliance::builder().start())
}

/// An external PostgreSQL that tests share: each creates its own database in it. With `INTEGRATION_POOLER=session` or `transaction` the
/// appliances reach it through a PgBouncer in that mode.
pub(crate) fn shared_postgres() -> &'static Postgres {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(|| {
        let mut server = Postgres::start();
        if let Ok(word) = std::env::var("INTEGRATION_POOLER") {
            let mode = PoolMode::from_word(&word).expect("INTEGRATION_POOLER is session or transaction");
            server.put_behind(PgBouncer::start(&server, mode, INTEGRATION_POOL_SIZE));
        }
        server
    })
}
