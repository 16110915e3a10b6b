//! Which days are workdays, and which day is today.
//!
//! Policy: the configuration has a rule (`attendance.weekly_off`), and a day in the table `calendar_days` overrides it: a holiday is none of
//! the workdays even on a weekend, and a workday is one even there. Today is that of `attendance.time_zone`.

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer};

use super::create_request::MAX_NAME_CHARS;
use super::date::Date;
use super::day_range::DayRange;
use super::json;
use super::json_object::{self, JsonObject, Problem, truncate_for_message};
use super::record::{RecordFormat, append_date};
use crate::config::{TimeZone, Weekdays};

/// The fields of a request.
const FIELDS: [&str; 3] = ["date", "kind", "name"];

/// The rule of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarRule {
    weekly_off: Weekdays,
    time_zone: TimeZone,
}

/// What a view depends on besides the data: a part of its cache key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CalendarMoment {
    pub(super) weekly_off: Weekdays,
    pub(super) today: Date,
}

/// The kind of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayKind {
    /// People work.
    Workday,
    /// The rule says that they do not.
    Weekend,
    /// The table says that they do not.
    Holiday,
}

/// The kind of a day in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverrideKind {
    /// `holiday`
    Holiday,
    /// `workday`
    Workday,
}

/// A day in the table `calendar_days`, to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarDay {
    /// The day.
    pub date: Date,
    /// What it is.
    pub kind: OverrideKind,
    /// Its name, like that of a holiday.
    pub name: Option<String>,
}

/// A JSON document that may be a valid day of the table.
#[derive(Debug)]
pub struct CalendarRequest(JsonObject<3>);

/// Which days of the table are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarQuery {
    /// Not before this day.
    pub from: Option<Date>,
    /// Not after this day.
    pub to: Option<Date>,
    /// At most so many.
    pub limit: u32,
    /// Only those after this one.
    pub after: Option<Date>,
}

/// A day of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ViewDay {
    pub(super) date: Date,
    pub(super) kind: DayKind,
    pub(super) name: Option<String>,
}

impl CalendarRule {
    /// The rule of these settings.
    pub fn new(weekly_off: Weekdays, time_zone: TimeZone) -> Self {
        Self { weekly_off, time_zone }
    }

    /// The rule at a moment.
    pub(super) fn at(&self, now: Timestamp) -> CalendarMoment {
        let today = now.to_zoned(self.time_zone.zone().clone()).date();
        let (year, month, day) = (today.year().into(), today.month().into(), today.day().into());
        // Time stamps before year 1 are those of a clock that is wrong; then nothing is due yet.
        CalendarMoment {
            weekly_off: self.weekly_off,
            today: Date::from_ymd(year, month, day).unwrap_or(Date::NEG_INFINITY),
        }
    }
}

impl CalendarMoment {
    /// The kind of a day, which the table may override.
    fn kind(&self, day: Date, overridden: Option<OverrideKind>) -> DayKind {
        match overridden {
            Some(OverrideKind::Holiday) => DayKind::Holiday,
            Some(OverrideKind::Workday) => DayKind::Workday,
            None if self.weekly_off.contains(day.weekday_number()) => DayKind::Weekend,
            None => DayKind::Workday,
        }
    }

    /// The days of a range. `overrides` are days of the table, in any order; those with a kind that is unknown only give a name.
    pub(super) fn days<'a>(
        &self,
        range: DayRange,
        overrides: impl Iterator<Item = (Date, Option<&'a str>, Option<&'a str>)>,
    ) -> Vec<ViewDay> {
        let mut days: Vec<ViewDay> =
            range.days().map(|date| ViewDay { date, kind: self.kind(date, None), name: None }).collect();
        for (date, kind, name) in overrides {
            let Some(day) = range.position(date).and_then(|position| days.get_mut(position)) else { continue };
            day.kind = self.kind(date, kind.and_then(OverrideKind::from_word));
            day.name = name.map(str::to_owned);
        }
        days
    }
}

impl CalendarRequest {
    /// The day that is to be stored under a date.
    ///
    /// # Errors
    /// All problems of the document.
    pub fn check(mut self, date: Date) -> Result<CalendarDay, Vec<Problem>> {
        let [repeated_date, kind, name] = self.0.take_values("kind and name")?;
        let mut problems = Vec::new();
        json_object::repeated("date", repeated_date, &date.to_string(), &mut problems);
        let kind = json_object::string("kind", kind, &mut problems).and_then(|word| {
            let kind = OverrideKind::from_word(&word);
            if kind.is_none() {
                let word = truncate_for_message(&word);
                problems
                    .push(Problem::new("kind", format!("`{word}` is not one of {}", OverrideKind::WORDS.join(", "))));
            }
            kind
        });
        let name = json_object::optional_text("name", name, MAX_NAME_CHARS, &mut problems);
        self.0.report_unknown("a day of the calendar", &mut problems);
        match kind {
            Some(kind) if problems.is_empty() => Ok(CalendarDay { date, kind, name }),
            _ => Err(problems),
        }
    }
}

impl<'de> Deserialize<'de> for CalendarRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        JsonObject::deserialize(&FIELDS, deserializer).map(Self)
    }
}

impl CalendarDay {
    /// The day as a JSON object.
    pub fn to_json(&self, format: RecordFormat) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        write_calendar_day(Some(self.date), Some(self.kind.as_str()), self.name.as_deref(), format, &mut out);
        out
    }
}

/// Appends a day of the table as a JSON object.
pub(super) fn write_calendar_day(
    date: Option<Date>,
    kind: Option<&str>,
    name: Option<&str>,
    format: RecordFormat,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(br#"{"date":"#);
    append_date(out, date, format);
    out.extend_from_slice(br#","kind":"#);
    json::append_optional(out, kind, format.charset);
    out.extend_from_slice(br#","name":"#);
    json::append_optional(out, name, format.charset);
    out.push(b'}');
}

impl DayKind {
    /// The word in an answer.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Workday => "workday",
            Self::Weekend => "weekend",
            Self::Holiday => "holiday",
        }
    }
}

impl OverrideKind {
    /// The words, as they are stored and sent.
    pub(super) const WORDS: [&'static str; 2] = ["holiday", "workday"];

    /// The word, as it is stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Holiday => Self::WORDS[0],
            Self::Workday => Self::WORDS[1],
        }
    }

    /// The kind that a word means.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Holiday, Self::Workday].into_iter().find(|kind| kind.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(weekly_off: &str, zone: &str) -> CalendarRule {
        CalendarRule::new(Weekdays::parse(weekly_off).unwrap(), TimeZone::parse(zone).unwrap())
    }

    fn today(zone: &str, now: &str) -> String {
        rule("sunday", zone).at(now.parse().unwrap()).today.to_string()
    }

    #[test]
    fn today_begins_at_midnight_of_the_time_zone() {
        for (zone, now, expected) in [
            ("UTC", "2026-01-31T23:59:59.999Z", "2026-01-31"),
            ("UTC", "2026-02-01T00:00:00Z", "2026-02-01"),
            ("Asia/Kolkata", "2026-01-31T18:29:59Z", "2026-01-31"),
            ("Asia/Kolkata", "2026-01-31T18:30:00Z", "2026-02-01"),
            ("Pacific/Kiritimati", "2026-01-31T10:00:00Z", "2026-02-01"),
            ("Etc/GMT+12", "2026-02-01T11:59:59Z", "2026-01-31"),
            // The clocks of Berlin are an hour ahead in winter, two hours in summer.
            ("Europe/Berlin", "2026-03-28T22:59:59Z", "2026-03-28"),
            ("Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29"),
            ("Europe/Berlin", "2026-03-29T22:00:00Z", "2026-03-30"),
            ("America/New_York", "2024-02-29T04:59:59Z", "2024-02-28"),
            ("America/New_York", "2024-02-29T05:00:00Z", "2024-02-29"),
            ("UTC", "0001-01-01T00:00:00Z", "0001-01-01"),
            ("UTC", "0000-12-31T23:59:59Z", "-infinity"),
        ] {
            assert_eq!(today(zone, now), expected, "{now} in {zone}");
        }
    }

    #[test]
    fn the_table_overrides_the_rule() {
        let moment = rule("saturday, sunday", "UTC").at(Timestamp::UNIX_EPOCH);
        let day = |text: &str| Date::parse(text).unwrap();
        let range = DayRange::new(day("2026-01-30"), day("2026-02-03")).unwrap();
        let overrides = [
            ("2026-01-31", "workday", Some("Stocktaking")),
            ("2026-02-01", "holiday", None),
            ("2026-02-02", "holiday", Some("Founders' Day")),
            ("2026-02-03", "other", None),
            ("2026-02-04", "holiday", Some("outside")),
        ];
        let overrides = overrides.iter().map(|(date, kind, name)| (day(date), Some(*kind), *name));
        let days: Vec<_> = moment
            .days(range, overrides)
            .into_iter()
            .map(|day| (day.kind.as_str(), day.name.unwrap_or_default()))
            .collect();
        let expected = [
            ("workday", ""),
            ("workday", "Stocktaking"),
            ("holiday", ""),
            ("holiday", "Founders' Day"),
            ("workday", ""),
        ];
        assert_eq!(days, expected.map(|(kind, name)| (kind, name.to_owned())));
    }

    #[test]
    fn a_day_needs_a_kind() {
        let check = |json: &str| {
            let request: CalendarRequest = serde_json::from_str(json).unwrap();
            request
                .check(Date::parse("2026-08-15").unwrap())
                .map_err(|problems| format!("{} {}", problems[0].field, problems[0].problem))
        };
        let format = RecordFormat { date: crate::config::DateFormat::Iso, charset: json::Charset::Ascii };
        let day = check(r#"{"date":"2026-08-15","kind":"holiday","name":"Independence Day"}"#).unwrap();
        assert_eq!(day.to_json(format), br#"{"date":"2026-08-15","kind":"holiday","name":"Independence Day"}"#);
        let day = check(r#"{"kind":"workday"}"#).unwrap();
        assert_eq!(day.to_json(format), br#"{"date":"2026-08-15","kind":"workday","name":null}"#);
        for (json, expected) in [
            ("{}", "kind is required"),
            (r#"{"kind":"weekend"}"#, "kind `weekend` is not one of holiday, workday"),
            (
                r#"{"kind":"holiday","date":"2026-08-16"}"#,
                "date differs from the path, which has `2026-08-15`: leave it out",
            ),
            (r#"{"kind":"holiday","name":""}"#, "name must not be empty"),
            (r#"{"kind":"holiday","title":"x"}"#, "title is not a field of a day of the calendar"),
        ] {
            assert_eq!(check(json).unwrap_err(), expected, "{json}");
        }
    }

    #[test]
    fn without_days_off_every_day_is_a_workday() {
        let moment = rule("none", "UTC").at(Timestamp::UNIX_EPOCH);
        let range = DayRange::new(Date::parse("2026-01-01").unwrap(), Date::parse("2026-12-31").unwrap()).unwrap();
        assert!(moment.days(range, [].into_iter()).iter().all(|day| day.kind == DayKind::Workday));
    }
}
