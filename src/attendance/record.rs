//! One attendance record: an employee's status on a day.

use tokio_postgres::Row;

use super::date::Date;
use super::json;
use crate::config::DateFormat;

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
    pub fn write_json(&self, format: DateFormat, out: &mut Vec<u8>) {
        for (name, value) in [(r#"{"id":"#, self.id), (r#","name":"#, self.name), (r#","status":"#, self.status)] {
            out.extend_from_slice(name.as_bytes());
            match value {
                Some(text) => json::append_text(out, text),
                None => out.extend_from_slice(b"null"),
            }
        }
        match self.date {
            None => out.extend_from_slice(br#","date":null}"#),
            Some(date) => {
                out.extend_from_slice(br#","date":""#);
                date.write(format, out);
                out.extend_from_slice(b"\"}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_columns_are_written_as_null() {
        let mut out = Vec::new();
        StoredRecord { id: Some("nulls"), name: None, status: None, date: None }.write_json(DateFormat::Iso, &mut out);
        assert_eq!(out, br#"{"id":"nulls","name":null,"status":null,"date":null}"#);
    }
}
