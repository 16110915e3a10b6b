//! The handlers: one file per resource, with the description for the OpenAPI document above each handler.
//!
//! Policy: a handler turns a [`RequestContext`](super::request::RequestContext) into a [`Reply`](super::response::Reply) or an
//! [`HttpError`](super::error::HttpError). Its path is in the route table only, so `path` is empty in the
//! attributes here.

pub mod accounts;
pub mod audit;
pub mod calendar;
pub mod changes;
pub mod create;
pub mod docs;
pub mod employees;
pub mod erasure;
pub mod health;
pub mod home;
pub mod metrics;
pub mod probes;
pub mod record;
pub mod records;
pub mod search;
pub mod search_all;
pub mod session;
pub mod sessions;
pub mod sheet;
pub mod summary;
pub mod tokens;
