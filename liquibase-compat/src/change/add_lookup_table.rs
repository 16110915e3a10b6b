//! addLookupTable: creates a table of the distinct values of a column, and a foreign key from the column to it.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "addLookupTable",
    class: "AddLookupTableChange",
    fields: &[
        Field::text("constraintName"),
        Field::text("existingColumnName").required(),
        Field::text("existingTableCatalogName"),
        Field::text("existingTableName").required(),
        Field::text("existingTableSchemaName"),
        Field::text("newColumnDataType"),
        Field::text("newColumnName").required(),
        Field::text("newTableCatalogName"),
        Field::text("newTableName").required(),
        Field::text("newTableSchemaName"),
    ],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse,
};

fn new_table(fields: &Fields, dialect: &Dialect) -> String {
    dialect.qualified_name(fields.text("newTableSchemaName"), fields.required("newTableName"))
}

fn existing_table(fields: &Fields, dialect: &Dialect) -> String {
    dialect.qualified_name(fields.text("existingTableSchemaName"), fields.required("existingTableName"))
}

fn foreign_key(fields: &Fields, dialect: &Dialect) -> String {
    let default_name =
        || format!("FK_{}_{}", fields.required("existingTableName"), fields.required("newTableName")).to_uppercase();
    dialect.name(&fields.text("constraintName").map_or_else(default_name, str::to_owned))
}

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let (new, existing) = (new_table(fields, dialect), existing_table(fields, dialect));
    let code = dialect.name(fields.required("newColumnName"));
    let column = dialect.name(fields.required("existingColumnName"));
    let key = foreign_key(fields, dialect);
    vec![
        format!("CREATE TABLE {new} AS SELECT DISTINCT {column} AS {code} FROM {existing} WHERE {column} IS NOT NULL"),
        format!("ALTER TABLE {new} ALTER COLUMN  {code} SET NOT NULL"),
        format!("ALTER TABLE {new} ADD PRIMARY KEY ({code})"),
        format!("ALTER TABLE {existing} ADD CONSTRAINT {key} FOREIGN KEY ({column}) REFERENCES {new} ({code})"),
    ]
}

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    Some(vec![
        format!("ALTER TABLE {} DROP CONSTRAINT {}", existing_table(fields, dialect), foreign_key(fields, dialect)),
        format!("DROP TABLE {}", new_table(fields, dialect)),
    ])
}
