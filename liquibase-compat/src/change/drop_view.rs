//! dropView.

use super::{ALL_FIELDS, Kind, Statements, no_inverse, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "dropView",
    class: "DropViewChange",
    fields: &[
        Field::text("catalogName"),
        Field::flag("ifExists"),
        Field::text("schemaName"),
        Field::text("viewName").required(),
    ],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse: no_inverse,
};

/// Also the inverse of createView, whose fields have the same names.
pub(super) fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let guard = if fields.is("ifExists") { "IF EXISTS " } else { "" };
    vec![format!("DROP VIEW {guard}{}", dialect.object(fields.text("schemaName"), fields.required("viewName")))]
}
