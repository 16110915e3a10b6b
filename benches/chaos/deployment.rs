//! Instances of the appliance that serve one database, and what can happen to them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::disruption::Disruption;
use crate::ledger::Ledger;
use crate::support::{API, Connection, HANG_TIMEOUT, Request, Sql, record};

/// The time between two looks whether an instance serves again.
const PROBE_INTERVAL: Duration = Duration::from_millis(10);

/// Instances that serve one database.
pub trait Deployment {
    /// What it is called in the report.
    fn name(&self) -> &'static str;

    /// The addresses of its instances, which do not change.
    fn addresses(&self) -> Vec<SocketAddr>;

    /// The answers that its clients got.
    fn ledger(&self) -> &Arc<Ledger>;

    /// A connection to its database, without a proxy.
    fn sql(&self) -> Sql;

    /// The ways to disrupt it, in an order that does not change.
    fn disruptions(&self) -> &'static [Disruption];

    /// Disrupts it, and ends the disruption after `duration`. Returns since when it may recover.
    fn disrupt(&mut self, disruption: Disruption, duration: Duration) -> Instant;
}

/// Waits until every instance stores a record and finds it; returns how long that took since `started`.
pub fn recovery(deployment: &dyn Deployment, round: usize, started: Instant) -> Duration {
    for (number, address) in deployment.addresses().into_iter().enumerate() {
        for attempt in 0.. {
            let id = format!("probe-{round}-{number}-{attempt}");
            if is_served(address, &id, deployment.ledger()) {
                break;
            }
            assert!(started.elapsed() < HANG_TIMEOUT, "{} does not serve again", deployment.name());
            thread::sleep(PROBE_INTERVAL);
        }
    }
    started.elapsed()
}

fn is_served(address: SocketAddr, id: &str, ledger: &Ledger) -> bool {
    let create = Request::post_json(&format!("{API}/create"), record(id, "probe", "s", "2023-08-01").to_string());
    let find = Request::get(&format!("{API}/search?id={id}"));
    let Ok(mut connection) = Connection::open(address) else { return false };
    let Ok(created) = connection.send(&create) else { return false };
    if created.status != 200 {
        return false;
    }
    ledger.stored_probe(id);
    let Ok(found) = connection.send(&find) else { return false };
    if found.status == 404 {
        ledger.violation(format!("stale: {id} was created, and then not found"));
    }
    found.status == 200
}
