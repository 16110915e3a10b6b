//! The handlers: one file per resource, with the description for the OpenAPI document above each handler.
//!
//! Policy: a handler turns a [`RequestContext`](super::request::RequestContext) into a [`Reply`](super::response::Reply) or an
//! [`HttpError`](super::error::HttpError). It does not know its path: that is in the route table only, so `path` is empty in the
//! attributes here.

pub mod create;
pub mod docs;
pub mod health;
pub mod home;
pub mod metrics;
pub mod probes;
pub mod search;
pub mod search_all;
