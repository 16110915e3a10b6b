//! HTTP: the server, its limits, the routes and their answers.
//!
//! Policy: every answer has one of a few shapes (a record, a list, a message, an error), every wait has a bound, and every request
//! leaves one log line and one observation (`server/exchange.rs`). One client cannot use up what another one needs: connections, heads,
//! bodies, idle time and writing are limited (`server/`), and a panic in one request becomes that request's 500
//! (`server/request_service.rs`). This module uses neither SQL nor Redis; those belong to `attendance`.
//!
//! A request goes from `server/` to `router.rs`, which finds its row in `route_table.rs`, to a handler in `handlers/`. Handlers use
//! `request.rs`, `query.rs`, `response.rs` and `error.rs` and do not import the router.

mod access_reply;
#[cfg_attr(not(test), allow(dead_code, reason = "the OpenAPI document is made in tests only"))]
mod access_schema;
mod admission;
mod body_budget;
mod cached_read;
mod caller;
mod compression;
mod conditional;
mod cors;
mod credentials;
mod encoding;
mod error;
mod forwarded;
#[cfg(fuzzing)]
pub mod fuzzing;
mod handlers;
mod health_schema;
mod listing;
#[cfg_attr(not(test), allow(dead_code, reason = "the OpenAPI document is made in tests only"))]
mod named_pattern;
mod negotiation;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod openapi_access;
mod openapi_document;
#[cfg(test)]
mod openapi_response;
#[cfg_attr(not(test), allow(dead_code, reason = "the OpenAPI document is made in tests only"))]
mod parameter_schema;
mod percent;
mod private;
mod query;
mod query_parameters;
mod recent_credential;
mod record_key;
mod request;
mod request_id;
mod request_metrics;
mod requirement;
mod response;
mod response_schema;
mod route;
mod route_path;
mod route_table;
mod router;
mod same_origin;
#[cfg_attr(not(test), allow(dead_code, reason = "the OpenAPI document is made in tests only"))]
mod schema;
mod server;
mod session_cookie;
mod state;
mod stored;
mod swagger;
mod view_read;
mod view_schema;

use std::sync::Arc;

use bytes::Bytes;

use crate::config;

pub use server::{SelfCheckError, self_check, serve};
pub use state::{AccessControl, AppState, Services};

use state::OpenApiDocuments;

/// The OpenAPI document of a server without a base path, with access control or without.
pub fn openapi_json(has_access_control: bool) -> String {
    openapi_document::json_at_root(None, has_access_control)
}

/// The state of a server that is starting. `socket_outlives_process` says whether the listening socket was passed to this process
/// (socket activation) and stays open when it ends.
pub fn app_state(
    services: Services,
    limits: config::Server,
    api: config::Api,
    logged_requests: config::LoggedRequests,
    socket_outlives_process: bool,
) -> AppState {
    let base_path = limits.base_path.as_ref().map(|base_path| Arc::clone(base_path.path()));
    let has_access = services.access_control.is_some();
    let below = |base_path| openapi_document::json_below(base_path, has_access);
    let openapi = OpenApiDocuments {
        at_root: Bytes::from(openapi_document::json_at_root(base_path.as_deref(), has_access)),
        below_base_path: Bytes::from(base_path.as_deref().map(below).unwrap_or_default()),
    };
    AppState::new(services, limits, api, logged_requests, socket_outlives_process, route_table::ROUTES.len(), openapi)
}
