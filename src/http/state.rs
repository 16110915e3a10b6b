//! What every request may use: the domain, limits, metrics and the log.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use bytes::Bytes;

use super::openapi;
use super::request_id::RequestIds;
use super::request_metrics::RequestMetrics;
use crate::attendance::{Attendance, Dependencies};
use crate::config;
use crate::telemetry::access::AccessLog;
use crate::telemetry::metrics::Metrics;

/// What every request may use.
#[derive(Debug)]
pub struct AppState {
    /// The domain.
    pub attendance: Arc<Attendance>,
    /// Whether the dependencies work.
    pub health: Arc<Dependencies>,
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
    /// Limits and times, for connections that begin from now on.
    limits: RwLock<Arc<config::Server>>,
    /// Which requests leave a log line: the number of a [`config::Access`].
    access: AtomicU8,
    /// Where they leave it.
    pub log: AccessLog,
    /// The handles of what is counted.
    pub request_metrics: RequestMetrics,
    /// Set when the server is stopping: readiness is off and new requests are refused, unless the socket stays.
    pub draining: AtomicBool,
    /// Whether the listening socket outlives this process (socket activation): then a stopping server still answers what
    /// reaches it, and sends its clients to the process that comes next.
    pub socket_stays: bool,
    /// When the appliance started, for its uptime.
    pub started: Instant,
    /// Gives a request its id.
    pub ids: RequestIds,
    /// The OpenAPI document, as it is sent.
    pub openapi: Bytes,
}

impl AppState {
    /// An application that is starting now.
    pub fn new(
        attendance: Arc<Attendance>,
        health: Arc<Dependencies>,
        metrics: Arc<Metrics>,
        server: config::Server,
        access: config::Access,
        log: AccessLog,
        socket_stays: bool,
    ) -> Self {
        Self {
            attendance,
            health,
            metrics,
            limits: RwLock::new(Arc::new(server)),
            access: AtomicU8::new(access as u8),
            log,
            request_metrics: RequestMetrics::new(),
            draining: AtomicBool::new(false),
            socket_stays,
            started: Instant::now(),
            ids: RequestIds::random(),
            openapi: Bytes::from(openapi::json()),
        }
    }

    /// Limits and times as they are now.
    pub fn limits(&self) -> Arc<config::Server> {
        // Arcs are exchanged whole: a panic leaves none half-changed.
        Arc::clone(&self.limits.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes limits and times for what begins from now on.
    pub fn set_limits(&self, limits: config::Server) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
    }

    /// Which requests leave a log line.
    pub fn access(&self) -> config::Access {
        let number = self.access.load(Ordering::Relaxed);
        [config::Access::All, config::Access::Errors, config::Access::Off]
            .into_iter()
            .find(|access| *access as u8 == number)
            .unwrap_or_default()
    }

    /// Changes which requests leave a log line.
    pub fn set_access(&self, access: config::Access) {
        self.access.store(access as u8, Ordering::Relaxed);
    }

    /// Whether the server is stopping.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
