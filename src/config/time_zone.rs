//! The time zone that defines today.

use jiff::tz;

/// A time zone of the IANA database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeZone(tz::TimeZone);

/// A text names no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no such time zone: take a name of the IANA database, like UTC, Asia/Kolkata or Europe/Berlin")]
pub struct Error;

impl TimeZone {
    /// The time zone with this name. The database of the system is used, or the one built in if the system has none.
    ///
    /// # Errors
    /// When there is none.
    pub fn parse(name: &str) -> Result<Self, Error> {
        tz::TimeZone::get(name).map(Self).map_err(|_| Error)
    }

    /// The zone itself.
    pub fn zone(&self) -> &tz::TimeZone {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_found_by_its_name() {
        for name in ["UTC", "Asia/Kolkata", "America/St_Johns", "Etc/GMT+12", "Pacific/Kiritimati"] {
            assert!(TimeZone::parse(name).is_ok(), "{name}");
        }
        for name in ["", "Nowhere/Land", "+05:30", "../etc/passwd", "/etc/localtime"] {
            assert_eq!(TimeZone::parse(name), Err(Error), "{name}");
        }
    }
}
