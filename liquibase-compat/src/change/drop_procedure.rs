//! dropProcedure.

use super::{ALL_FIELDS, Kind, Statements, no_inverse, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "dropProcedure",
    class: "DropProcedureChange",
    fields: &[Field::text("catalogName"), Field::text("procedureName").required(), Field::text("schemaName")],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse: no_inverse,
};

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    vec![format!("DROP PROCEDURE {}", dialect.object(fields.text("schemaName"), fields.required("procedureName")))]
}
