//! The domain: attendance records, where they are stored and how reads are cached.
//!
//! Policy: PostgreSQL has the data; the cache has answers; an acknowledged create is durable. This module knows no
//! HTTP: an answer is a JSON body, its entity tag and, if there are more records, the cursor of the next page.

mod answer;
mod batch_insert;
mod batch_lookup;
mod create_request;
mod date;
mod error;
mod health;
pub mod json;
mod listing;
mod prepared;
mod record;
mod service;
mod store;

pub use answer::{Answer, CacheStatus, Content, Listing, NextPage, RowStream};
pub use create_request::{CreateRequest, Problem, truncate_for_message};
pub use date::{ACCEPTED_FORMS, Date};
pub use error::{Error, StreamError, UnavailableError};
pub use health::{Dependencies, Dependency, Health};
pub use listing::{Cursor, ListQuery};
pub use prepared::{PreparedFind, PreparedList};
pub use record::NewRecord;
pub use service::Attendance;
pub use store::Store;
