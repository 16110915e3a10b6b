//! createIndex.

use super::column::{ADD_COLUMN, Column};
use super::{Hashing, Kind, Statements, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::{Dialect, Quoting};

pub(crate) const KIND: Kind = Kind {
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
    hashing: Hashing::Fields { excluded: &["associatedWith"] },
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse,
};

/// Whether the index is one that PostgreSQL makes by itself, for a key or a constraint.
fn comes_by_itself(fields: &Object) -> bool {
    let with = fields.text("associatedWith").unwrap_or_default();
    with.split(',').any(|one| ["primaryKey", "uniqueConstraint", "foreignKey"].contains(&one.trim()))
}

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    if comes_by_itself(fields) {
        return Vec::new();
    }
    let unique = if fields.is("unique") { "UNIQUE " } else { "" };
    // The index is made in the table's schema; PostgreSQL refuses a schema before its name.
    let name = fields.filled("indexName").map(|name| format!("{} ", dialect.name(name))).unwrap_or_default();
    let table = dialect.object(fields.text("schemaName"), fields.required("tableName"));
    let columns: Vec<String> = Column::all(fields).map(|column| part(&column, dialect)).collect();
    let tablespace =
        fields.filled("tablespace").map(|name| format!(" TABLESPACE {}", dialect.name(name))).unwrap_or_default();
    let mut out = vec![format!("CREATE {unique}INDEX {name}ON {table}({}){tablespace}", columns.join(", "))];
    if let (true, Some(index)) = (fields.is("clustered"), fields.filled("indexName")) {
        out.push(format!("CLUSTER {table} USING {}", dialect.name(index)));
    }
    out
}

fn part(column: &Column<'_>, dialect: &Dialect) -> String {
    // What looks like a call of a function is one, unless the changelog denies it.
    let call = column.computed().is_none() && column.name().contains('(') && dialect.quoting != Quoting::All;
    let expression = column.computed() == Some(true) || call;
    let name = if expression { column.name().to_owned() } else { dialect.name(column.name()) };
    if column.is_descending() { format!("{name} DESC") } else { name }
}

fn inverse(fields: &Object, dialect: &Dialect) -> Option<Vec<String>> {
    if comes_by_itself(fields) {
        return Some(Vec::new());
    }
    let name = fields.filled("indexName")?;
    Some(vec![format!("DROP INDEX {}", dialect.object(fields.text("schemaName"), name))])
}
