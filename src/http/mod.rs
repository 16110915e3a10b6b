//! HTTP: the server, its limits, the routes and their answers.
//!
//! Policy: every answer has one of a few shapes (a record, a list, a message, an error), every wait has a bound, and every request
//! leaves one log line and one observation (`server/exchange.rs`). One client cannot use up what another one needs: connections, heads,
//! bodies, idle time and writing are limited (`server/`), and a panic in one request becomes that request's 500
//! (`server/request_service.rs`). This module knows neither SQL nor Redis; those belong to `attendance`.
//!
//! A request goes from `server/` to `router.rs`, which finds its row in `route.rs`, to a handler in `handlers/`. Handlers use
//! `request.rs`, `query.rs`, `response.rs` and `error.rs` and do not know the router.

mod body_budget;
mod cached_read;
mod conditional;
mod encoding;
mod error;
mod handlers;
mod openapi;
mod query;
mod request;
mod request_id;
mod request_metrics;
mod response;
mod route;
mod router;
mod schema;
mod server;
mod state;
mod swagger;

use bytes::Bytes;

use crate::config;

pub use openapi::json as openapi_json;
pub use server::{SelfCheckError, self_check, serve};
pub use state::{AppState, Services};

/// The state of a server that is starting. `socket_outlives_process` says whether the listening socket was passed to this process
/// (socket activation) and stays open when it ends.
pub fn app_state(
    services: Services,
    limits: config::Server,
    access: config::Access,
    socket_outlives_process: bool,
) -> AppState {
    let openapi = Bytes::from(openapi::json());
    AppState::new(services, limits, access, socket_outlives_process, route::ROUTES.len(), openapi)
}
