//! renameTable.

use super::{ALL_FIELDS, Kind, Statements, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "renameTable",
    class: "RenameTableChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("newTableName").required(),
        Field::text("oldTableName").required(),
        Field::text("schemaName"),
    ],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse,
};

fn renamed(fields: &Object, dialect: &Dialect, from: &str, to: &str) -> String {
    let object = dialect.object(fields.text("schemaName"), fields.required(from));
    format!("ALTER TABLE {object} RENAME TO {}", dialect.name(fields.required(to)))
}

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    vec![renamed(fields, dialect, "oldTableName", "newTableName")]
}

fn inverse(fields: &Object, dialect: &Dialect) -> Option<Vec<String>> {
    Some(vec![renamed(fields, dialect, "newTableName", "oldTableName")])
}
