//! HTTP: the server, its limits, the routes and what they answer.
//!
//! Policy: every answer has one of a few shapes (a record, a list, a message, an error), every wait has a
//! bound, every request leaves one log line and one observation. No client can hold what another one needs:
//! connections, head, body, idle time and writing are limited (`server/`), and a fault in one request is that
//! request's 500 (`exchange.rs`). Nothing here knows SQL or Redis; that is `attendance`.

mod conditional;
mod encoding;
mod error;
mod exchange;
mod handlers;
pub mod openapi;
mod query;
mod request;
mod request_id;
mod request_metrics;
mod response;
mod router;
mod server;
mod state;
mod swagger;

pub use server::self_check::self_check;
pub use server::serve;
pub use state::AppState;
