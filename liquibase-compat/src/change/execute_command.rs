//! executeCommand: runs a program, which this crate does not do.
//!
//! The type is known for its checksum, so that a database on which Liquibase ran it can be used. Validation refuses it where it would run.

use super::error::ChangeError;
use super::kind::{ChangeKind, ChecksumInput, SqlGenerator, no_inverse};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;
use crate::validation_problem::ValidationProblem;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "executeCommand",
    class: "ExecuteShellCommandChange",
    fields: &[
        Field::text("executable").required(),
        Field::text("os"),
        Field::text("timeout"),
        Field::repeated("arg", &[Field::text("value")]),
    ],
    checksum_input: ChecksumInput::Fields { excluded: &["os", "arg"] },
    problems,
    statements: SqlGenerator::Fallible(statements),
    inverse: no_inverse,
};

fn problems(_: &Fields) -> Vec<ValidationProblem> {
    vec![ValidationProblem::ExecuteCommand]
}

fn statements(_: &Fields, _: &Dialect) -> Result<Vec<String>, ChangeError> {
    Err(ChangeError::Unsupported(ValidationProblem::ExecuteCommand))
}
