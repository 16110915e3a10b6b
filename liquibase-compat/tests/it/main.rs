//! Everything that needs a database: on a real PostgreSQL, one database a test.

mod adoption;
mod golden;
mod locking;
mod support;
mod updates;
