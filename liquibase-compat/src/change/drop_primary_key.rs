//! dropPrimaryKey: if the constraint is not named, its name is looked up when the change runs.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_inverse, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{Dialect, literal};

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "dropPrimaryKey",
    class: "DropPrimaryKeyChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("constraintName"),
        Field::flag("dropIndex"),
        Field::text("schemaName"),
        Field::text("tableName").required(),
    ],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse: no_inverse,
};

/// addPrimaryKey uses this as its inverse; the fields have the same names.
pub(super) fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let table = dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"));
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
