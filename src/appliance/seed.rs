//! Records a demonstration begins with.

use crate::attendance::{Attendance, Date, NewRecord};

use super::Error;

/// One sample record, as a client would send it.
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

/// Stores the samples, each as a client's create would.
pub(super) async fn store(attendance: &Attendance, samples: Vec<SeedRecord>) -> Result<(), Error> {
    let count = samples.len();
    for SeedRecord { id, name, status, date } in samples {
        let date = Date::parse(&date).ok_or(Error::SampleDate(date))?;
        attendance.create(&NewRecord { id, name, status, date }).await.map_err(Error::Samples)?;
    }
    if count > 0 {
        tracing::info!(count, "sample records are stored");
    }
    Ok(())
}
