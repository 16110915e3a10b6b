//! HTTP: the server, its limits, the routes and what they answer.
//!
//! Policy: every answer has one of a few shapes (a record, a list, a message, an error), every wait has a
//! bound, every request leaves one log line and one observation. No client can hold what another one needs:
//! connections, head, body, idle time and writing are limited (`connection.rs`), and a fault in one request is that
//! request's 500 (`exchange.rs`). Nothing here knows SQL or Redis; that is `attendance`.

mod activity;
mod conditional;
mod connection;
mod encoding;
mod error;
mod exchange;
mod handlers;
mod itself;
mod observations;
pub mod openapi;
mod query;
mod request;
mod request_id;
mod response;
mod router;
mod server;
mod socket;
mod swagger;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;

use crate::attendance::{Attendance, HealthBoard};
use crate::config;
use crate::telemetry::access::AccessLog;
use crate::telemetry::metrics::Metrics;

pub use itself::ask_itself;
use observations::Observations;
pub use request_id::RequestIds;
pub use server::serve;

/// What every request may use.
#[derive(Debug)]
pub struct App {
    /// The domain.
    pub attendance: Arc<Attendance>,
    /// Whether the dependencies work.
    pub health: Arc<HealthBoard>,
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
    /// Limits and times.
    pub server: config::Server,
    /// Which requests leave a log line.
    pub access: config::Access,
    /// Where they leave it.
    pub log: AccessLog,
    /// The handles of what is counted.
    observations: Observations,
    /// Set when the server is stopping: readiness is off and new requests are refused.
    pub draining: AtomicBool,
    /// When the appliance started, for its uptime.
    pub started: Instant,
    /// Gives a request its id.
    pub ids: RequestIds,
    /// The OpenAPI document, as it is sent.
    pub openapi: Bytes,
}

impl App {
    /// An application that is starting now.
    pub fn new(
        attendance: Arc<Attendance>,
        health: Arc<HealthBoard>,
        metrics: Arc<Metrics>,
        server: config::Server,
        access: config::Access,
        log: AccessLog,
    ) -> Self {
        Self {
            attendance,
            health,
            metrics,
            server,
            access,
            log,
            observations: Observations::new(),
            draining: AtomicBool::new(false),
            started: Instant::now(),
            ids: RequestIds::new(),
            openapi: Bytes::from(openapi::json()),
        }
    }

    /// Whether the server is stopping.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
