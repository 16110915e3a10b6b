//! dropPrimaryKey; without a constraint name the table is asked for it when the change runs.

use super::{ALL_FIELDS, Kind, Statements, no_inverse, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::{Dialect, literal};

pub(crate) const KIND: Kind = Kind {
    name: "dropPrimaryKey",
    class: "DropPrimaryKeyChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("constraintName"),
        Field::flag("dropIndex"),
        Field::text("schemaName"),
        Field::text("tableName").required(),
    ],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse: no_inverse,
};

/// Also the inverse of addPrimaryKey, whose fields have the same names.
pub(super) fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let table = dialect.object(fields.text("schemaName"), fields.required("tableName"));
    match fields.filled("constraintName") {
        Some(name) => vec![format!("ALTER TABLE {table} DROP CONSTRAINT {}", dialect.name(name))],
        None => vec![drop_by_lookup(&table)],
    }
}

fn drop_by_lookup(table: &str) -> String {
    let name = literal(table);
    format!(
        "DO $liquibase$ DECLARE key text; BEGIN \
         SELECT quote_ident(conname) INTO STRICT key FROM pg_constraint WHERE conrelid = {name}::regclass AND contype = 'p'; \
         EXECUTE {} || key; END $liquibase$",
        literal(&format!("ALTER TABLE {table} DROP CONSTRAINT "))
    )
}
