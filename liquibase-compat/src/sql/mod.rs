//! SQL for PostgreSQL: identifiers, types, and splitting SQL text into statements.

mod name;
mod split;
mod token;
mod types;

pub(crate) use name::{Dialect, Quoting, folded, literal};
pub(crate) use split::{Splitting, split};
pub(crate) use types::{column_type, is_serial};
