//! A calendar date, as stored, read and written.
//!
//! Policy: clients may send a date in a few unambiguous forms, for the years 0001 to 9999. The database
//! may hold others (`infinity`, BC), because other programs write to it: reading never fails, and such a date is written as PostgreSQL writes it.

use std::error::Error;
use std::fmt;

use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, private::BytesMut, to_sql_checked};

use crate::config::DateFormat;

/// Days from 0000-03-01 (proleptic Gregorian) to PostgreSQL's epoch, 2000-01-01.
const EPOCH_OFFSET: i64 = 730_425;
/// The first day that PostgreSQL has, 24 November 4714 BC, in days since its epoch.
const FIRST_DAY: i32 = -2_451_545;
/// The last day that PostgreSQL has, 31 December 5874897.
const LAST_DAY: i32 = 2_145_031_948;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// A PostgreSQL `date`: days since 2000-01-01, its two infinities included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i32);

/// The forms that [`Date::parse`] accepts, for messages.
pub const ACCEPTED_FORMS: &str = "accepted are YYYY-MM-DD (optionally followed by an ISO 8601 time, which is ignored), YYYYMMDD, \
     YYYY/MM/DD and Tue, 01 Aug 2023 00:00:00 GMT, for the years 0001 to 9999";

impl Date {
    /// PostgreSQL's `infinity`.
    pub const INFINITY: Date = Date(i32::MAX);
    /// PostgreSQL's `-infinity`.
    pub const NEG_INFINITY: Date = Date(i32::MIN);

    /// Days since 2000-01-01, as PostgreSQL counts.
    pub(super) fn days(self) -> i32 {
        self.0
    }

    /// The date of [`Date::days`].
    pub(super) fn from_days(days: i32) -> Self {
        Self(days)
    }

    /// Whether PostgreSQL has this day, or it is one of the two infinities. A parameter outside of that is an error of the statement.
    pub(super) fn is_in_range(self) -> bool {
        (FIRST_DAY..=LAST_DAY).contains(&self.0) || self == Self::INFINITY || self == Self::NEG_INFINITY
    }

    /// Reads one of the accepted forms; `None` for anything else and for dates that do not exist.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        match bytes {
            [_, _, _, _, b'-', _, _, b'-', _, _] => Self::from_digits(&bytes[..4], &bytes[5..7], &bytes[8..]),
            [_, _, _, _, b'/', _, _, b'/', _, _] => Self::from_digits(&bytes[..4], &bytes[5..7], &bytes[8..]),
            [_, _, _, _, _, _, _, _] => Self::from_digits(&bytes[..4], &bytes[4..6], &bytes[6..]),
            [_, _, _, _, b'-', _, _, b'-', _, _, b'T' | b't' | b' ', time @ ..] if is_iso_time(time) => {
                Self::from_digits(&bytes[..4], &bytes[5..7], &bytes[8..10])
            }
            _ => Self::parse_http(bytes),
        }
    }

    /// Reads `YYYY-MM-DD` alone; `None` for anything else and for dates that do not exist.
    pub fn parse_iso(text: &str) -> Option<Self> {
        match text.as_bytes() {
            [year @ .., b'-', m1, m2, b'-', d1, d2] if year.len() == 4 => {
                Self::from_digits(year, &[*m1, *m2], &[*d1, *d2])
            }
            _ => None,
        }
    }

    /// `Tue, 01 Aug 2023 00:00:00 GMT`; a wrong weekday means a typing error and is rejected.
    fn parse_http(bytes: &[u8]) -> Option<Self> {
        let [
            weekday @ ..,
            b',',
            b' ',
            d1,
            d2,
            b' ',
            m1,
            m2,
            m3,
            b' ',
            y1,
            y2,
            y3,
            y4,
            b' ',
            h1,
            h2,
            b':',
            n1,
            n2,
            b':',
            s1,
            s2,
            b' ',
            b'G',
            b'M',
            b'T',
        ] = bytes
        else {
            return None;
        };
        let month = MONTHS.iter().position(|name| name.as_bytes() == [*m1, *m2, *m3])? + 1;
        let in_day = number(&[*h1, *h2])? < 24 && number(&[*n1, *n2])? < 60 && number(&[*s1, *s2])? <= 60;
        let date = Self::from_ymd(number(&[*y1, *y2, *y3, *y4])?, month as i64, number(&[*d1, *d2])?)?;
        (in_day && date.weekday().as_bytes() == weekday).then_some(date)
    }

    fn from_digits(year: &[u8], month: &[u8], day: &[u8]) -> Option<Self> {
        Self::from_ymd(number(year)?, number(month)?, number(day)?)
    }

    /// The date of a year (1 to 9999), month and day; `None` if it does not exist.
    pub fn from_ymd(year: i64, month: i64, day: i64) -> Option<Self> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days_in_month = match month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=days_in_month).contains(&day) {
            return None;
        }
        // Counting from March makes the leap day the last of its year.
        let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let era = shifted_year.div_euclid(400);
        let year_of_era = shifted_year.rem_euclid(400);
        let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
        let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        i32::try_from(days - EPOCH_OFFSET).ok().map(Self)
    }

    /// Year (0 and below are BC), month and day.
    pub(super) fn ymd(self) -> (i64, i64, i64) {
        let days = i64::from(self.0) + EPOCH_OFFSET;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        (year_of_era + era * 400 + i64::from(month <= 2), month, day)
    }

    fn weekday(self) -> &'static str {
        WEEKDAYS[self.weekday_number() as usize]
    }

    /// The day of the week, from 0 (Monday) to 6 (Sunday).
    pub(super) fn weekday_number(self) -> u8 {
        // 2000-01-01 was a Saturday. A remainder by 7 fits.
        (i64::from(self.0) + 5).rem_euclid(7) as u8
    }

    /// Whether it is a day, and not one of the two infinities.
    pub(super) fn is_finite(self) -> bool {
        self != Self::INFINITY && self != Self::NEG_INFINITY
    }

    /// The day so many days later, within the days that PostgreSQL has. An infinity stays what it is.
    pub(super) fn saturating_add(self, days: i32) -> Self {
        if self.is_finite() { Self(self.0.saturating_add(days).clamp(FIRST_DAY, LAST_DAY)) } else { self }
    }

    /// Appends the date as an answer writes it.
    pub fn write(self, format: DateFormat, out: &mut Vec<u8>) {
        use std::io::Write as _;
        let (year, month, day) = self.ymd();
        // Writing to a Vec cannot fail.
        let _ = match (format, self) {
            (_, Self::INFINITY) => write!(out, "infinity"),
            (_, Self::NEG_INFINITY) => write!(out, "-infinity"),
            _ if year < 1 => write!(out, "{:04}-{month:02}-{day:02} BC", 1 - year),
            (DateFormat::Http, _) if year <= 9999 => {
                write!(out, "{}, {day:02} {} {year:04} 00:00:00 GMT", self.weekday(), MONTHS[(month - 1) as usize])
            }
            _ => write!(out, "{year:04}-{month:02}-{day:02}"),
        };
    }
}

impl fmt::Display for Date {
    /// The form that PostgreSQL writes and reads (ISO style).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(16);
        self.write(DateFormat::Iso, &mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl<'a> FromSql<'a> for Date {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(i32::from_be_bytes(raw.try_into()?)))
    }

    accepts!(DATE);
}

impl ToSql for Date {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0.to_be_bytes());
        Ok(IsNull::No)
    }

    accepts!(DATE);
    to_sql_checked!();
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
}

/// `HH[:MM[:SS[.fraction]]]` (colons optional throughout) with `Z` or an offset, in range.
fn is_iso_time(text: &[u8]) -> bool {
    let clock_end = text.iter().position(|b| matches!(b, b'Z' | b'z' | b'+' | b'-')).unwrap_or(text.len());
    let (clock, zone) = text.split_at(clock_end);
    let is_zone_valid = match zone {
        [] | [b'Z' | b'z'] => true,
        [_, offset @ ..] => matches!(fields(offset).as_deref(), Some([0..=23] | [0..=23, 0..=59])),
    };
    let (whole, fraction) = match clock.iter().position(|b| matches!(b, b'.' | b',')) {
        Some(dot) => (&clock[..dot], Some(&clock[dot + 1..])),
        None => (clock, None),
    };
    let is_fraction_valid = fraction.is_none_or(|f| !f.is_empty() && f.len() <= 9 && f.iter().all(u8::is_ascii_digit));
    let fields = fields(whole);
    let is_clock_valid = match fields.as_deref() {
        Some([0..=23] | [0..=23, 0..=59]) => fraction.is_none(),
        Some([0..=23, 0..=59, 0..=60]) => true,
        Some([24, 0, 0]) => fraction.is_none_or(|f| f.iter().all(|b| *b == b'0')),
        _ => false,
    };
    is_clock_valid && is_zone_valid && is_fraction_valid
}

/// Two-digit fields, separated by colons throughout or not at all.
fn fields(text: &[u8]) -> Option<Vec<i64>> {
    let parts: Vec<&[u8]> =
        if text.contains(&b':') { text.split(|b| *b == b':').collect() } else { text.chunks(2).collect() };
    parts.into_iter().map(|part| if part.len() == 2 { number(part) } else { None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso(text: &str) -> Option<String> {
        Date::parse(text).map(|date| date.to_string())
    }

    #[test]
    fn every_accepted_form_is_read() {
        for text in [
            "2023-08-01",
            "20230801",
            "2023/08/01",
            "Tue, 01 Aug 2023 00:00:00 GMT",
            "2023-08-01T10:00:00",
            "2023-08-01T23:59:59Z",
            "2023-08-01 10:00",
            "2023-08-01T10:00:00.123456+05:30",
            "2023-08-01T100000Z",
            "2023-08-01T24:00:00",
        ] {
            assert_eq!(iso(text).as_deref(), Some("2023-08-01"), "{text}");
        }
    }

    #[test]
    fn other_texts_are_rejected() {
        for text in [
            "",
            "01/08/2023",
            "today",
            "now",
            "infinity",
            "-infinity",
            "epoch",
            "2023-02-29",
            "2023-02-30",
            "2023-13-01",
            "0000-01-01",
            "10000-01-01",
            "2023-8-1",
            " 2023-08-01",
            "2023-08-01 ",
            "Wed, 01 Aug 2023 00:00:00 GMT",
            "2023-08-01T",
            "2023-08-01T25:00",
            "2023-08-01T10:61",
            "2023-08-01T10:00:00X",
            "2023-08-01x",
            "J2460158",
            "２０２３-08-01",
            "2023-08/01",
            "2023-08-01T10:00:00+24:00",
            "+2023-08-1",
            "2023.213",
        ] {
            assert_eq!(iso(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_ten_thousand_years_is_converted_and_back() {
        let mut days = 0;
        let mut previous: Option<Date> = None;
        for year in 1..=9999 {
            for month in 1..=12 {
                for day in 1..=31 {
                    let Some(date) = Date::from_ymd(year, month, day) else { continue };
                    assert_eq!(date.ymd(), (year, month, day));
                    assert!(previous.is_none_or(|before| before.0 + 1 == date.0));
                    previous = Some(date);
                    days += 1;
                }
            }
        }
        assert_eq!(days, 3_652_059);
    }

    #[test]
    fn dates_that_clients_cannot_send_are_written_as_postgresql_writes_them() {
        assert_eq!(Date::INFINITY.to_string(), "infinity");
        assert_eq!(Date::NEG_INFINITY.to_string(), "-infinity");
        assert_eq!(Date(2_921_940).to_string(), "10000-01-01");
        assert_eq!(Date(-730_120).to_string(), "0001-12-31 BC");
        let mut http = Vec::new();
        Date::from_ymd(1, 1, 1).unwrap().write(DateFormat::Http, &mut http);
        assert_eq!(http, b"Mon, 01 Jan 0001 00:00:00 GMT");
    }
}
