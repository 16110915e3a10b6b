//! stub
use super::date::Date;

/// Which records `search/all` lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Only this employee.
    pub id: Option<String>,
    /// Only this status.
    pub status: Option<String>,
    /// Only this name.
    pub name: Option<String>,
    /// Not before this day.
    pub from: Option<Date>,
    /// Not after this day.
    pub to: Option<Date>,
    /// At most this many records (1 to 10,000); without it, all.
    pub limit: Option<u32>,
    /// Only what comes after this record.
    pub after: Option<Cursor>,
}

/// The last record of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor;
impl Cursor {
    /// Reads what [`Answer::next`](super::Answer::next) gave; `None` if it is not one of ours.
    pub fn decode(_text: &str) -> Option<Self> {
        None
    }
}
