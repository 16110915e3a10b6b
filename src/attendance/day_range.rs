//! A range of days that a view covers.

use super::date::Date;

/// The longest range of a view, in days: a leap year.
pub const MAX_RANGE_DAYS: i32 = 366;

/// Days from one to another, both included, at most [`MAX_RANGE_DAYS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayRange {
    from: Date,
    to: Date,
}

/// Why two days are not a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The last day is before the first one.
    #[error("is before `from`: exchange the two days")]
    Reversed,
    /// There are too many days.
    #[error(
        "is {days} days after the first day, and a sheet has at most {MAX_RANGE_DAYS} days: ask for a shorter range"
    )]
    TooLong {
        /// The number of days from `from` to `to`, both included.
        days: i32,
    },
}

impl DayRange {
    /// The range from one day to another.
    ///
    /// # Errors
    /// When it is reversed or too long.
    pub fn new(from: Date, to: Date) -> Result<Self, RangeError> {
        if to < from {
            return Err(RangeError::Reversed);
        }
        let days = to.days().saturating_sub(from.days()).saturating_add(1);
        if days > MAX_RANGE_DAYS { Err(RangeError::TooLong { days }) } else { Ok(Self { from, to }) }
    }

    /// The first day.
    pub fn from(self) -> Date {
        self.from
    }

    /// The last day.
    pub fn to(self) -> Date {
        self.to
    }

    /// The number of days.
    pub(super) fn len(self) -> usize {
        (self.to.days() - self.from.days()) as usize + 1
    }

    /// The position of a day in the range; `None` if it is outside.
    pub(super) fn position(self, day: Date) -> Option<usize> {
        (self.from..=self.to).contains(&day).then(|| (day.days() - self.from.days()) as usize)
    }

    /// The days in order.
    pub(super) fn days(self) -> impl Iterator<Item = Date> {
        (self.from.days()..=self.to.days()).map(Date::from_days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: &str, to: &str) -> Result<usize, RangeError> {
        DayRange::new(Date::parse(from).unwrap(), Date::parse(to).unwrap()).map(DayRange::len)
    }

    #[test]
    fn a_range_has_one_to_366_days() {
        assert_eq!(range("2026-01-01", "2026-01-01"), Ok(1));
        assert_eq!(range("2024-01-01", "2024-12-31"), Ok(366));
        assert_eq!(range("9999-01-01", "9999-12-31"), Ok(365));
        assert_eq!(range("0001-01-01", "0001-12-31"), Ok(365));
        assert_eq!(range("2026-01-02", "2026-01-01"), Err(RangeError::Reversed));
        assert_eq!(range("2026-01-01", "2027-01-02"), Err(RangeError::TooLong { days: 367 }));
        assert_eq!(range("0001-01-01", "9999-12-31"), Err(RangeError::TooLong { days: 3_652_059 }));
    }

    #[test]
    fn each_day_has_its_position() {
        let range = DayRange::new(Date::parse("2024-02-28").unwrap(), Date::parse("2024-03-01").unwrap()).unwrap();
        let days: Vec<String> = range.days().map(|day| day.to_string()).collect();
        assert_eq!(days, ["2024-02-28", "2024-02-29", "2024-03-01"]);
        assert!(range.days().enumerate().all(|(position, day)| range.position(day) == Some(position)));
        for outside in [Date::parse("2024-02-27").unwrap(), Date::parse("2024-03-02").unwrap(), Date::INFINITY] {
            assert_eq!(range.position(outside), None);
        }
    }
}
