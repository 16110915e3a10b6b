//! dropAllForeignKeyConstraints; the table is asked for them when the change runs.

use super::{ALL_FIELDS, Kind, Statements, no_inverse, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::{Dialect, literal};

pub(crate) const KIND: Kind = Kind {
    name: "dropAllForeignKeyConstraints",
    class: "DropAllForeignKeyConstraintsChange",
    fields: &[
        Field::text("baseTableCatalogName"),
        Field::text("baseTableName").required(),
        Field::text("baseTableSchemaName"),
    ],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse: no_inverse,
};

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let table = dialect.object(fields.text("baseTableSchemaName"), fields.required("baseTableName"));
    vec![format!(
        "DO $liquibase$ DECLARE key text; BEGIN \
         FOR key IN SELECT quote_ident(conname) FROM pg_constraint WHERE conrelid = {}::regclass AND contype = 'f' LOOP \
         EXECUTE {} || key; END LOOP; END $liquibase$",
        literal(&table),
        literal(&format!("ALTER TABLE {table} DROP CONSTRAINT "))
    )]
}
