//! The domain: attendance records, where they are stored and how reads are cached.
//!
//! Policy: PostgreSQL is the truth; Redis holds answers; what a client was told is durable. Nothing here
//! knows HTTP: an answer is a JSON body, its entity tag and, where there is more, the cursor of the next page.

mod answer;
mod cache;
mod creates;
mod date;
mod draft;
mod flights;
mod gather;
mod health;
pub mod json;
mod listing;
mod lookups;
mod pool;
mod record;
mod service;
mod store;

pub use answer::{Answer, Cached, Interrupted, Listing, RowStream};
pub use cache::{Cache, CacheOptions};
pub use date::{ACCEPTED_FORMS, Date};
pub use draft::{Draft, Problem, echo};
pub use health::{Dependency, Health, HealthBoard};
pub use listing::{Cursor, ListQuery};
pub use record::NewRecord;
pub use service::{Attendance, Error};
pub use store::Store;
