//! createTable.

use super::column::{Column, constraint};
use super::column_fields::COLUMN;
use super::error::ChangeError;
use super::kind::{ChangeKind, ChecksumInput, SqlGenerator};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{Dialect, literal};
use crate::validation_problem::ValidationProblem;

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
    statements: SqlGenerator::Fallible(statements),
    inverse,
};

fn problems(fields: &Fields) -> Vec<ValidationProblem> {
    let mut found = Vec::new();
    for column in Column::all(fields) {
        let is_complete = [("type", column.has_type() || column.computed() == Some(true)), ("name", column.has_name())];
        found.extend(is_complete.iter().filter(|(_, has)| !has).map(|(part, _)| ValidationProblem::Column { part }));
    }
    if Column::all(fields).any(|column| column.lacks_foreign_key_name()) {
        found.push(ValidationProblem::NoForeignKeyName);
    }
    let type_errors = Column::all(fields).filter(Column::has_type).filter_map(|column| column.data_type().err());
    found.extend(type_errors.map(ValidationProblem::DataType));
    found
}

fn table(fields: &Fields, dialect: &Dialect) -> String {
    dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"))
}

fn statements(fields: &Fields, dialect: &Dialect) -> Result<Vec<String>, ChangeError> {
    let table = table(fields, dialect);
    let mut parts: Vec<String> =
        Column::all(fields).map(|column| column.definition(dialect)).collect::<Result<_, _>>()?;
    parts.extend(primary_key(fields, dialect));
    parts.extend(Column::all(fields).filter_map(|column| column.foreign_key(dialect)));
    parts.extend(unique_constraints(fields, dialect));
    let guard = if fields.is("ifNotExists") { "IF NOT EXISTS " } else { "" };
    let kind = match fields.filled("tableType") {
        Some(kind) => format!("CREATE {} TABLE", kind.to_uppercase()),
        None => "CREATE TABLE".to_owned(),
    };
    let tablespace =
        fields.filled("tablespace").map(|name| format!(" TABLESPACE {}", dialect.name(name))).unwrap_or_default();
    // A temporary table is in a schema of the session, which has no other name.
    let created = if kind.contains("TEMPORARY") { dialect.name(fields.required("tableName")) } else { table.clone() };
    let mut out = vec![format!("{kind} {guard}{created} ({}){tablespace}", parts.join(", "))];
    if let Some(remarks) = fields.filled("remarks").filter(|remarks| !remarks.trim().is_empty()) {
        out.push(format!("COMMENT ON TABLE {table} IS {}", literal(remarks.trim())));
    }
    out.extend(Column::all(fields).filter_map(|column| column.comment(&table, dialect)));
    Ok(out)
}

/// The unique constraints: first those without a name, then the others. Columns with one name form one constraint.
fn unique_constraints(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let mut unnamed = Vec::new();
    let mut named: Vec<(&str, Vec<String>)> = Vec::new();
    for column in Column::all(fields).filter(Column::is_unique) {
        let name = dialect.name(column.name());
        match column.unique_constraint_name() {
            None => unnamed.push(format!("UNIQUE ({name})")),
            Some(constraint) => match named.iter_mut().find(|(known, _)| *known == constraint) {
                Some((_, columns)) => columns.push(name),
                None => named.push((constraint, vec![name])),
            },
        }
    }
    let named = named
        .iter()
        .map(|(name, columns)| format!("{}UNIQUE ({})", constraint(Some(name), dialect), columns.join(", ")));
    unnamed.into_iter().chain(named).collect()
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
    let deferral = first.deferral();
    Some(format!("CONSTRAINT {} PRIMARY KEY ({}){tablespace}{deferral}", dialect.name(&name), columns.join(", ")))
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
