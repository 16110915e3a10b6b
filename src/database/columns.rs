//! Reads the columns of a row in the order of its statement.
//!
//! Policy: for rows with many columns, so that no column is named by a number and a new one changes no other.

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

/// The columns of a row that have not been read yet.
pub struct Columns<'a> {
    row: &'a Row,
    position: usize,
}

impl<'a> Columns<'a> {
    /// Begins with the first column.
    pub fn of(row: &'a Row) -> Self {
        Self { row, position: 0 }
    }

    /// Reads the next column.
    ///
    /// # Errors
    /// When there is none, or when it has another type.
    pub fn read<T: FromSql<'a>>(&mut self) -> Result<T, tokio_postgres::Error> {
        let value = self.row.try_get(self.position)?;
        self.position += 1;
        Ok(value)
    }
}
