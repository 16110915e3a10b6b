//! output: a message for the operator. It has no SQL: the message is passed on when the SQL of its changeset is generated, also for a script.

use super::error::ChangeError;
use super::kind::{ChangeKind, ChecksumInput, SqlGenerator};
use crate::checksum::{Checksum, ChecksumVersion, serialise};
use crate::field::Field;
use crate::fields::{FieldValue, Fields};
use crate::sql::Dialect;
use crate::validation_problem::ValidationProblem;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "output",
    class: "OutputChange",
    fields: &[Field::element_text("message"), Field::text("target").initially(DEFAULT_TARGET)],
    checksum_input: ChecksumInput::Custom(checksum),
    problems,
    statements: SqlGenerator::Fallible(statements),
    inverse,
};

fn problems(fields: &Fields) -> Vec<ValidationProblem> {
    match fields.filled("message") {
        Some(_) => Vec::new(),
        None => vec![ValidationProblem::MissingFor { field: "message", change: KIND.name }],
    }
}

/// The target; an empty one is the default.
pub(super) fn target(fields: &Fields) -> &str {
    fields.filled("target").unwrap_or(DEFAULT_TARGET)
}

fn checksum(fields: &Fields, version: ChecksumVersion) -> Checksum {
    let mut summed = fields.clone();
    summed.set("target", FieldValue::Text(target(fields).to_owned()));
    Checksum::of_text(version, &serialise(KIND.name, &summed, &[]))
}

const DEFAULT_TARGET: &str = "STDERR";

/// The valid values of `target`, in any case.
const TARGETS: &[&str] = &["STDOUT", "STDERR", "DEBUG", "INFO", "WARN", "WARNING", "SEVERE", "FATAL", "ERROR"];

fn statements(fields: &Fields, _: &Dialect) -> Result<Vec<String>, ChangeError> {
    let target = target(fields);
    match TARGETS.contains(&target.to_uppercase().as_str()) {
        true => Ok(Vec::new()),
        false => Err(ChangeError::UnknownOutputTarget { target: target.to_owned() }),
    }
}

fn inverse(_: &Fields, _: &Dialect) -> Option<Vec<String>> {
    Some(Vec::new())
}
