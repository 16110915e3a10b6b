//! dropAllForeignKeyConstraints: drops the foreign keys that the table has when the change runs. A table that does not exist has none.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_inverse, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{Dialect, literal};

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "dropAllForeignKeyConstraints",
    class: "DropAllForeignKeyConstraintsChange",
    fields: &[
        Field::text("baseTableCatalogName"),
        Field::text("baseTableName").required(),
        Field::text("baseTableSchemaName"),
    ],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse: no_inverse,
};

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let table = dialect.qualified_name(fields.text("baseTableSchemaName"), fields.required("baseTableName"));
    vec![format!(
        "DO $liquibase$ DECLARE key text; BEGIN \
         FOR key IN SELECT quote_ident(conname) FROM pg_constraint WHERE conrelid = to_regclass({}) AND contype = 'f' LOOP \
         EXECUTE {} || key; END LOOP; END $liquibase$",
        literal(&table),
        literal(&format!("ALTER TABLE {table} DROP CONSTRAINT "))
    )]
}
