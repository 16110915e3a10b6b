//! The harness: real children, a small HTTP client, nothing pretended.
//!
//! Policy: every wait has a bound, every process is registered with the [`reaper`] the moment it runs, and what a test
//! needs and does not find is a failure that says what to install. Nothing here knows what an answer should be.

mod appliance;
mod browser;
mod http;
mod json;
mod postgres;
mod process;
mod reaper;
mod redis;
mod scratch;
mod sql;

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use appliance::{Appliance, Builder, Finished};
pub(crate) use browser::Browser;
pub(crate) use http::{Connection, Request, Response, raw_exchange};
pub(crate) use json::{cache_is_up, create, half_a_create, record, records};
pub(crate) use postgres::Postgres;
pub(crate) use process::{as_lower_user, children_of, descendants, is_alive, lower_uid, signal, try_signal, uids_of};
pub(crate) use redis::RedisServer;
pub(crate) use scratch::{Scratch, free_port, unique};
pub(crate) use sql::Sql;

/// The prefix of every endpoint.
pub(crate) const API: &str = "/api/v1/attendance";

/// What "never a hang" means in these tests: far more than a loaded machine needs, far less than for ever.
pub(crate) const HANG: Duration = Duration::from_secs(60);

/// Runs `probe` until it gives a value; fails naming `what` after [`HANG`].
pub(crate) fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(HANG, what, probe)
}

/// Runs `probe` until it gives a value; fails naming `what` after `bound`.
pub(crate) fn within<T>(bound: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + bound;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < end, "waited {bound:?} in vain: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// An appliance with nothing configured, shared by every test that does not disturb it. Tests keep apart by their ids
/// and statuses (see [`unique`]).
pub(crate) fn shared() -> &'static Appliance {
    static SHARED: OnceLock<Appliance> = OnceLock::new();
    SHARED.get_or_init(|| Appliance::builder().start())
}

/// A PostgreSQL that somebody else runs, shared: each test makes its own database in it.
pub(crate) fn shared_postgres() -> &'static Postgres {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(Postgres::start)
}
