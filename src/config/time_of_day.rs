//! A time of day.

/// An hour and a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOfDay {
    /// 0 to 23.
    pub hour: i8,
    /// 0 to 59.
    pub minute: i8,
}

impl TimeOfDay {
    /// Reads `HH:MM`; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (hour, minute) = text.split_once(':')?;
        let number = |digits: &str, end: i8| {
            let is_valid = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|number: &i8| is_valid && *number < end)
        };
        Some(Self { hour: number(hour, 24)?, minute: number(minute, 60)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_has_two_digits_each() {
        assert_eq!(TimeOfDay::parse("03:15"), Some(TimeOfDay { hour: 3, minute: 15 }));
        assert_eq!(TimeOfDay::parse("23:59"), Some(TimeOfDay { hour: 23, minute: 59 }));
        for text in ["25:00", "24:00", "3:15", "03:60", "0315", "03:15:00", "+3:15", "", ":", "03:1a"] {
            assert_eq!(TimeOfDay::parse(text), None, "{text}");
        }
    }
}
