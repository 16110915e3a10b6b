//! stub
use super::{Answer, Date, ListQuery, Listing, NewRecord};

/// Why a request of the domain failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The employee already has a record of that day.
    #[error("the employee already has a record of that day")]
    Conflict,
    /// PostgreSQL could not be asked, or not in time. The text is for the log.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// PostgreSQL refused what we asked: a bug of ours, or a table that is not ours. The text is for the log.
    #[error("the database refused a statement: {0}")]
    Refused(String),
}

/// The attendance service.
#[derive(Debug)]
pub struct Attendance {}
impl Attendance {
    /// Stores a record; returns when it is durable.
    pub async fn create(&self, _record: &NewRecord) -> Result<(), Error> {
        Err(Error::Conflict)
    }
    /// The employee's latest record, or the one of a day.
    pub async fn find(&self, _id: &str, _date: Option<Date>) -> Result<Option<Answer>, Error> {
        Ok(None)
    }
    /// Records by employee, then date.
    pub async fn list(&self, _query: &ListQuery) -> Result<Listing, Error> {
        Err(Error::Conflict)
    }
}
