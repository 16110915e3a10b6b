//! A sheet: a row for each employee, a column for each day of a range.
//!
//! Policy: an employee is on the sheet if there are records of the range, or if the directory says that the employee was employed in it. A day
//! without a record is `null` and never counts as a status. What is missing is counted for workdays up to today on which the
//! employee was employed; without a row in the directory, that is every workday. With a status, the sheet has the employees who have it on a day of
//! the range, with all of their days.

use super::calendar::{CalendarMoment, DayKind, ViewDay};
use super::date::Date;
use super::day_range::DayRange;
use super::json;
use super::record::{RecordFormat, append_date};

/// Which employees and days a sheet has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SheetQuery {
    /// Its days.
    pub range: DayRange,
    /// Only this employee.
    pub id: Option<String>,
    /// Only employees with this status on a day.
    pub status: Option<String>,
    /// Only employees of this department.
    pub department: Option<String>,
    /// At most this many employees.
    pub limit: u32,
    /// Only employees after this one.
    pub after: Option<String>,
}

/// An employee of a sheet, as the database has it.
#[derive(Debug, Default)]
pub(super) struct SheetEmployee<'a> {
    pub(super) id: &'a str,
    pub(super) name: Option<&'a str>,
    pub(super) department: Option<&'a str>,
    /// The first day of the employment; `None` for employees who have always been employed.
    pub(super) joined_on: Option<Date>,
    /// The last day of the employment; `None` for employees who still are.
    pub(super) left_on: Option<Date>,
    /// The days of the records, in any order, each at most once.
    pub(super) dates: Vec<Date>,
    /// The statuses of these records.
    pub(super) statuses: Vec<Option<&'a str>>,
}

/// Writes a sheet.
#[derive(Debug)]
pub(super) struct SheetWriter {
    range: DayRange,
    today: Date,
    days: Vec<ViewDay>,
    format: RecordFormat,
    body: Vec<u8>,
    /// The number of employees written.
    pub(super) employees: usize,
}

impl SheetEmployee<'_> {
    fn is_employed(&self, day: Date) -> bool {
        self.joined_on.is_none_or(|joined| joined <= day) && self.left_on.is_none_or(|left| day <= left)
    }
}

impl SheetWriter {
    /// Begins a sheet, whose days are known.
    pub(super) fn new(range: DayRange, moment: CalendarMoment, days: Vec<ViewDay>, format: RecordFormat) -> Self {
        let mut body = Vec::with_capacity(128 * days.len());
        body.extend_from_slice(br#"{"from":"#);
        append_date(&mut body, Some(range.from()), format);
        body.extend_from_slice(br#","to":"#);
        append_date(&mut body, Some(range.to()), format);
        body.extend_from_slice(br#","days":["#);
        for (position, day) in days.iter().enumerate() {
            body.extend_from_slice(if position == 0 { br#"{"date":"# } else { br#",{"date":"# });
            append_date(&mut body, Some(day.date), format);
            body.extend_from_slice(br#","kind":""#);
            body.extend_from_slice(day.kind.as_str().as_bytes());
            body.extend_from_slice(br#"","name":"#);
            json::append_optional(&mut body, day.name.as_deref(), format.charset);
            body.push(b'}');
        }
        body.extend_from_slice(br#"],"employees":["#);
        Self { range, today: moment.today, days, format, body, employees: 0 }
    }

    /// The number of bytes so far.
    pub(super) fn len(&self) -> usize {
        self.body.len()
    }

    /// Appends an employee.
    pub(super) fn append(&mut self, employee: &SheetEmployee<'_>) {
        let charset = self.format.charset;
        let out = &mut self.body;
        if self.employees > 0 {
            out.push(b',');
        }
        self.employees += 1;
        out.extend_from_slice(br#"{"id":"#);
        json::append_text(out, employee.id, charset);
        out.extend_from_slice(br#","name":"#);
        json::append_optional(out, employee.name, charset);
        out.extend_from_slice(br#","department":"#);
        json::append_optional(out, employee.department, charset);
        out.extend_from_slice(br#","days":["#);
        // A record without a status is a record, although its day is shown as null.
        let mut recorded: Vec<Option<Option<&str>>> = vec![None; self.range.len()];
        for (date, status) in employee.dates.iter().zip(&employee.statuses) {
            if let Some(slot) = self.range.position(*date).and_then(|position| recorded.get_mut(position)) {
                *slot = Some(*status);
            }
        }
        let mut totals: Vec<(&str, u32)> = Vec::with_capacity(8);
        let mut unrecorded = 0_u32;
        for (position, (day, status)) in self.days.iter().zip(&recorded).enumerate() {
            if position > 0 {
                out.push(b',');
            }
            json::append_optional(out, status.flatten(), charset);
            match status {
                Some(Some(status)) => match totals.iter_mut().find(|(known, _)| known == status) {
                    Some((_, count)) => *count += 1,
                    None => totals.push((status, 1)),
                },
                Some(None) => {}
                None => {
                    let is_due = day.kind == DayKind::Workday && day.date <= self.today;
                    unrecorded += u32::from(is_due && employee.is_employed(day.date));
                }
            }
        }
        totals.sort_unstable();
        out.extend_from_slice(br#"],"totals":{"#);
        for (position, (status, count)) in totals.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            json::append_text(out, status, charset);
            out.push(b':');
            json::append_number(out, u64::from(*count));
        }
        out.extend_from_slice(br#"},"unrecorded":"#);
        json::append_number(out, u64::from(unrecorded));
        out.push(b'}');
    }

    /// The complete body, newline included.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.body.extend_from_slice(b"]}\n");
        self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attendance::json::Charset;
    use crate::config::{DateFormat, Weekdays};

    const FORMAT: RecordFormat = RecordFormat { date: DateFormat::Iso, charset: Charset::Ascii };

    fn day(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    fn moment(today: &str) -> CalendarMoment {
        CalendarMoment { weekly_off: Weekdays::parse("saturday, sunday").unwrap(), today: day(today) }
    }

    fn sheet(from: &str, to: &str, today: &str, employees: &[SheetEmployee<'_>]) -> String {
        let (range, moment) = (DayRange::new(day(from), day(to)).unwrap(), moment(today));
        let holiday = [(day("2026-02-02"), Some("holiday"), Some("Founders\u{2019} Day"))];
        let mut writer = SheetWriter::new(range, moment, moment.days(range, holiday.into_iter()), FORMAT);
        employees.iter().for_each(|employee| writer.append(employee));
        assert_eq!(writer.employees, employees.len());
        String::from_utf8(writer.finish()).unwrap()
    }

    #[test]
    fn a_sheet_is_written_in_the_order_of_the_contract() {
        let employees = [
            SheetEmployee {
                id: "1",
                name: Some("Asha"),
                department: Some("Sales"),
                dates: vec![day("2026-02-03"), day("2026-01-30"), day("2026-02-01")],
                statuses: vec![None, Some("Present"), Some("Absent")],
                ..SheetEmployee::default()
            },
            SheetEmployee { id: "2", left_on: Some(day("2026-01-30")), ..SheetEmployee::default() },
        ];
        assert_eq!(
            sheet("2026-01-30", "2026-02-04", "2026-02-03", &employees),
            concat!(
                r#"{"from":"2026-01-30","to":"2026-02-04","days":["#,
                r#"{"date":"2026-01-30","kind":"workday","name":null},"#,
                r#"{"date":"2026-01-31","kind":"weekend","name":null},"#,
                r#"{"date":"2026-02-01","kind":"weekend","name":null},"#,
                r#"{"date":"2026-02-02","kind":"holiday","name":"Founders\u2019 Day"},"#,
                r#"{"date":"2026-02-03","kind":"workday","name":null},"#,
                r#"{"date":"2026-02-04","kind":"workday","name":null}],"employees":["#,
                r#"{"id":"1","name":"Asha","department":"Sales","days":["Present",null,"Absent",null,null,null],"#,
                r#""totals":{"Absent":1,"Present":1},"unrecorded":0},"#,
                r#"{"id":"2","name":null,"department":null,"days":[null,null,null,null,null,null],"#,
                r#""totals":{},"unrecorded":1}]}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_sheet_without_employees_has_its_days() {
        let text = sheet("9999-12-31", "9999-12-31", "2026-01-01", &[]);
        assert!(text.ends_with("\"kind\":\"workday\",\"name\":null}],\"employees\":[]}\n"), "{text}");
    }

    proptest::proptest! {
        /// The sums of a row agree with its days, whatever the records are.
        #[test]
        fn totals_and_days_agree(
            offsets in proptest::collection::btree_map(-3_i32..40, proptest::option::of("[a-c]"), 0..30),
            joined in proptest::option::of(-5_i32..40),
            left in proptest::option::of(-5_i32..40),
            today in -5_i32..40,
        ) {
            let first = day("2026-01-20");
            let (range, moment) = (
                DayRange::new(first, first.saturating_add(30)).unwrap(),
                CalendarMoment { today: first.saturating_add(today), ..moment("2026-01-20") },
            );
            let days = moment.days(range, [].into_iter());
            let due = days
                .iter()
                .filter(|day| {
                    let offset = day.date.days() - first.days();
                    day.kind == DayKind::Workday
                        && offset <= today
                        && joined.is_none_or(|joined| joined <= offset)
                        && left.is_none_or(|left| offset <= left)
                        && !offsets.contains_key(&offset)
                })
                .count();
            let mut writer = SheetWriter::new(range, moment, days, FORMAT);
            writer.append(&SheetEmployee {
                id: "1",
                joined_on: joined.map(|offset| first.saturating_add(offset)),
                left_on: left.map(|offset| first.saturating_add(offset)),
                dates: offsets.keys().map(|offset| first.saturating_add(*offset)).collect(),
                statuses: offsets.values().map(Option::as_deref).collect(),
                ..SheetEmployee::default()
            });
            let json: serde_json::Value = serde_json::from_slice(&writer.finish()).unwrap();
            let employee = &json["employees"][0];
            let shown = employee["days"].as_array().unwrap();
            assert_eq!(shown.len(), 31);
            assert_eq!(employee["unrecorded"], due);
            for (status, count) in employee["totals"].as_object().unwrap() {
                assert_eq!(shown.iter().filter(|day| *day == status).count() as u64, count.as_u64().unwrap());
            }
            let counted: u64 = employee["totals"].as_object().unwrap().values().filter_map(|count| count.as_u64()).sum();
            assert_eq!(counted, shown.iter().filter(|day| !day.is_null()).count() as u64);
        }
    }
}
