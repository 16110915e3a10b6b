//! customChange: runs a Java class, which this crate does not do.
//!
//! The type is known for its checksum, so that a database on which Liquibase ran it can be used. Validation refuses it where it would run.

use std::collections::BTreeMap;

use super::error::ChangeError;
use super::kind::{ChangeKind, ChecksumInput, SqlGenerator, no_inverse};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;
use crate::validation_problem::ValidationProblem;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "customChange",
    class: "CustomChangeWrapper",
    fields: &[Field::text("class"), Field::repeated("param", &[Field::text("name"), Field::element_text("value")])],
    checksum_input: ChecksumInput::Custom(checksum),
    problems,
    statements: SqlGenerator::Fallible(statements),
    inverse: no_inverse,
};

/// The serialisation of all fields, with the parameters as a map.
fn checksum(fields: &Fields, version: ChecksumVersion) -> Checksum {
    let parameters: BTreeMap<&str, &str> =
        fields.list("param").iter().map(|one| (one.required("name"), one.required("value"))).collect();
    let lines: Vec<String> = parameters.iter().map(|(name, value)| format!("        {name}=\"{value}\"")).collect();
    let class = fields.required("class");
    let text = format!("customChange:[\n    class=\"{class}\"\n    param={{\n{}\n    }}\n]", lines.join(",\n"));
    Checksum::of_text(version, &text)
}

fn problems(fields: &Fields) -> Vec<ValidationProblem> {
    vec![unsupported(fields)]
}

fn unsupported(fields: &Fields) -> ValidationProblem {
    ValidationProblem::CustomChange { class: fields.required("class").to_owned() }
}

fn statements(fields: &Fields, _: &Dialect) -> Result<Vec<String>, ChangeError> {
    Err(ChangeError::Unsupported(unsupported(fields)))
}
