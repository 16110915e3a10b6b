//! SQL for PostgreSQL: identifiers, types, and splitting SQL text into statements.

mod data_type;
pub(crate) mod jdbc;
mod name;
mod parameter;
mod prepared;
mod quoted;
mod split;
mod token;

pub use data_type::DataTypeError;
pub(crate) use data_type::{DataType, Value, parse_number};
pub(crate) use name::{Dialect, Quoting, folded, literal};
pub(crate) use parameter::texts;
pub(crate) use prepared::PREPARED_STATEMENT;
pub(crate) use quoted::{code_end, ends_in_line_comment, is_line_comment};
pub(crate) use split::{Splitting, split};
pub(crate) use token::{with_replaced_word, with_schema_behind_word};
