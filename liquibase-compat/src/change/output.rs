//! output: a message to whoever watches the run. A library writes it to its log, with the severity that is asked for.

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

/// Writes the message: there is no SQL to run.
fn statements(fields: &Object, _: &Dialect) -> Result<Vec<String>, String> {
    let message = fields.required("message");
    match fields.required("target").to_uppercase().as_str() {
        "DEBUG" => tracing::debug!(message, "output of the changelog"),
        "STDOUT" | "STDERR" | "INFO" => tracing::info!(message, "output of the changelog"),
        "WARN" | "WARNING" => tracing::warn!(message, "output of the changelog"),
        "SEVERE" | "FATAL" | "ERROR" => tracing::error!(message, "output of the changelog"),
        target => return Err(format!("liquibase.exception.UnexpectedLiquibaseException: Unknown target: {target}")),
    }
    Ok(Vec::new())
}

fn inverse(_: &Object, _: &Dialect) -> Option<Vec<String>> {
    Some(Vec::new())
}
