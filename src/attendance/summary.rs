//! A summary: how many records of each status there are, by day, week, month, employee, department or status.
//!
//! Policy: groups are in the order of their keys, the null key last. Records by other programs may lack anything: a record without
//! a status counts in the total of its group only, one without the key in the group `null`. Days are counted by the database, and weeks (ISO 8601) and
//! months are sums of days, so that no date is beyond what the database can compute with.

use std::collections::BTreeMap;

use super::date::Date;
use super::json::{self, Charset};
use super::view_cursor::ViewCursor;

/// What the groups of a summary have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SummaryKey {
    /// The day.
    Day,
    /// The week of ISO 8601, from Monday to Sunday.
    Week,
    /// The month.
    Month,
    /// The employee.
    Employee,
    /// The department in the directory.
    Department,
    /// The status.
    Status,
}

/// Which records a summary counts, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryQuery {
    /// The key of the groups.
    pub by: SummaryKey,
    /// Not before this day.
    pub from: Option<Date>,
    /// Not after this day.
    pub to: Option<Date>,
    /// Only this employee.
    pub id: Option<String>,
    /// Only this status.
    pub status: Option<String>,
    /// Only employees of this department.
    pub department: Option<String>,
    /// At most this many groups.
    pub limit: u32,
    /// Only groups after this one.
    pub after: Option<ViewCursor>,
}

/// Collects rows of the database, which are in the order of the key, into groups.
#[derive(Debug)]
pub(super) struct SummaryWriter {
    by: SummaryKey,
    charset: Charset,
    body: Vec<u8>,
    /// The number of groups written.
    pub(super) groups: usize,
    group: Option<Group>,
}

/// One group.
#[derive(Debug)]
struct Group {
    key: ViewCursor,
    counts: BTreeMap<String, u64>,
    total: u64,
    /// The bytes of its statuses.
    bytes: usize,
}

/// A group has more different statuses than fit into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupTooLarge;

/// The most bytes of the statuses of one group. A page ends after a group, so this bounds the memory of a page.
const MAX_GROUP_BYTES: usize = 4 * 1024 * 1024;
/// What a status takes in memory beside its text, in bytes.
const STATUS_OVERHEAD: usize = 64;

impl SummaryKey {
    /// The words of the parameter `by`.
    pub const WORDS: [(&'static str, Self); 6] = [
        ("day", Self::Day),
        ("week", Self::Week),
        ("month", Self::Month),
        ("employee", Self::Employee),
        ("department", Self::Department),
        ("status", Self::Status),
    ];

    /// The word of the parameter `by`.
    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(_, key)| *key == self).map_or("", |(word, _)| word)
    }

    /// Whether the key is a range of days, so that [`ViewCursor::Day`] is its cursor.
    pub fn is_time(self) -> bool {
        matches!(self, Self::Day | Self::Week | Self::Month)
    }

    /// Whether a cursor is one of such a summary.
    pub fn accepts(self, cursor: &ViewCursor) -> bool {
        matches!(cursor, ViewCursor::Day(_)) == self.is_time()
    }

    /// The last day of the group to which a day belongs. An infinity is a group of its own.
    fn last_day(self, day: Date) -> Date {
        match self {
            Self::Week if day.is_finite() => day.saturating_add(6 - i32::from(day.weekday_number())),
            Self::Month if day.is_finite() => {
                let month = day.ymd().1;
                // A month has at most 31 days.
                (1..31)
                    .map(|days| day.saturating_add(days))
                    .take_while(|next| next.ymd().1 == month)
                    .last()
                    .unwrap_or(day)
            }
            _ => day,
        }
    }

    /// Appends the key of the group that ends with a day.
    fn write_time(self, last: Date, out: &mut Vec<u8>) {
        if !last.is_finite() || self == Self::Day {
            return last.write(crate::config::DateFormat::Iso, out);
        }
        let (year, unit, number) = match self {
            Self::Week => {
                // The year of a week is that of its Thursday.
                let thursday = last.saturating_add(-3);
                let (year, month, day) = thursday.ymd();
                let first = |month| (0..month).map(|month| days_in_month(year, month)).sum::<i64>();
                (year, "W", (first(month) + day - 1) / 7 + 1)
            }
            _ => (last.ymd().0, "", last.ymd().1),
        };
        let text = match year {
            1.. => format!("{year:04}-{unit}{number:02}"),
            // Year 0 is 1 BC.
            _ => format!("{:04}-{unit}{number:02} BC", 1 - year),
        };
        out.extend_from_slice(text.as_bytes());
    }
}

/// The days of a month; month 0 has none.
fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        0 => 0,
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl SummaryWriter {
    /// Begins a summary.
    pub(super) fn new(by: SummaryKey, charset: Charset) -> Self {
        Self { by, charset, body: br#"{"groups":["#.to_vec(), groups: 0, group: None }
    }

    /// The number of bytes so far.
    pub(super) fn len(&self) -> usize {
        self.body.len()
    }

    /// The number of groups that rows belong to so far, the unfinished one included.
    pub(super) fn begun(&self) -> usize {
        self.groups + usize::from(self.group.is_some())
    }

    /// The key of a day's group.
    pub(super) fn day_key(&self, day: Option<Date>) -> ViewCursor {
        ViewCursor::Day(day.map(|day| self.by.last_day(day)))
    }

    /// Whether a row of this key begins a group.
    pub(super) fn begins_group(&self, key: &ViewCursor) -> bool {
        self.group.as_ref().is_none_or(|group| group.key != *key)
    }

    /// Adds a number of records.
    ///
    /// # Errors
    /// When their group has too many statuses.
    pub(super) fn add(&mut self, key: ViewCursor, status: Option<&str>, count: u64) -> Result<(), GroupTooLarge> {
        if self.begins_group(&key) {
            self.write_group();
        }
        let group = self.group.get_or_insert_with(|| Group { key, counts: BTreeMap::new(), total: 0, bytes: 0 });
        group.total += count;
        let Some(status) = status else { return Ok(()) };
        if let Some(known) = group.counts.get_mut(status) {
            *known += count;
            return Ok(());
        }
        group.bytes += status.len() + STATUS_OVERHEAD;
        if group.bytes > MAX_GROUP_BYTES {
            return Err(GroupTooLarge);
        }
        group.counts.insert(status.to_owned(), count);
        Ok(())
    }

    fn write_group(&mut self) -> Option<ViewCursor> {
        let group = self.group.take()?;
        let out = &mut self.body;
        if self.groups > 0 {
            out.push(b',');
        }
        self.groups += 1;
        out.extend_from_slice(br#"{"key":"#);
        match &group.key {
            ViewCursor::Text(text) => json::append_optional(out, text.as_deref(), self.charset),
            ViewCursor::Day(None) => out.extend_from_slice(b"null"),
            ViewCursor::Day(Some(last)) => {
                out.push(b'"');
                self.by.write_time(*last, out);
                out.push(b'"');
            }
        }
        out.extend_from_slice(br#","counts":{"#);
        for (position, (status, count)) in group.counts.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            json::append_text(out, status, self.charset);
            out.push(b':');
            json::append_number(out, *count);
        }
        out.extend_from_slice(br#"},"total":"#);
        json::append_number(out, group.total);
        out.push(b'}');
        Some(group.key)
    }

    /// The complete body, newline included, and the key of its last group.
    pub(super) fn finish(mut self) -> (Vec<u8>, Option<ViewCursor>) {
        let last = self.write_group();
        self.body.extend_from_slice(b"]}\n");
        (self.body, last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(by: SummaryKey, day: Date) -> String {
        let mut out = Vec::new();
        by.write_time(by.last_day(day), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn day(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    #[test]
    fn weeks_are_those_of_iso_8601() {
        for (text, expected) in [
            ("2026-01-26", "2026-W05"),
            ("2026-02-01", "2026-W05"),
            ("2026-02-02", "2026-W06"),
            ("2025-12-29", "2026-W01"),
            ("2027-01-03", "2026-W53"),
            ("2024-12-30", "2025-W01"),
            ("2021-01-03", "2020-W53"),
            ("2005-01-01", "2004-W53"),
            ("2008-12-29", "2009-W01"),
            ("0001-01-01", "0001-W01"),
            ("9999-12-31", "9999-W52"),
        ] {
            assert_eq!(key(SummaryKey::Week, day(text)), expected, "{text}");
        }
    }

    #[test]
    fn every_week_of_a_cycle_has_seven_days_and_a_number_of_its_own() {
        let first = day("2000-01-03");
        let mut keys: Vec<String> = Vec::new();
        for week in 0..146_097 / 7 {
            let of_week: Vec<String> =
                (0..7).map(|weekday| key(SummaryKey::Week, first.saturating_add(7 * week + weekday))).collect();
            assert!(of_week.iter().all(|key| *key == of_week[0]), "{of_week:?}");
            let jiff = jiff::civil::date(2000, 1, 3).saturating_add(jiff::Span::new().weeks(week)).iso_week_date();
            assert_eq!(of_week[0], format!("{:04}-W{:02}", jiff.year(), jiff.week()));
            assert!(keys.last().is_none_or(|last| *last < of_week[0]));
            keys.push(of_week[0].clone());
        }
    }

    #[test]
    fn days_that_clients_cannot_send_have_keys() {
        for (by, date, expected) in [
            (SummaryKey::Day, Date::INFINITY, "infinity"),
            (SummaryKey::Week, Date::INFINITY, "infinity"),
            (SummaryKey::Month, Date::NEG_INFINITY, "-infinity"),
            (SummaryKey::Month, Date::from_days(2_921_940), "10000-01"),
            (SummaryKey::Month, Date::from_days(-730_120), "0001-12 BC"),
            (SummaryKey::Day, Date::from_days(-730_120), "0001-12-31 BC"),
            (SummaryKey::Week, Date::from_days(-730_120), "0001-W52 BC"),
            (SummaryKey::Month, Date::from_days(-2_451_545), "4714-11 BC"),
            (SummaryKey::Month, Date::from_days(2_145_031_948), "5874897-12"),
        ] {
            assert_eq!(key(by, date), expected);
        }
    }

    #[test]
    fn the_last_day_of_a_month_ends_it() {
        for (text, expected) in [
            ("2024-02-01", "2024-02-29"),
            ("2023-02-28", "2023-02-28"),
            ("2026-12-31", "2026-12-31"),
            ("2026-04-15", "2026-04-30"),
        ] {
            assert_eq!(SummaryKey::Month.last_day(day(text)), day(expected));
        }
    }

    #[test]
    fn a_summary_is_written_in_the_order_of_the_contract() {
        let mut writer = SummaryWriter::new(SummaryKey::Month, Charset::Ascii);
        for (date, status, count) in [
            (Some("2026-01-05"), Some("Present"), 3),
            (Some("2026-01-05"), None, 1),
            (Some("2026-01-31"), Some("Absent"), 2),
            (Some("2026-01-31"), Some("Present"), 4),
            (Some("2026-02-01"), Some("Pr\u{e9}sent"), 1),
            (None, Some("Present"), 1),
        ] {
            let key = writer.day_key(date.map(day));
            writer.add(key, status, count).unwrap();
        }
        assert_eq!((writer.groups, writer.begun()), (2, 3));
        let (body, last) = writer.finish();
        assert_eq!(
            String::from_utf8(body).unwrap(),
            concat!(
                r#"{"groups":[{"key":"2026-01","counts":{"Absent":2,"Present":7},"total":10},"#,
                r#"{"key":"2026-02","counts":{"Pr\u00e9sent":1},"total":1},"#,
                r#"{"key":null,"counts":{"Present":1},"total":1}]}"#,
                "\n"
            )
        );
        assert_eq!(last, Some(ViewCursor::Day(None)));
        let empty = SummaryWriter::new(SummaryKey::Status, Charset::Ascii).finish();
        assert_eq!(empty, (b"{\"groups\":[]}\n".to_vec(), None));
    }

    #[test]
    fn a_group_with_too_many_statuses_is_an_error() {
        let mut writer = SummaryWriter::new(SummaryKey::Employee, Charset::Ascii);
        let mut add =
            |number: usize| writer.add(ViewCursor::Text(Some("1".into())), Some(&format!("{number:0>1000}")), 1);
        let first_error = (0..10_000).find(|number| add(*number).is_err());
        assert!(first_error.is_some_and(|number| number > 1000));
    }

    #[test]
    fn a_cursor_belongs_to_a_kind_of_summary() {
        let (text, time) = (ViewCursor::Text(None), ViewCursor::Day(None));
        for (word, by) in SummaryKey::WORDS {
            assert_eq!(by.as_str(), word);
            assert_eq!((by.accepts(&text), by.accepts(&time)), (!by.is_time(), by.is_time()));
        }
    }
}
