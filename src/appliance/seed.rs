//! The records that a demonstration starts with.

use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};

use crate::attendance::{self, Attendance, Date, NewRecord};

/// Creates at a time. They share batches, so that thousands of records are stored in a second.
const CONCURRENT_CREATES: usize = 64;

/// Why the seed records were not stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The date of a record is not `YYYY-MM-DD`: a bug.
    #[error("no date: {0}")]
    Date(String),
    /// The database did not accept a record.
    #[error(transparent)]
    Create(#[from] attendance::Error),
    /// The task of a create ended without a result: a bug.
    #[error("a create was interrupted: {0}")]
    Task(#[from] JoinError),
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

/// Stores the records, each as a create of a client.
pub(super) async fn store(attendance: &Arc<Attendance>, records: Vec<SeedRecord>) -> Result<(), Error> {
    let count = records.len();
    let mut creates: JoinSet<Result<(), Error>> = JoinSet::new();
    for SeedRecord { id, name, status, date } in records {
        if creates.len() == CONCURRENT_CREATES
            && let Some(created) = creates.join_next().await
        {
            created??;
        }
        let date = Date::parse(&date).ok_or(Error::Date(date))?;
        let attendance = Arc::clone(attendance);
        let record = Arc::new(NewRecord { id, name, status, date });
        creates.spawn(async move { Ok(attendance.create(&record, None).await?) });
    }
    while let Some(created) = creates.join_next().await {
        created??;
    }
    if count > 0 {
        tracing::info!(count, "sample records are stored");
    }
    Ok(())
}
