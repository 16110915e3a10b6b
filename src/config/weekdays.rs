//! A set of days of the week.

/// The names, from Monday to Sunday.
const NAMES: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/// The word for a set without days.
const NONE: &str = "none";
/// The longest part of a wrong item that a message repeats, in characters.
const MAX_SHOWN: usize = 50;

/// A set of days of the week.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weekdays(u8);

/// A word is not a day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a day of the week: the days are {days}", days = NAMES.join(", "))]
pub struct Error(String);

impl Weekdays {
    /// Reads days that are separated by commas, or `none`.
    ///
    /// # Errors
    /// The first word that is not a day.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.trim() == NONE {
            return Ok(Self::default());
        }
        let mut days = 0;
        for word in text.split(',').map(str::trim) {
            let day = NAMES.iter().position(|name| *name == word);
            let day = day.ok_or_else(|| Error(word.chars().take(MAX_SHOWN).collect()))?;
            days |= 1 << day;
        }
        Ok(Self(days))
    }

    /// Whether it contains a day, from 0 (Monday) to 6 (Sunday).
    pub fn contains(self, day: u8) -> bool {
        self.0 & (1 << day) != 0
    }

    /// A number that no other set has.
    pub fn bits(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_in_any_order() {
        let weekend = Weekdays::parse("sunday, saturday").unwrap();
        assert_eq!((0..7).filter(|day| weekend.contains(*day)).collect::<Vec<_>>(), [5, 6]);
        assert_eq!(Weekdays::parse("saturday,sunday,saturday"), Ok(weekend));
        assert_eq!(Weekdays::parse("none"), Ok(Weekdays::default()));
    }

    #[test]
    fn what_is_not_a_set_of_days_is_named() {
        for wrong in ["", "Saturday", "sat", "saturday;sunday", "saturday,,sunday", "none, sunday"] {
            assert!(Weekdays::parse(wrong).is_err(), "{wrong}");
        }
    }
}
