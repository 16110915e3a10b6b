//! dropIndex.

use super::{ALL_FIELDS, Kind, Statements, no_inverse, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "dropIndex",
    class: "DropIndexChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("indexName").required(),
        Field::text("schemaName"),
        Field::text("tableName"),
    ],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse: no_inverse,
};

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    vec![format!("DROP INDEX {}", dialect.object(fields.text("schemaName"), fields.required("indexName")))]
}
