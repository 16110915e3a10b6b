//! What the configuration permits: the statuses of records, and the days that may still change.
//!
//! Policy: the rules apply to what is created or corrected from now on. Records that are stored already are read as they are, and others
//! write to the table without these rules.

use super::date::Date;
use super::error::Error;
use super::json_object::{Problem, truncate_for_message};
use crate::config::{self, nearest};

/// What records may be.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The statuses; any if empty.
    statuses: Vec<String>,
    /// Days before this one are closed to changes.
    locked_before: Option<Date>,
}

impl Rules {
    /// The rules of a configuration.
    pub fn of(attendance: &config::Attendance) -> Self {
        let day = |day: jiff::civil::Date| Date::from_ymd(day.year().into(), day.month().into(), day.day().into());
        Self { statuses: attendance.statuses.clone(), locked_before: attendance.locked_before.and_then(day) }
    }

    /// Checks that records of a day may change.
    ///
    /// # Errors
    /// [`Error::Closed`] if they may not.
    pub fn check_day(&self, day: Date) -> Result<(), Error> {
        match self.locked_before {
            Some(first_open) if day < first_open => Err(Error::Closed(first_open)),
            _ => Ok(()),
        }
    }

    /// The problem of a status that a record may not be given.
    pub fn check_status(&self, status: &str) -> Option<Problem> {
        if self.statuses.is_empty() || self.statuses.iter().any(|allowed| allowed == status) {
            return None;
        }
        let status = truncate_for_message(status);
        let lower: Vec<String> = self.statuses.iter().map(|allowed| allowed.to_lowercase()).collect();
        let near = nearest(&status, lower.iter().map(String::as_str));
        let near = near.and_then(|near| lower.iter().position(|allowed| allowed == near));
        let problem = match near.and_then(|position| self.statuses.get(position)) {
            Some(near) => format!("`{status}` is not a status of this server; did you mean `{near}`?"),
            None => format!("`{status}` is not a status of this server, which has {}", self.statuses.join(", ")),
        };
        Some(Problem::new("status", problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_is_not_listed_is_named_with_the_nearest_one() {
        let rules = Rules { statuses: vec!["Present".into(), "Half Day".into()], locked_before: None };
        assert!(rules.check_status("Half Day").is_none() && Rules::default().check_status("x").is_none());
        let problem = |status| rules.check_status(status).unwrap().problem;
        assert_eq!(problem("present"), "`present` is not a status of this server; did you mean `Present`?");
        assert_eq!(problem("half-day"), "`half-day` is not a status of this server; did you mean `Half Day`?");
        assert_eq!(problem("On Holiday"), "`On Holiday` is not a status of this server, which has Present, Half Day");
    }

    #[test]
    fn the_first_open_day_may_change_and_the_one_before_may_not() {
        let rules = Rules { statuses: Vec::new(), locked_before: Date::parse("2026-01-01") };
        let check = |day| rules.check_day(Date::parse(day).unwrap());
        assert!(check("2026-01-01").is_ok() && matches!(check("2025-12-31"), Err(Error::Closed(_))));
    }
}
