//! One attendance record: an employee's status on a day.

use std::sync::Arc;

use tokio_postgres::Row;

use super::date::Date;
use super::json::{self, Charset};
use crate::config::{self, DateFormat};

/// How a record is written in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordFormat {
    /// The form of its date.
    pub date: DateFormat,
    /// The characters of its texts.
    pub charset: Charset,
}

impl RecordFormat {
    /// The format of a server's answers.
    pub fn of(api: &config::Api) -> Self {
        Self { date: api.date_format, charset: Charset::of(api) }
    }
}

/// A record whose name may be missing, and valid otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnnamedRecord {
    /// Employee.
    pub id: String,
    /// The name, if there is one.
    pub name: Option<String>,
    /// Status.
    pub status: String,
    /// Day.
    pub date: Date,
}

/// A valid record, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// Employee, 1 to 128 characters.
    pub id: String,
    /// Name, 1 to 256 characters.
    pub name: String,
    /// Status, 1 to 64 characters.
    pub status: String,
    /// Day.
    pub date: Date,
}

/// A record that is to be stored, and by whom.
#[derive(Debug, Clone)]
pub(super) struct Creation {
    pub(super) record: Arc<NewRecord>,
    /// The account that creates it; none without access control.
    pub(super) created_by: Option<Arc<str>>,
}

/// A row as it is read, with columns borrowed from the database's answer. Other programs write to the table, too; so any column may be null.
#[derive(Debug, Clone, Copy)]
pub struct StoredRecord<'a> {
    /// Employee.
    pub id: Option<&'a str>,
    /// Name.
    pub name: Option<&'a str>,
    /// Status.
    pub status: Option<&'a str>,
    /// The day.
    pub date: Option<Date>,
}

impl<'a> StoredRecord<'a> {
    /// The record in a row whose first four columns are `id`, `name`, `status` and `date`.
    ///
    /// # Errors
    /// When a column has another type.
    pub fn from_row(row: &'a Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self { id: row.try_get(0)?, name: row.try_get(1)?, status: row.try_get(2)?, date: row.try_get(3)? })
    }

    /// Appends the record as a JSON object, fields in the contract's order.
    pub fn write_json(&self, format: RecordFormat, out: &mut Vec<u8>) {
        for (name, value) in [(r#"{"id":"#, self.id), (r#","name":"#, self.name), (r#","status":"#, self.status)] {
            out.extend_from_slice(name.as_bytes());
            json::append_optional(out, value, format.charset);
        }
        out.extend_from_slice(br#","date":"#);
        append_date(out, self.date, format);
        out.push(b'}');
    }
}

/// Appends a date in quotes, or `null`.
pub(super) fn append_date(out: &mut Vec<u8>, date: Option<Date>, format: RecordFormat) {
    match date {
        None => out.extend_from_slice(b"null"),
        Some(date) => {
            out.push(b'"');
            date.write(format.date, out);
            out.push(b'"');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_columns_are_written_as_null() {
        let mut out = Vec::new();
        let format = RecordFormat { date: DateFormat::Iso, charset: Charset::Ascii };
        StoredRecord { id: Some("nulls"), name: None, status: None, date: None }.write_json(format, &mut out);
        assert_eq!(out, br#"{"id":"nulls","name":null,"status":null,"date":null}"#);
    }
}
