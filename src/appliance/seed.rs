//! The records that a demonstration starts with.

use crate::attendance::{self, Attendance, Date, NewRecord};

/// Why the seed records were not stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The date of a record is not `YYYY-MM-DD`: a bug.
    #[error("no date: {0}")]
    Date(String),
    /// The database did not accept a record.
    #[error(transparent)]
    Create(#[from] attendance::Error),
}

/// One record, in the form in which a client sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedRecord {
    /// Employee.
    pub id: String,
    /// Name.
    pub name: String,
    /// Attendance.
    pub status: String,
    /// `YYYY-MM-DD`
    pub date: String,
}

/// Stores the records one after the other, each as a create of a client.
pub(super) async fn store(attendance: &Attendance, records: Vec<SeedRecord>) -> Result<(), Error> {
    let count = records.len();
    for SeedRecord { id, name, status, date } in records {
        let date = Date::parse(&date).ok_or(Error::Date(date))?;
        attendance.create(&NewRecord { id, name, status, date }).await?;
    }
    if count > 0 {
        tracing::info!(count, "sample records are stored");
    }
    Ok(())
}
