//! output: a message for the operator. It has no SQL: the run reports it as an event after the changeset.

use super::error::ChangeError;
use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;
use crate::validation_problem::ValidationProblem;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "output",
    class: "OutputChange",
    fields: &[Field::element_text("message"), Field::text("target").initially("STDERR")],
    checksum_input: ALL_FIELDS,
    problems,
    statements: SqlGenerator::Fallible(statements),
    inverse,
};

fn problems(fields: &Fields) -> Vec<ValidationProblem> {
    match fields.filled("message") {
        Some(_) => Vec::new(),
        None => vec![ValidationProblem::Missing { field: "message" }],
    }
}

/// The valid values of `target`, in any case.
const TARGETS: &[&str] = &["STDOUT", "STDERR", "DEBUG", "INFO", "WARN", "WARNING", "SEVERE", "FATAL", "ERROR"];

fn statements(fields: &Fields, _: &Dialect) -> Result<Vec<String>, ChangeError> {
    let target = fields.required("target");
    match TARGETS.contains(&target.to_uppercase().as_str()) {
        true => Ok(Vec::new()),
        false => Err(ChangeError::UnknownOutputTarget { target: target.to_owned() }),
    }
}

fn inverse(_: &Fields, _: &Dialect) -> Option<Vec<String>> {
    Some(Vec::new())
}
