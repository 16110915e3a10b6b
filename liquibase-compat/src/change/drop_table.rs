//! dropTable.

use super::{ALL_FIELDS, Kind, Statements, no_inverse, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "dropTable",
    class: "DropTableChange",
    fields: &[
        Field::flag("cascadeConstraints"),
        Field::text("catalogName"),
        Field::text("schemaName"),
        Field::text("tableName").required(),
    ],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse: no_inverse,
};

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let cascade = if fields.is("cascadeConstraints") { " CASCADE" } else { "" };
    vec![format!("DROP TABLE {}{cascade}", dialect.object(fields.text("schemaName"), fields.required("tableName")))]
}
