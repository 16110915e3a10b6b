//! Reads the CSV file of loadData and loadUpdateData into rows of SQL values.
//!
//! The type of its column decides how a cell is written: the type in the changelog, else the type in the table, which is looked up when
//! the change runs ([`needs_table_types`], [`with_types`]). Without a type a cell is a string. The first line is always the header.

use std::collections::HashMap;
use std::sync::Arc;

use super::column::TABLE_TYPE;
use super::csv;
use super::current_time;
use super::load_data_error::LoadDataError;
use super::{sql_text, value};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::external_file::LoadContext;
use crate::fields::{FieldValue, Fields};
use crate::file_content::FileContent;
use crate::scalar::{is_date, is_number};
use crate::sql::{Dialect, literal};
use crate::validation_problem::ValidationProblem;

/// The rows of a data file.
pub(super) struct LoadedRows {
    /// The names of the columns, as written.
    pub(super) names: Vec<String>,
    /// Whether an update may change the column, for each column.
    pub(super) updatable: Vec<bool>,
    pub(super) rows: Vec<LoadedRow>,
}

/// A row of a data file.
pub(super) struct LoadedRow {
    /// The values, as SQL.
    pub(super) values: Vec<String>,
    /// What a condition compares a column with, by its index, where that is not the value: a text that is a call of a function.
    pub(super) compared: HashMap<usize, String>,
}

/// What a data file is read into.
pub(super) enum Loaded {
    Rows(LoadedRows),
    /// In a script: the number of statements that would have to be prepared.
    Prepared(usize),
}

impl LoadedRows {
    /// The names of the columns, as SQL.
    pub(super) fn quoted_names(&self, dialect: &Dialect) -> Vec<String> {
        self.names.iter().map(|name| dialect.name(name)).collect()
    }
}

/// The target table, as SQL.
pub(super) fn table(fields: &Fields, dialect: &Dialect) -> String {
    dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"))
}

/// Reports an unreadable data file.
pub(super) fn problems(fields: &Fields) -> Vec<ValidationProblem> {
    sql_text::missing_file(fields, "file").into_iter().collect()
}

/// The checksum of the table name and the file, without empty lines, comments, carriage returns and the last line end.
pub(super) fn checksum(fields: &Fields, version: ChecksumVersion) -> Checksum {
    let bytes = fields.file("file").and_then(Result::ok).map(|file| file.bytes.as_slice()).unwrap_or_default();
    let comment = fields.text("commentLineStartsWith").and_then(|start| start.bytes().next());
    let kept: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != b'\r').collect();
    let lines = kept.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && line.first().copied() != comment);
    let content = Checksum::of_bytes(version, &lines.collect::<Vec<_>>().join(&b'\n'));
    Checksum::of_text(version, &format!("{}:{content}", fields.required("tableName")))
}

/// The header and the other rows, without comments and blank lines.
fn read_cells(fields: &Fields, file: &FileContent) -> Result<(Vec<String>, Vec<Vec<String>>), LoadDataError> {
    let file_name = || fields.required("file").to_owned();
    let separator = match fields.filled("separator") {
        // The attribute contains the two characters of Java's escape.
        Some("\\t") => '\t',
        separator => separator.and_then(|text| text.chars().next()).unwrap_or(','),
    };
    let quote = fields.text("quotchar").map(str::trim).and_then(|text| text.chars().next());
    let mut rows = csv::read_rows(&file.decoded, separator, quote)
        .map_err(|source| LoadDataError::Csv { file: file_name(), source })?;
    if rows.is_empty() {
        return Err(LoadDataError::Empty { file: file_name() });
    }
    let header = rows.remove(0);
    let comment = fields.filled("commentLineStartsWith");
    let mut kept = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        let first = row.first().map(String::as_str).unwrap_or_default();
        let blank = row.len() == 1 && first.trim().is_empty();
        if blank || comment.is_some_and(|start| first.starts_with(start)) {
            continue;
        }
        if row.len() != header.len() {
            let (line, cells, columns) = (index + 2, row.len(), header.len());
            return Err(LoadDataError::CellCount { file: file_name(), line, cells, columns });
        }
        kept.push(row);
    }
    Ok((header, kept))
}

/// The `<column>` for a column of the file, found by its name, header or index.
fn column_for<'a>(fields: &'a Fields, header: &str, index: usize) -> Option<&'a Fields> {
    let is_called = |column: &&Fields| names(column).any(|name| name.eq_ignore_ascii_case(header));
    exact_column_for(fields, header, index).or_else(|| fields.columns().iter().find(is_called))
}

/// As [`column_for`], with the name in the same case.
fn exact_column_for<'a>(fields: &'a Fields, header: &str, index: usize) -> Option<&'a Fields> {
    let index = index.to_string();
    let is_called = |column: &&Fields| names(column).any(|name| name == header) || column.text("index") == Some(&index);
    fields.columns().iter().find(is_called)
}

/// The names by which a `<column>` is found.
fn names(column: &Fields) -> impl Iterator<Item = &str> {
    ["name", "header"].into_iter().filter_map(|field| column.text(field))
}

/// Reads the rows as SQL values.
pub(super) fn read(fields: &Fields, dialect: &Dialect) -> Result<Loaded, LoadDataError> {
    let file = match fields.file("file") {
        Some(Ok(file)) => file,
        Some(Err(_)) | None => return Err(LoadDataError::Unreadable { file: fields.required("file").to_owned() }),
    };
    let (header, rows) = read_cells(fields, file)?;
    let plain = Fields::default();
    let columns: Vec<(usize, &Fields)> = header
        .iter()
        .enumerate()
        .map(|(index, name)| (index, column_for(fields, name.trim(), index).unwrap_or(&plain)))
        .filter(|(_, column)| !column.required("type").eq_ignore_ascii_case("skip"))
        .collect();
    let name = |(index, column): &(usize, &Fields)| {
        let header = header[*index].as_str();
        // As in Liquibase, the blanks around a header are part of the name, unless the changelog has the column.
        let unnamed = if std::ptr::eq(*column, &plain) { header } else { header.trim() };
        column.filled("name").unwrap_or(unnamed).to_owned()
    };
    let mut converted = Vec::with_capacity(rows.len());
    let is_bound = rows.iter().map(|row| is_bound(fields, &columns, row)).collect::<Result<Vec<_>, _>>()?;
    let prepared = is_bound.iter().filter(|is_bound| **is_bound).count();
    let is_script_of_prepared = dialect.is_script && prepared > 0;
    for (row, is_bound) in rows.iter().zip(is_bound) {
        let cell = Cells { file, fields, dialect, is_bound };
        let cells = columns.iter().map(|(index, column)| cell.sql(&row[*index], column));
        match cells.collect::<Result<_, LoadDataError>>() {
            // A prepared statement reads its files when it runs.
            Err(LoadDataError::CellFile(_) | LoadDataError::UnknownCellFile { .. }) if is_script_of_prepared => {}
            values => {
                let compared = |(at, (index, column)): (usize, &(usize, &Fields))| {
                    cell.compared(&row[*index], column).map(|text| (at, text))
                };
                let compared = columns.iter().enumerate().filter_map(compared).collect();
                converted.push(LoadedRow { values: values?, compared });
            }
        }
    }
    if is_script_of_prepared {
        return Ok(Loaded::Prepared(prepared));
    }
    Ok(Loaded::Rows(LoadedRows {
        names: columns.iter().map(name).collect(),
        updatable: columns.iter().map(|(_, column)| column.flag_or("allowUpdate", true)).collect(),
        rows: converted,
    }))
}

/// Whether Liquibase binds the values of a row to a prepared statement: all values of a row with large objects, and on request those of
/// other rows.
fn is_bound(fields: &Fields, columns: &[(usize, &Fields)], row: &[String]) -> Result<bool, LoadDataError> {
    if is_upsert(fields) {
        return Ok(false);
    }
    let is_lob = |(index, column): &(usize, &Fields)| is_lob(column) && !row[*index].eq_ignore_ascii_case("null");
    match (columns.iter().any(is_lob), fields.flag("usePreparedStatements")) {
        (true, Some(false)) => Err(LoadDataError::NeedsPreparedStatements),
        (needs_binding, requested) => Ok(needs_binding || requested == Some(true)),
    }
}

/// What the cells of a row are written by.
struct Cells<'a> {
    file: &'a FileContent,
    fields: &'a Fields,
    dialect: &'a Dialect,
    is_bound: bool,
}

impl Cells<'_> {
    /// What the condition of an upsert compares a column with, if that is not the value.
    fn compared(&self, written: &str, column: &Fields) -> Option<String> {
        let type_ = column.filled("type").unwrap_or_default().to_uppercase();
        let is_text =
            !["BOOLEAN", "NUMERIC", "DATE", "DATETIME", "TIME", "COMPUTED", "SEQUENCE"].contains(&type_.as_str());
        let given = if written.is_empty() { column.text("defaultValue") } else { Some(written) };
        given.filter(|text| is_upsert(self.fields) && is_text && value::is_function(text)).map(literal)
    }

    /// One cell as SQL.
    fn sql(&self, written: &str, column: &Fields) -> Result<String, LoadDataError> {
        let Self { file, fields, dialect, is_bound } = *self;
        let null = || "NULL".to_owned();
        if written.eq_ignore_ascii_case("null") {
            return Ok(null());
        }
        let given = if written.is_empty() { column.text("defaultValue") } else { Some(written) };
        let text_sql = |text: &str| if is_bound { value::bound_text(text) } else { value::cell(text) };
        let type_ = column.filled("type").unwrap_or_default().to_uppercase();
        Ok(match (type_.as_str(), given) {
            ("BOOLEAN", Some(text)) => value::boolean(is_true(text)),
            ("BOOLEAN", None) => column.flag("defaultValueBoolean").map_or_else(null, value::boolean),
            ("NUMERIC", Some(text)) => numeric(text, is_bound),
            ("NUMERIC", None) => column.filled("defaultValueNumeric").map_or_else(null, str::to_owned),
            ("DATE" | "DATETIME" | "TIME", Some(text)) => date_or_time(text, &type_)?,
            ("DATE" | "DATETIME" | "TIME", None) => column.filled("defaultValueDate").map_or_else(null, value::date),
            ("STRING", text) => text_sql(text.unwrap_or_default()),
            ("COMPUTED", Some(text)) if is_bound => text.to_owned(),
            ("COMPUTED", Some(text)) => value::computed(text),
            ("COMPUTED", None) => column.filled("defaultValueComputed").map_or_else(null, str::to_owned),
            // Beside values that are bound Liquibase writes the name of a sequence as an expression.
            ("SEQUENCE", Some(text)) if is_bound => {
                fields.filled("schemaName").map_or_else(|| text.to_owned(), |schema| format!("{schema}.{text}"))
            }
            ("SEQUENCE", Some(text)) => value::next(fields.text("schemaName"), text, dialect),
            ("SEQUENCE", None) => {
                return Err(LoadDataError::NoSequence);
            }
            // In an upsert Liquibase writes the file name as the value.
            ("BLOB" | "CLOB", Some(text)) if is_upsert(fields) => value::cell(text),
            ("BLOB", Some(text)) => match decode_base64(text) {
                Some(bytes) => value::bytes_for(&bytes, column.text(TABLE_TYPE)),
                None => value::bytes_for(cell_file(file, text)?, column.text(TABLE_TYPE)),
            },
            ("CLOB", Some(text)) => value::bound_text(&String::from_utf8_lossy(cell_file(file, text)?)),
            ("UUID" | "OTHER", Some(text)) => value::cell(text),
            (_, Some(text)) => text_sql(text),
            (OTHER_TABLE_TYPE, None) => text_sql(""),
            (_, None) => null(),
        })
    }
}

/// Whether the cells of a column name files, or are binary.
fn is_lob(column: &Fields) -> bool {
    column.filled("type").is_some_and(|type_| type_.eq_ignore_ascii_case("clob") || type_.eq_ignore_ascii_case("blob"))
}

/// Whether existing rows are updated.
fn is_upsert(fields: &Fields) -> bool {
    fields.filled("primaryKey").is_some()
}

fn is_true(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    matches!(text.as_str(), "true" | "t" | "yes" | "y" | "1") || text.parse::<i32>().is_ok_and(|number| number > 0)
}

/// A number, without one pair of parentheses around it. Other text is an expression and stays as it is.
fn numeric(text: &str, is_bound: bool) -> String {
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let number = inner.filter(|text| is_number(text)).unwrap_or(text);
    if is_bound && is_number(number) { value::bound_number(number) } else { number.to_owned() }
}

/// A date, time or timestamp, or a word for the current one. Other text is an expression.
fn date_or_time(text: &str, type_: &str) -> Result<String, LoadDataError> {
    match current_time::sql(text, type_) {
        Some(sql) => sql,
        None if is_date(text) => Ok(value::date(text)),
        None => Ok(value::computed(text)),
    }
}

/// The content of the file that a cell names.
fn cell_file<'a>(file: &'a FileContent, name: &str) -> Result<&'a [u8], LoadDataError> {
    match file.cell_files.get(name) {
        Some(Ok(bytes)) => Ok(bytes),
        Some(Err(error)) => Err(LoadDataError::CellFile(Arc::clone(error))),
        None => Err(LoadDataError::UnknownCellFile { name: name.to_owned() }),
    }
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if text.is_empty() || !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0);
    for digit in digits.bytes() {
        let sextet = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(sextet);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// Reads the files that cells name.
///
/// A column of type BLOB or CLOB contains file names. A column without a type may turn out to be one when the table is known: there a cell
/// is taken for a file name if it contains a dot or a slash and is not a number.
pub(super) fn resolve_cell_files(fields: &mut Fields, context: LoadContext<'_>) {
    let Some(Ok(file)) = fields.file("file").filter(|_| !is_upsert(fields)) else { return };
    let Ok((header, rows)) = read_cells(fields, file) else { return };
    let mut found = Vec::new();
    for (index, name) in header.iter().enumerate() {
        let column = column_for(fields, name.trim(), index);
        let type_ = column.and_then(|column| column.filled("type"));
        let is_lob = column.is_some_and(is_lob);
        let may_be_file = |cell: &str| type_.is_none() && cell.contains(['.', '/']) && cell.parse::<f64>().is_err();
        for cell in rows.iter().map(|row| &row[index]).filter(|cell| is_lob || may_be_file(cell)) {
            found.push((cell.clone(), context.read(cell, true).map_err(Arc::new)));
        }
    }
    for (_, file) in fields.files.iter_mut().filter(|(name, _)| *name == "file") {
        if let Ok(file) = file {
            file.cell_files = std::mem::take(&mut found).into_iter().collect();
        }
    }
}

/// Whether the table has to be asked for the type of a column: it is not in the changelog, or the values are binary, which PostgreSQL
/// stores in two ways.
pub(super) fn needs_table_types(fields: &Fields) -> bool {
    let Some(Ok(file)) = fields.file("file") else { return false };
    let Ok((header, _)) = read_cells(fields, file) else { return false };
    let typed = |(index, name): (usize, &String)| {
        let type_ = column_for(fields, name.trim(), index).and_then(|column| column.filled("type"));
        type_.is_some_and(|type_| !type_.eq_ignore_ascii_case("blob"))
    };
    !header.iter().enumerate().all(typed)
}

/// Adds the types of the table's columns, as (name, PostgreSQL type), to the columns without a type.
pub(super) fn with_types(fields: &Fields, table_types: &[(String, String)]) -> Fields {
    let mut typed = fields.clone();
    let Some(Ok(file)) = fields.file("file") else { return typed };
    let Ok((header, _)) = read_cells(fields, file) else { return typed };
    let mut columns = Vec::new();
    for (index, name) in header.iter().enumerate() {
        let given = column_for(fields, name.trim(), index);
        // As in Liquibase, a column keeps the values as text if it is found only without regard to case, or if it has no name itself: only
        // names are looked up in the table, not the header or the index.
        let exact = exact_column_for(fields, name.trim(), index);
        let is_typed = given.is_none() || exact.is_some_and(|column| column.filled("name").is_some());
        let unnamed = if given.is_some() { name.trim() } else { name };
        let mut column = given.cloned().unwrap_or_default();
        let column_name = column.filled("name").unwrap_or(unnamed).to_owned();
        if let Some((_, type_)) = table_types.iter().find(|(column, _)| column.eq_ignore_ascii_case(&column_name)) {
            if is_typed && column.filled("type").is_none() {
                column.set("type", FieldValue::Text(load_type(type_).to_owned()));
            }
            column.set(TABLE_TYPE, FieldValue::Text(type_.clone()));
        }
        column.set("name", FieldValue::Text(column_name));
        column.set("index", FieldValue::Text(index.to_string()));
        columns.push(column);
    }
    typed.set("columns", FieldValue::List(columns));
    typed
}

/// The type of a column that has a type of PostgreSQL which loadData does not know. It is never in a changelog.
const OTHER_TABLE_TYPE: &str = "OTHER TYPE OF THE TABLE";

/// The type of loadData for a PostgreSQL type.
fn load_type(type_: &str) -> &'static str {
    match type_ {
        "boolean" => "BOOLEAN",
        // The id of a large object.
        "oid" | "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision" => "NUMERIC",
        "date" => "DATE",
        "character varying" | "character" | "name" => "STRING",
        "text" => "CLOB",
        "uuid" => "UUID",
        type_ if type_.starts_with("time") => "DATE",
        _ => OTHER_TABLE_TYPE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_distinguished_from_file_names() {
        assert_eq!(decode_base64("aGk="), Some(b"hi".to_vec()));
        assert_eq!(decode_base64("aGkh"), Some(b"hi!".to_vec()));
        assert_eq!(decode_base64("a.png"), None);
    }
}
