//! stop: ends the run with a message.

use super::{ALL_FIELDS, Kind, Statements, no_inverse, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "stop",
    class: "StopChange",
    fields: &[Field::body("message").initially("Stop command in changelog file")],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Fallible(statements),
    inverse: no_inverse,
};

fn statements(fields: &Object, _: &Dialect) -> Result<Vec<String>, String> {
    Err(format!("liquibase.change.core.StopChange$StopChangeException: {}", fields.required("message")))
}
