//! addPrimaryKey.

use super::column::constraint;
use super::{ALL_FIELDS, Kind, Statements, drop_primary_key, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "addPrimaryKey",
    class: "AddPrimaryKeyChange",
    fields: &[
        Field::text("catalogName"),
        Field::flag("clustered"),
        Field::text("columnNames").required(),
        Field::text("constraintName"),
        Field::text("forIndexCatalogName"),
        Field::text("forIndexName"),
        Field::text("forIndexSchemaName"),
        Field::text("schemaName"),
        Field::text("tableName").required(),
        Field::text("tablespace"),
        Field::flag("validate"),
    ],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse,
};

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let table = dialect.object(fields.text("schemaName"), fields.required("tableName"));
    let name = constraint(fields.filled("constraintName"), dialect);
    let key = match fields.filled("forIndexName") {
        Some(index) => format!("USING INDEX {}", dialect.name(index)),
        None => format!("({})", dialect.names(fields.required("columnNames"))),
    };
    let tablespace = fields
        .filled("tablespace")
        .map(|name| format!(" USING INDEX TABLESPACE {}", dialect.name(name)))
        .unwrap_or_default();
    vec![format!("ALTER TABLE {table} ADD {name}PRIMARY KEY {key}{tablespace}")]
}

fn inverse(fields: &Object, dialect: &Dialect) -> Option<Vec<String>> {
    Some(drop_primary_key::statements(fields, dialect))
}
