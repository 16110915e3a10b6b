//! loadUpdateData: inserts the rows of a CSV file, and updates those whose key exists.

use super::column_fields::LOAD_COLUMN;
use super::error::ChangeError;
use super::kind::{ChangeKind, ChecksumInput, SqlGenerator};
use super::load::{self, Loaded, LoadedRow, LoadedRows};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "loadUpdateData",
    class: "LoadUpdateDataChange",
    fields: &[
        Field::text("catalogName"),
        Field::columns(LOAD_COLUMN),
        Field::text("commentLineStartsWith").initially("#"),
        Field::text("encoding"),
        Field::file("file").required(),
        Field::flag("onlyUpdate"),
        Field::text("primaryKey").required(),
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
    inverse,
};

/// `a = 1 AND b is NULL`.
fn key(fields: &Fields, loaded: &LoadedRows, row: &LoadedRow, dialect: &Dialect) -> String {
    let part = |name: &str| {
        let index = loaded.names.iter().position(|known| known == name);
        let value = index.and_then(|index| row.compared.get(&index).or_else(|| row.values.get(index)));
        match value.map_or("NULL", String::as_str) {
            "NULL" => format!("{} is NULL", dialect.name(name)),
            value => format!("{} = {value}", dialect.name(name)),
        }
    };
    fields.required("primaryKey").split(',').map(part).collect::<Vec<_>>().join(" AND ")
}

fn statements(fields: &Fields, dialect: &Dialect) -> Result<Vec<String>, ChangeError> {
    let Loaded::Rows(loaded) = load::read(fields, dialect)? else { return Ok(Vec::new()) };
    Ok(loaded.rows.iter().map(|row| upsert(fields, &loaded, row, dialect)).collect())
}

fn upsert(fields: &Fields, loaded: &LoadedRows, loaded_row: &LoadedRow, dialect: &Dialect) -> String {
    let table = load::table(fields, dialect);
    let key = key(fields, loaded, loaded_row, dialect);
    let row = &loaded_row.values;
    let names = loaded.quoted_names(dialect);
    let is_key = |name: &String| fields.required("primaryKey").split(',').any(|part| part == name);
    // Liquibase sorts the columns of an update by name.
    let mut updated: Vec<usize> =
        (0..row.len()).filter(|index| loaded.updatable[*index] && !is_key(&loaded.names[*index])).collect();
    updated.sort_by_key(|index| &loaded.names[*index]);
    let sets: Vec<String> = updated.into_iter().map(|index| format!("{} = {}", names[index], row[index])).collect();
    let update = match sets.is_empty() {
        true => format!("perform * from {table} WHERE {key};"),
        false => format!("UPDATE {table} SET {} WHERE {key};", sets.join(", ")),
    };
    let insert = match fields.is("onlyUpdate") {
        true => String::new(),
        false => format!(
            "IF not found THEN\nINSERT INTO {table} ({}) VALUES ({});\nEND IF;\n",
            names.join(", "),
            row.join(", ")
        ),
    };
    let body = format!("BEGIN\n{update}\n{insert}END;");
    // A value may contain the usual quote.
    let quote = if body.contains("$$") { "$liquibase$" } else { "$$" };
    format!("DO\n{quote}\n{body}\n{quote}\nLANGUAGE plpgsql;")
}

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    let loaded = match load::read(fields, dialect) {
        Ok(Loaded::Rows(loaded)) => loaded,
        // With `failOnError="false"` the changeset ran without the data.
        Err(error) if error.is_ignored_without_fail_on_error() => return Some(Vec::new()),
        _ => return None,
    };
    let table = load::table(fields, dialect);
    let rows = loaded.rows.iter();
    Some(rows.map(|row| format!("DELETE FROM {table} WHERE {}", key(fields, &loaded, row, dialect))).collect())
}
