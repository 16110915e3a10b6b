//! loadData: the rows of a CSV file, in one statement.

use super::column::LOAD_COLUMN;
use super::{Hashing, Kind, Statements, load, no_inverse};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "loadData",
    class: "LoadDataChange",
    fields: &[
        Field::text("catalogName"),
        Field::columns(LOAD_COLUMN),
        Field::text("commentLineStartsWith").initially("#"),
        Field::text("encoding"),
        Field::file("file").required(),
        Field::text("quotchar").initially("\""),
        Field::flag("relativeToChangelogFile"),
        Field::text("schemaName"),
        Field::text("separator").initially(","),
        Field::text("tableName").required(),
        Field::flag("usePreparedStatements"),
    ],
    hashing: Hashing::Own(load::checksum),
    invalid: load::invalid,
    statements: Statements::Fallible(statements),
    inverse: no_inverse,
};

fn statements(fields: &Object, dialect: &Dialect) -> Result<Vec<String>, String> {
    let loaded = load::read(fields, dialect)?;
    if loaded.rows.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<String> = loaded.rows.iter().map(|row| format!("({})", row.join(", "))).collect();
    Ok(vec![format!(
        "INSERT INTO {} ({}) VALUES {}",
        load::table(fields, dialect),
        loaded.quoted(dialect).join(", "),
        rows.join(",")
    )])
}
