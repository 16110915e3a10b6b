//! What all requests share: the domain, limits, metrics and the log.
//!
//! Policy: what can change while the server runs (limits, the access log's setting, whether the server is draining) is
//! read once per connection or request and applies to what begins afterwards.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use bytes::Bytes;

use super::body_budget::BodyBudget;
use super::forwarded;
use super::request_id::RequestIds;
use super::request_metrics::RequestMetrics;
use super::requirement::Requirement;
use crate::access::{Access, Permission};
use crate::attendance::json::Charset;
use crate::attendance::{Attendance, Dependencies};
use crate::config;
use crate::telemetry::access::AccessLog;
use crate::telemetry::metrics::Metrics;

/// The parts of the appliance that requests use.
#[derive(Debug)]
pub struct Services {
    /// The domain.
    pub attendance: Arc<Attendance>,
    /// Accounts, sessions and tokens, if requests need credentials.
    pub access_control: Option<AccessControl>,
    /// The state of PostgreSQL and Redis.
    pub health: Arc<Dependencies>,
    /// All metrics of the process.
    pub metrics: Arc<Metrics>,
    /// Receives one line per request.
    pub access_log: AccessLog,
}

/// What decides about the credentials of requests.
#[derive(Debug)]
pub struct AccessControl {
    /// Accounts, sessions and tokens.
    pub access: Arc<Access>,
    /// Whether the metrics need a token, too.
    pub protects_metrics: bool,
}

impl AccessControl {
    /// Whether the answer of an endpoint depends on the credentials of the request.
    pub fn needs_credential(&self, requirement: Requirement) -> bool {
        match requirement.permission {
            Permission::Open => requirement.knows_accounts,
            Permission::Metrics => self.protects_metrics,
            _ => true,
        }
    }
}

/// The OpenAPI document, as it is sent.
#[derive(Debug)]
pub struct OpenApiDocuments {
    /// To a client at the root.
    pub at_root: Bytes,
    /// To a client below the base path.
    pub below_base_path: Bytes,
}

/// What all requests share.
#[derive(Debug)]
pub struct AppState {
    /// The domain.
    pub attendance: Arc<Attendance>,
    /// Accounts, sessions and tokens, if requests need credentials.
    pub access_control: Option<AccessControl>,
    /// The state of PostgreSQL and Redis.
    pub health: Arc<Dependencies>,
    /// All metrics of the process.
    pub metrics: Arc<Metrics>,
    /// Receives one line per request.
    pub access_log: AccessLog,
    /// Counts requests by method, route and status.
    pub request_metrics: RequestMetrics,
    /// The memory of all bodies that are being read.
    pub body_budget: BodyBudget,
    /// Gives each request its id.
    pub request_ids: RequestIds,
    /// The OpenAPI documents.
    pub openapi: OpenApiDocuments,
    /// The form of the answers.
    pub api: config::Api,
    /// The path below which everything is served, too.
    pub base_path: Option<Arc<str>>,
    /// When the appliance started, for its uptime.
    pub started: Instant,
    /// Whether the listening socket outlives this process (socket activation). If it does, a draining server still answers the
    /// requests that reach it, and its clients connect to the next process afterwards.
    pub socket_outlives_process: bool,
    limits: RwLock<Arc<config::Server>>,
    /// The discriminant of a [`config::LoggedRequests`].
    logged_requests: AtomicU8,
    is_draining: AtomicBool,
}

impl AppState {
    /// The state of a server that is starting. `routes` is the number of rows of the route table.
    pub(super) fn new(
        services: Services,
        limits: config::Server,
        api: config::Api,
        logged_requests: config::LoggedRequests,
        socket_outlives_process: bool,
        routes: usize,
        openapi: OpenApiDocuments,
    ) -> Self {
        let Services { attendance, access_control, health, metrics, access_log } = services;
        Self {
            attendance,
            access_control,
            health,
            metrics,
            access_log,
            request_metrics: RequestMetrics::new(routes),
            body_budget: BodyBudget::default(),
            request_ids: RequestIds::random(),
            openapi,
            api,
            base_path: limits.base_path.as_ref().map(|base_path| Arc::clone(base_path.path())),
            started: Instant::now(),
            socket_outlives_process,
            limits: RwLock::new(Arc::new(limits)),
            logged_requests: AtomicU8::new(logged_requests as u8),
            is_draining: AtomicBool::new(false),
        }
    }

    /// The charset of answers that contain a client's text.
    pub fn charset(&self) -> Charset {
        Charset::of(&self.api)
    }

    /// Whether an address passes on the requests of many clients, so that the limits for one client do not apply to it.
    pub fn is_exempt(&self, address: IpAddr) -> bool {
        forwarded::is_trusted(address, &self.limits().trusted_proxies)
    }

    /// The limits for a connection or request that begins now.
    pub fn limits(&self) -> Arc<config::Server> {
        // The Arc is replaced as a whole, so a panic while the lock is held leaves no half-changed value.
        Arc::clone(&self.limits.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the limits for connections and requests that begin from now on.
    pub fn set_limits(&self, limits: config::Server) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
    }

    /// Which requests are written to the access log.
    pub fn logged_requests(&self) -> config::LoggedRequests {
        let number = self.logged_requests.load(Ordering::Relaxed);
        [config::LoggedRequests::All, config::LoggedRequests::Errors, config::LoggedRequests::Off]
            .into_iter()
            .find(|requests| *requests as u8 == number)
            .unwrap_or_default()
    }

    /// Changes which requests are written to the access log.
    pub fn set_logged_requests(&self, requests: config::LoggedRequests) {
        self.logged_requests.store(requests as u8, Ordering::Relaxed);
    }

    /// Whether the server is stopping: it is not ready, and it refuses new requests unless the socket outlives the process.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Marks the server as stopping.
    pub(super) fn start_draining(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }
}
