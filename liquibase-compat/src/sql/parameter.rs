//! Parameters of statements that have no name.
//!
//! Policy: a statement is parsed, bound and executed in one round trip, without a name. A pooler may give each transaction to another
//! session, in which a named statement does not exist, or is that of another program.

use tokio_postgres::types::{ToSql, Type};

/// Texts as parameters. Their type is left to the server, which infers it from the statement.
pub(crate) fn texts<'a>(values: &[&'a (dyn ToSql + Sync)]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    values.iter().map(|value| (*value, Type::UNKNOWN)).collect()
}
