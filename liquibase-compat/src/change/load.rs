//! The rows of a CSV file as loadData and loadUpdateData load them.
//!
//! What a cell becomes depends on the type of its column: the one that is said, else the one the table has, which is asked for when the
//! change runs ([`untyped`], [`with_types`]); without either, a cell is a string. The first line is the header, whatever it is.

use super::{body, csv, flag_or, value};
use crate::attachment::{Attachment, Surroundings};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::field::{self, Object, Value, is_date, is_number};
use crate::sql::{Dialect, literal};

/// What a file holds.
pub(super) struct Loaded {
    /// The columns' names as written.
    pub(super) names: Vec<String>,
    /// Which of them an update may touch.
    pub(super) updatable: Vec<bool>,
    /// The values of each row, as SQL.
    pub(super) rows: Vec<Vec<String>>,
}

impl Loaded {
    /// The columns' names as SQL.
    pub(super) fn quoted(&self, dialect: &Dialect) -> Vec<String> {
        self.names.iter().map(|name| dialect.name(name)).collect()
    }
}

/// The table that is loaded.
pub(super) fn table(fields: &Object, dialect: &Dialect) -> String {
    dialect.object(fields.text("schemaName"), fields.required("tableName"))
}

/// What validation finds wrong: a file that cannot be had.
pub(super) fn invalid(fields: &Object) -> Vec<String> {
    body::missing_file(fields, "file").into_iter().collect()
}

/// The checksum: of the table's name and of the file without empty lines, comments, carriage returns and the last line end.
pub(super) fn checksum(fields: &Object, version: ChecksumVersion) -> Checksum {
    let bytes = fields.file("file").and_then(Result::ok).map(|file| file.bytes.as_slice()).unwrap_or_default();
    let comment = fields.text("commentLineStartsWith").and_then(|start| start.bytes().next());
    let kept: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != b'\r').collect();
    let lines = kept.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && line.first().copied() != comment);
    let content = Checksum::of_bytes(version, &lines.collect::<Vec<_>>().join(&b'\n'));
    Checksum::of_text(version, &format!("{}:{content}", fields.required("tableName")))
}

/// The header and the rows as they are written.
fn cells(fields: &Object, file: &Attachment) -> Result<(Vec<String>, Vec<Vec<String>>), String> {
    let name = fields.required("file");
    let separator = match fields.filled("separator") {
        // As Java writes a tab.
        Some("\\t") => '\t',
        separator => separator.and_then(|text| text.chars().next()).unwrap_or(','),
    };
    let quote = fields.text("quotchar").map(str::trim).and_then(|text| text.chars().next());
    let mut rows =
        csv::rows(&file.plain, separator, quote).map_err(|error| format!("Error parsing {name}: {error}"))?;
    if rows.is_empty() {
        return Err(format!("Data file {name} was empty"));
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
            return Err(format!(
                "CSV file {name} Line {} has {} values defined, Header has {}. Numbers MUST be equal (check for unquoted string with \
                 embedded commas)",
                index + 2,
                row.len(),
                header.len()
            ));
        }
        kept.push(row);
    }
    Ok((header, kept))
}

/// The column that is said for a header, by its name, header or place.
fn column_for<'a>(fields: &'a Object, header: &str, index: usize) -> Option<&'a Object> {
    let place = index.to_string();
    let said = |column: &&Object, same: fn(&str, &str) -> bool| {
        [column.text("name"), column.text("header")].into_iter().flatten().any(|name| same(name, header))
    };
    let mut columns = fields.columns().iter();
    let exact = columns.find(|column| said(column, |a, b| a == b) || column.text("index") == Some(&place));
    exact.or_else(|| fields.columns().iter().find(|column| said(column, str::eq_ignore_ascii_case)))
}

/// The rows as SQL. Failures are told as Liquibase tells them, with the names of its exceptions.
///
/// # Errors
/// When the file or one that a cell names cannot be had, or the file is not what its header says.
pub(super) fn read(fields: &Object, dialect: &Dialect) -> Result<Loaded, String> {
    let file = match fields.file("file") {
        Some(Ok(file)) => file,
        Some(Err(_)) | None => return Err(unexpected(format!("Unable to read file {}", fields.required("file")))),
    };
    let (header, rows) = cells(fields, file).map_err(unexpected)?;
    let plain = Object::default();
    let columns: Vec<(usize, &Object)> = header
        .iter()
        .enumerate()
        .map(|(index, name)| (index, column_for(fields, name.trim(), index).unwrap_or(&plain)))
        .filter(|(_, column)| !column.required("type").eq_ignore_ascii_case("skip"))
        .collect();
    let name = |(index, column): &(usize, &Object)| column.filled("name").unwrap_or(header[*index].trim()).to_owned();
    let mut converted = Vec::with_capacity(rows.len());
    for row in &rows {
        let cells = columns.iter().map(|(index, column)| cell(&row[*index], column, file, fields, dialect));
        converted.push(cells.collect::<Result<_, String>>()?);
    }
    Ok(Loaded {
        names: columns.iter().map(name).collect(),
        updatable: columns.iter().map(|(_, column)| flag_or(column, "allowUpdate", true)).collect(),
        rows: converted,
    })
}

/// One cell as SQL.
fn cell(
    written: &str,
    column: &Object,
    file: &Attachment,
    fields: &Object,
    dialect: &Dialect,
) -> Result<String, String> {
    let null = || "NULL".to_owned();
    if written.eq_ignore_ascii_case("null") {
        return Ok(null());
    }
    let given = if written.is_empty() { column.text("defaultValue") } else { Some(written) };
    let type_ = column.filled("type").unwrap_or_default().to_uppercase();
    Ok(match (type_.as_str(), given) {
        ("BOOLEAN", Some(text)) => value::boolean(is_true(text)),
        ("BOOLEAN", None) => column.flag("defaultValueBoolean").map_or_else(null, value::boolean),
        ("NUMERIC", Some(text)) => numeric(text),
        ("NUMERIC", None) => column.filled("defaultValueNumeric").map_or_else(null, str::to_owned),
        ("DATE" | "DATETIME" | "TIME", Some(text)) => moment(text),
        ("DATE" | "DATETIME" | "TIME", None) => column.filled("defaultValueDate").map_or_else(null, value::date),
        ("STRING", text) => value::cell(text.unwrap_or_default()),
        ("COMPUTED", Some(text)) => text.to_owned(),
        ("COMPUTED", None) => column.filled("defaultValueComputed").map_or_else(null, str::to_owned),
        ("SEQUENCE", Some(text)) => value::next(fields.text("schemaName"), text, dialect),
        ("SEQUENCE", None) => {
            return Err(unexpected(
                "Must set a sequence name in the loadData column defaultValue attribute".to_owned(),
            ));
        }
        // An upsert has no way to send a file, and takes the name for the value.
        ("BLOB" | "CLOB", Some(text)) if is_upsert(fields) => value::cell(text),
        ("BLOB", Some(text)) => match base64(text) {
            Some(bytes) => value::bytes(&bytes),
            None => value::bytes(named(file, text)?),
        },
        ("CLOB", Some(text)) => literal(&String::from_utf8_lossy(named(file, text)?)),
        (_, Some(text)) => value::cell(text),
        (_, None) => null(),
    })
}

/// Whether rows are updated where they are there.
fn is_upsert(fields: &Object) -> bool {
    fields.filled("primaryKey").is_some()
}

fn unexpected(message: String) -> String {
    format!("liquibase.exception.UnexpectedLiquibaseException: {message}")
}

fn is_true(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    matches!(text.as_str(), "true" | "t" | "yes" | "y" | "1") || text.parse::<i32>().is_ok_and(|number| number > 0)
}

/// A number as it is written; what is none is an expression, and so as it is written, too.
fn numeric(text: &str) -> String {
    text.strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'))
        .filter(|text| is_number(text))
        .unwrap_or(text)
        .to_owned()
}

/// A date, time or timestamp, or the words for the present one.
fn moment(text: &str) -> String {
    match text.to_uppercase().as_str() {
        "NOW" => "NOW()".to_owned(),
        "TODAY" => "CURRENT_DATE".to_owned(),
        _ if is_date(text) => value::date(text),
        // PostgreSQL judges what looks like a date all the same; the rest is an expression.
        _ if text.starts_with(|c: char| c.is_ascii_digit()) => literal(text),
        _ => value::computed(text),
    }
}

/// The file that a cell names.
fn named<'a>(file: &'a Attachment, name: &str) -> Result<&'a [u8], String> {
    match file.named.get(name) {
        Some(Ok(bytes)) => Ok(bytes),
        Some(Err(message)) => Err(format!("liquibase.exception.DatabaseException: {message}")),
        None => Err(format!(
            "liquibase.exception.DatabaseException: The file {name} was not found in the configured search path"
        )),
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
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

/// Reads the files that cells name: those of columns said to hold files, and those of columns without a type, which the table may say to
/// hold files. A cell of the latter is taken for a file name if it has a dot or a slash and is no number.
pub(super) fn attach_cells(fields: &mut Object, around: Surroundings<'_>) {
    let Some(Ok(file)) = fields.file("file").filter(|_| !is_upsert(fields)) else { return };
    let Ok((header, rows)) = cells(fields, file) else { return };
    let mut found = Vec::new();
    for (index, name) in header.iter().enumerate() {
        let column = column_for(fields, name.trim(), index);
        let type_ = column.and_then(|column| column.filled("type"));
        let lob = type_.is_some_and(|type_| type_.eq_ignore_ascii_case("clob") || type_.eq_ignore_ascii_case("blob"));
        let maybe = |cell: &str| type_.is_none() && cell.contains(['.', '/']) && cell.parse::<f64>().is_err();
        for cell in rows.iter().map(|row| &row[index]).filter(|cell| lob || maybe(cell)) {
            found.push((cell.clone(), around.read(cell, true)));
        }
    }
    for (_, file) in fields.attached.iter_mut().filter(|(name, _)| *name == "file") {
        if let Ok(file) = file {
            file.named = std::mem::take(&mut found).into_iter().collect();
        }
    }
}

/// Whether the change has a column whose type only the table knows.
pub(super) fn untyped(fields: &Object) -> bool {
    let Some(Ok(file)) = fields.file("file") else { return false };
    let Ok((header, _)) = cells(fields, file) else { return false };
    let typed = |(index, name): (usize, &String)| {
        column_for(fields, name.trim(), index).is_some_and(|column| column.filled("type").is_some())
    };
    !header.iter().enumerate().all(typed)
}

/// The change with the types that the table's columns have, (name, PostgreSQL type), where none is said.
pub(super) fn with_types(fields: &Object, known: &[(String, String)]) -> Object {
    let mut typed = fields.clone();
    let Some(Ok(file)) = fields.file("file") else { return typed };
    let Ok((header, _)) = cells(fields, file) else { return typed };
    let mut columns = Vec::new();
    for (index, name) in header.iter().enumerate() {
        let name = name.trim();
        let mut column = column_for(fields, name, index).cloned().unwrap_or_default();
        let shown = column.filled("name").unwrap_or(name).to_owned();
        let type_ =
            known.iter().find(|(known, _)| known.eq_ignore_ascii_case(&shown)).map(|(_, type_)| load_type(type_));
        if let (None, Some(type_)) = (column.filled("type"), type_) {
            field::set(&mut column, "type", Value::Text(type_.to_owned()));
        }
        field::set(&mut column, "name", Value::Text(shown));
        field::set(&mut column, "index", Value::Text(index.to_string()));
        columns.push(column);
    }
    field::set(&mut typed, "columns", Value::List(columns));
    typed
}

/// How cells of a column of a PostgreSQL type are taken.
fn load_type(type_: &str) -> &'static str {
    match type_ {
        "boolean" => "BOOLEAN",
        "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision" => "NUMERIC",
        "date" => "DATE",
        "character varying" | "character" | "name" => "STRING",
        "text" => "CLOB",
        "bytea" | "oid" => "BLOB",
        "uuid" => "UUID",
        type_ if type_.starts_with("time") => "DATE",
        _ => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_told_from_file_names() {
        assert_eq!(base64("aGk="), Some(b"hi".to_vec()));
        assert_eq!(base64("aGkh"), Some(b"hi!".to_vec()));
        assert_eq!(base64("a.png"), None);
    }
}
