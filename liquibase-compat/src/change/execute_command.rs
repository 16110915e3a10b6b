//! executeCommand: runs a program, which this crate does not do.
//!
//! The type is known for its checksum, so that a database on which Liquibase ran it can be used. Validation refuses it where it would run. In
//! a script it is a comment with its words, as in Liquibase.

use super::error::ChangeError;
use super::kind::{ChangeKind, ChecksumInput, SqlGenerator, no_inverse, no_problems};
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
    problems: no_problems,
    statements: SqlGenerator::Fallible(statements),
    inverse: no_inverse,
};

fn statements(fields: &Fields, dialect: &Dialect) -> Result<Vec<String>, ChangeError> {
    if !dialect.is_script {
        return Err(ChangeError::Unsupported(ValidationProblem::ExecuteCommand));
    }
    let arguments = fields.list("arg").iter().map(|argument| argument.required("value"));
    let words: Vec<&str> = std::iter::once(fields.required("executable")).chain(arguments).collect();
    Ok(vec![format!("-- {}", words.join(" "))])
}
