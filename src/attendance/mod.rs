//! The domain: attendance records, where they are stored and how reads are cached.
//!
//! Policy: PostgreSQL is the truth; Redis holds answers; what a client was told is durable. Nothing here
//! knows HTTP: an answer is a JSON body, its entity tag and, where there is more, the cursor of the next page.

mod answer;
mod batch_insert;
mod batch_lookup;
mod batcher;
mod cache;
mod create_request;
mod date;
mod health;
pub mod json;
mod listing;
mod pool;
mod record;
mod service;
mod single_flight;
mod store;

pub use answer::{Answer, CacheStatus, Listing, RowStream, StreamError};
pub use cache::{Cache, CacheOptions};
pub use create_request::{CreateRequest, Problem, truncate_for_message};
pub use date::{ACCEPTED_FORMS, Date};
pub use health::{Dependencies, Dependency, Health};
pub use listing::{Cursor, ListQuery};
pub use record::NewRecord;
pub use service::{Attendance, Error, PreparedFind, PreparedList};
pub use store::Store;
