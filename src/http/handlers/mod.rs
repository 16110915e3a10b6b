//! What the routes answer: one file a resource, its documentation directly above each handler.

pub mod create;
pub mod docs;
pub mod health;
pub mod home;
pub mod metrics;
pub mod probes;
pub mod search;
pub mod search_all;
