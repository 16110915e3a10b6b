//! dropView.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_inverse, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "dropView",
    class: "DropViewChange",
    fields: &[
        Field::text("catalogName"),
        Field::flag("ifExists"),
        Field::text("schemaName"),
        Field::text("viewName").required(),
    ],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse: no_inverse,
};

/// createView uses this as its inverse; the fields have the same names.
pub(super) fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let guard = if fields.is("ifExists") { "IF EXISTS " } else { "" };
    vec![format!("DROP VIEW {guard}{}", dialect.qualified_name(fields.text("schemaName"), fields.required("viewName")))]
}
