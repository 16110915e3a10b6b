//! stop: ends the run with an error message.

use super::error::ChangeError;
use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_inverse, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "stop",
    class: "StopChange",
    fields: &[Field::element_text("message").initially("Stop command in changelog file")],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Fallible(statements),
    inverse: no_inverse,
};

fn statements(fields: &Fields, _: &Dialect) -> Result<Vec<String>, ChangeError> {
    Err(ChangeError::Stopped { message: fields.required("message").to_owned() })
}
