//! createTable.

use super::column::{COLUMN, Column, definition_problems};
use super::kind::{ChangeKind, ChecksumInput, SqlGenerator};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{Dialect, literal};

/// PostgreSQL truncates longer names.
const MAX_IDENTIFIER_BYTES: usize = 63;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "createTable",
    class: "CreateTableChange",
    fields: &[
        Field::text("catalogName"),
        Field::columns(COLUMN).required(),
        Field::flag("ifNotExists"),
        Field::text("remarks"),
        Field::text("schemaName"),
        Field::text("tableName").required(),
        Field::text("tableType"),
        Field::text("tablespace"),
    ],
    checksum_input: ChecksumInput::Fields { excluded: &["ifNotExists"] },
    problems,
    statements: SqlGenerator::Infallible(statements),
    inverse,
};

fn problems(fields: &Fields) -> Vec<String> {
    let mut found = definition_problems(fields);
    if Column::all(fields).any(|column| column.lacks_foreign_key_name()) {
        found.push("createTable with references requires foreignKeyName".to_owned());
    }
    found
}

fn table(fields: &Fields, dialect: &Dialect) -> String {
    dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"))
}

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let table = table(fields, dialect);
    let mut parts: Vec<String> = Column::all(fields).map(|column| column.definition(dialect)).collect();
    parts.extend(primary_key(fields, dialect));
    parts.extend(Column::all(fields).filter_map(|column| column.foreign_key(dialect, "")));
    parts.extend(Column::all(fields).filter_map(|column| column.unique(dialect)));
    let guard = if fields.is("ifNotExists") { "IF NOT EXISTS " } else { "" };
    let kind = match fields.filled("tableType") {
        Some(kind) => format!("CREATE {} TABLE", kind.to_uppercase()),
        None => "CREATE TABLE".to_owned(),
    };
    let tablespace =
        fields.filled("tablespace").map(|name| format!(" TABLESPACE {}", dialect.name(name))).unwrap_or_default();
    let mut out = vec![format!("{kind} {guard}{table} ({}){tablespace}", parts.join(", "))];
    if let Some(remarks) = fields.filled("remarks") {
        out.push(format!("COMMENT ON TABLE {table} IS {}", literal(remarks.trim())));
    }
    out.extend(Column::all(fields).filter_map(|column| column.comment(&table, dialect)));
    out
}

fn primary_key(fields: &Fields, dialect: &Dialect) -> Option<String> {
    let key: Vec<Column<'_>> = Column::all(fields).filter(Column::is_primary_key).collect();
    let first = key.first()?;
    let name = key.iter().find_map(Column::primary_key_name);
    let name = name.map_or_else(|| default_key_name(fields.required("tableName")), str::to_owned);
    let columns: Vec<String> = key.iter().map(|column| dialect.name(column.name())).collect();
    let tablespace = first
        .primary_key_tablespace()
        .map(|name| format!(" USING INDEX TABLESPACE {}", dialect.name(name)))
        .unwrap_or_default();
    Some(format!("CONSTRAINT {} PRIMARY KEY ({}){tablespace}", dialect.name(&name), columns.join(", ")))
}

fn default_key_name(table: &str) -> String {
    let mut name = format!("{table}_pkey");
    while name.len() > MAX_IDENTIFIER_BYTES {
        name.pop();
    }
    name
}

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    Some(vec![format!("DROP TABLE {}", table(fields, dialect))])
}
