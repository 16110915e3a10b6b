//! createIndex.

use super::column::Column;
use super::column_fields::ADD_COLUMN;
use super::kind::{ChangeKind, ChecksumInput, SqlGenerator};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{Dialect, Quoting};
use crate::validation_problem::ValidationProblem;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "createIndex",
    class: "CreateIndexChange",
    fields: &[
        Field::text("associatedWith"),
        Field::text("catalogName"),
        Field::flag("clustered"),
        Field::columns(ADD_COLUMN).required(),
        Field::text("indexName"),
        Field::text("schemaName"),
        Field::text("tableName").required(),
        Field::text("tablespace"),
        Field::flag("unique"),
    ],
    checksum_input: ChecksumInput::Fields { excluded: NOT_SUMMED },
    problems,
    statements: SqlGenerator::Infallible(statements),
    inverse,
};

/// Fields that the checksum ignores. All but the first are fields of a column that say nothing about an index.
const NOT_SUMMED: &[&str] = &[
    "associatedWith",
    "autoIncrement",
    "constraints",
    "defaultValue",
    "encoding",
    "incrementBy",
    "remarks",
    "startWith",
    "type",
    "value",
];

fn problems(fields: &Fields) -> Vec<ValidationProblem> {
    Column::all(fields).filter(|column| !column.has_name()).map(|_| ValidationProblem::IndexColumn).collect()
}

/// Whether PostgreSQL creates the index itself, for a key or a constraint.
fn is_implicit(fields: &Fields) -> bool {
    let with = fields.text("associatedWith").unwrap_or_default();
    with.split(',').any(|one| ["primaryKey", "uniqueConstraint", "foreignKey"].contains(&one.trim()))
}

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    if is_implicit(fields) {
        return Vec::new();
    }
    let unique = if fields.is("unique") { "UNIQUE " } else { "" };
    // PostgreSQL creates the index in the schema of the table, and refuses a schema before the index name.
    let name = fields.filled("indexName").map(|name| format!("{} ", dialect.name(name))).unwrap_or_default();
    let table = dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"));
    let columns: Vec<String> = Column::all(fields).map(|column| index_column(&column, dialect)).collect();
    let tablespace =
        fields.filled("tablespace").map(|name| format!(" TABLESPACE {}", dialect.name(name))).unwrap_or_default();
    let mut out = vec![format!("CREATE {unique}INDEX {name}ON {table}({}){tablespace}", columns.join(", "))];
    if let (true, Some(index)) = (fields.is("clustered"), fields.filled("indexName")) {
        out.push(format!("CLUSTER {table} USING {}", dialect.name(index)));
    }
    out
}

fn index_column(column: &Column<'_>, dialect: &Dialect) -> String {
    // A name with a parenthesis is a function call, unless the changelog says that it is not computed.
    let call = column.computed().is_none() && column.name().contains('(') && dialect.quoting != Quoting::All;
    let expression = column.computed() == Some(true) || call;
    let name = if expression { column.name().to_owned() } else { dialect.name(column.name()) };
    if column.is_descending() { format!("{name} DESC") } else { name }
}

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    if is_implicit(fields) {
        return Some(Vec::new());
    }
    let name = fields.filled("indexName")?;
    Some(vec![format!("DROP INDEX {}", dialect.qualified_name(fields.text("schemaName"), name))])
}
