//! loadData: inserts the rows of a CSV file in one statement.

use super::column_fields::LOAD_COLUMN;
use super::error::ChangeError;
use super::kind::{ChangeKind, ChecksumInput, SqlGenerator, no_inverse};
use super::load::{self, Loaded};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::{Dialect, PREPARED_STATEMENT};

pub(crate) const KIND: ChangeKind = ChangeKind {
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
    checksum_input: ChecksumInput::Custom(load::checksum),
    problems: load::problems,
    statements: SqlGenerator::Fallible(statements),
    inverse: no_inverse,
};

fn statements(fields: &Fields, dialect: &Dialect) -> Result<Vec<String>, ChangeError> {
    let loaded = match load::read(fields, dialect)? {
        Loaded::Rows(rows) => rows,
        Loaded::Prepared(count) => return Ok(vec![PREPARED_STATEMENT.to_owned(); count]),
    };
    if loaded.rows.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<String> = loaded.rows.iter().map(|row| format!("({})", row.values.join(", "))).collect();
    Ok(vec![format!(
        "INSERT INTO {} ({}) VALUES {};",
        load::table(fields, dialect),
        loaded.quoted_names(dialect).join(", "),
        rows.join(",")
    )])
}
