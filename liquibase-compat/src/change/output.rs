//! output: a message to whoever watches the run. It is no SQL: the run tells it when the changeset is done.

use super::{ALL_FIELDS, Kind, Statements};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "output",
    class: "OutputChange",
    fields: &[Field::body("message"), Field::text("target").initially("STDERR")],
    hashing: ALL_FIELDS,
    invalid,
    statements: Statements::Fallible(statements),
    inverse,
};

fn invalid(fields: &Object) -> Vec<String> {
    match fields.filled("message") {
        Some(_) => Vec::new(),
        None => vec!["message is required".to_owned()],
    }
}

/// Where a message may go.
const TARGETS: &[&str] = &["STDOUT", "STDERR", "DEBUG", "INFO", "WARN", "WARNING", "SEVERE", "FATAL", "ERROR"];

fn statements(fields: &Object, _: &Dialect) -> Result<Vec<String>, String> {
    let target = fields.required("target");
    match TARGETS.contains(&target.to_uppercase().as_str()) {
        true => Ok(Vec::new()),
        false => Err(format!("liquibase.exception.UnexpectedLiquibaseException: Unknown target: {target}")),
    }
}

fn inverse(_: &Object, _: &Dialect) -> Option<Vec<String>> {
    Some(Vec::new())
}
