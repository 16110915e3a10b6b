//! Views: sheets, summaries, the directory and the calendar, a page at a time.
//!
//! Policy: an answer depends on what its scopes say, and on what its key has: the query, the form of the answer and, for a sheet, today and
//! the rule of the calendar. So two instances with different settings may share a cache, and nothing has to happen at midnight.

use std::fmt::Write as _;

use super::calendar::{CalendarMoment, CalendarQuery};
use super::change_list::{ChangePosition, ChangesQuery};
use super::date::Date;
use super::employee::EmployeesQuery;
use super::prepared::{LISTS, format_key};
use super::record::RecordFormat;
use super::record_list::{RecordOrder, RecordPosition, RecordsQuery};
use super::sheet::SheetQuery;
use super::summary::{SummaryKey, SummaryQuery};
use super::visibility::Visibility;
use crate::cache::Scope;

/// What depends on the directory has this scope, and every change of the directory affects it.
pub(super) const DIRECTORY: Scope<'static> = Scope::whole("d");
/// What depends on the calendar has this scope, and every change of the calendar affects it.
pub(super) const CALENDAR: Scope<'static> = Scope::whole("c");

/// Which view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewQuery {
    /// A sheet.
    Sheet(SheetQuery),
    /// A summary.
    Summary(SummaryQuery),
    /// The directory.
    Employees(EmployeesQuery),
    /// The days that override the rule of the calendar.
    Calendar(CalendarQuery),
    /// Records with their creation.
    Records(RecordsQuery),
    /// Changes of records.
    Changes(ChangesQuery),
}

/// A view, and the key under which its answer is cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedView {
    pub(super) query: ViewQuery,
    pub(super) visibility: Visibility,
    pub(super) moment: CalendarMoment,
    pub(super) key: String,
}

impl PreparedView {
    pub(super) fn new(query: ViewQuery, visibility: Visibility, moment: CalendarMoment, format: RecordFormat) -> Self {
        // Every caller may see the calendar, so its answer is common to all.
        let visibility = if matches!(query, ViewQuery::Calendar(_)) { Visibility::All } else { visibility };
        let key = visibility.narrow_key(query.key(moment, format));
        Self { query, visibility, moment, key }
    }
}

impl ViewQuery {
    /// What the view depends on.
    pub(super) fn scopes(&self) -> &'static [Scope<'static>] {
        match self {
            Self::Sheet(_) => &[LISTS, DIRECTORY, CALENDAR],
            Self::Summary(
                SummaryQuery { by: SummaryKey::Department, .. } | SummaryQuery { department: Some(_), .. },
            ) => &[LISTS, DIRECTORY],
            Self::Summary(_) => &[LISTS],
            Self::Employees(_) => &[DIRECTORY],
            Self::Calendar(_) => &[CALENDAR],
            Self::Records(RecordsQuery { department: Some(_), .. }) => &[LISTS, DIRECTORY],
            // A change of a record is a change of all lists.
            Self::Records(_) | Self::Changes(_) => &[LISTS],
        }
    }

    fn key(&self, moment: CalendarMoment, format: RecordFormat) -> String {
        let mut key = Key::new(format);
        match self {
            Self::Sheet(query) => {
                key.name("sheet").day(Some(moment.today)).number(moment.weekly_off.bits().into());
                key.day(Some(query.range.from())).day(Some(query.range.to()));
                key.text(&query.id).text(&query.status).text(&query.department).number(query.limit).text(&query.after);
            }
            Self::Summary(query) => {
                key.name("summary").name(query.by.as_str()).day(query.from).day(query.to);
                key.text(&query.id).text(&query.status).text(&query.department).number(query.limit);
                key.text(&query.after.as_ref().map(super::view_cursor::ViewCursor::encode));
            }
            Self::Employees(query) => {
                key.name("employees").text(&query.q).text(&query.department).day(query.active_on);
                key.number(query.limit).text(&query.after);
            }
            Self::Calendar(query) => {
                key.name("calendar").day(query.from).day(query.to).number(query.limit).day(query.after);
            }
            Self::Records(query) => {
                let order = if query.order == RecordOrder::Id { "id" } else { "created" };
                key.name("records").name(order).day(query.from).day(query.to).text(&query.id).text(&query.name);
                key.text(&query.status).text(&query.department).number(query.limit);
                key.text(&query.after.as_ref().map(RecordPosition::encode));
            }
            Self::Changes(query) => {
                key.name("changes")
                    .text(&query.from)
                    .text(&query.to)
                    .text(&query.id)
                    .text(&query.by)
                    .number(query.limit);
                key.text(&query.after.as_ref().map(ChangePosition::encode));
            }
        }
        key.0
    }
}

/// A key whose parts cannot be confused: texts have their length before them, and a dash stands for what is absent.
struct Key(String);

impl Key {
    fn new(format: RecordFormat) -> Self {
        let mut key = String::with_capacity(96);
        key.push_str("v:");
        key.push_str(format_key(format));
        Self(key)
    }

    fn name(&mut self, name: &str) -> &mut Self {
        self.0.push(':');
        self.0.push_str(name);
        self
    }

    // Writing to a String cannot fail.
    fn number(&mut self, number: u32) -> &mut Self {
        let _ = write!(self.0, ":{number}");
        self
    }

    fn day(&mut self, day: Option<Date>) -> &mut Self {
        let _ = match day {
            Some(day) => write!(self.0, ":{day}"),
            None => self.0.write_str(":-"),
        };
        self
    }

    fn text(&mut self, text: &Option<String>) -> &mut Self {
        let _ = match text {
            Some(text) => write!(self.0, ":{}={text}", text.len()),
            None => self.0.write_str(":-"),
        };
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::attendance::day_range::DayRange;
    use crate::attendance::json::Charset;
    use crate::attendance::view_cursor::ViewCursor;
    use crate::config::{DateFormat, Weekdays};

    fn day(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    fn queries() -> Vec<ViewQuery> {
        let text = |text: &str| Some(text.to_owned());
        let sheet = SheetQuery {
            range: DayRange::new(day("2026-01-01"), day("2026-01-31")).unwrap(),
            id: None,
            status: None,
            department: None,
            limit: 500,
            after: None,
        };
        let summary = SummaryQuery {
            by: SummaryKey::Month,
            from: None,
            to: None,
            id: None,
            status: None,
            department: None,
            limit: 500,
            after: None,
        };
        let employees = EmployeesQuery { q: None, department: None, active_on: None, limit: 500, after: None };
        let records = RecordsQuery {
            from: None,
            to: None,
            id: None,
            name: None,
            status: None,
            department: None,
            order: RecordOrder::Id,
            limit: 500,
            after: None,
        };
        let place = RecordPosition::decode("eyJjIjpudWxsLCJpIjoiMSIsImQiOjF9", RecordOrder::Id);
        let change = ChangePosition::decode("eyJjIjoiMjAyNi0wMS0wMVQwMDowMDowMFoiLCJuIjoxfQ");
        assert!(place.is_some() && change.is_some());
        let changes = ChangesQuery { from: None, to: None, id: None, by: None, limit: 500, after: None };
        let calendar = CalendarQuery { from: None, to: None, limit: 500, after: None };
        vec![
            ViewQuery::Sheet(sheet.clone()),
            ViewQuery::Sheet(SheetQuery { id: text("1"), ..sheet.clone() }),
            ViewQuery::Sheet(SheetQuery { status: text("1"), ..sheet.clone() }),
            ViewQuery::Sheet(SheetQuery { department: text("1"), ..sheet.clone() }),
            ViewQuery::Sheet(SheetQuery { id: text("1:1=1"), ..sheet.clone() }),
            ViewQuery::Sheet(SheetQuery { after: text("1"), ..sheet.clone() }),
            ViewQuery::Sheet(SheetQuery { limit: 1, ..sheet.clone() }),
            ViewQuery::Sheet(SheetQuery {
                range: DayRange::new(day("2026-01-01"), day("2026-01-30")).unwrap(),
                ..sheet
            }),
            ViewQuery::Summary(summary.clone()),
            ViewQuery::Summary(SummaryQuery { by: SummaryKey::Week, ..summary.clone() }),
            ViewQuery::Summary(SummaryQuery { from: Some(day("2026-01-01")), ..summary.clone() }),
            ViewQuery::Summary(SummaryQuery { to: Some(day("2026-01-01")), ..summary.clone() }),
            ViewQuery::Summary(SummaryQuery { id: text("1"), ..summary.clone() }),
            ViewQuery::Summary(SummaryQuery { status: text("1"), ..summary.clone() }),
            ViewQuery::Summary(SummaryQuery { department: text("1"), ..summary.clone() }),
            ViewQuery::Summary(SummaryQuery { after: Some(ViewCursor::Text(text("1"))), ..summary }),
            ViewQuery::Employees(employees.clone()),
            ViewQuery::Employees(EmployeesQuery { q: text("1"), ..employees.clone() }),
            ViewQuery::Employees(EmployeesQuery { department: text("1"), ..employees.clone() }),
            ViewQuery::Employees(EmployeesQuery { active_on: Some(day("2026-01-01")), ..employees.clone() }),
            ViewQuery::Employees(EmployeesQuery { after: text("1"), ..employees }),
            ViewQuery::Calendar(calendar.clone()),
            ViewQuery::Calendar(CalendarQuery { from: Some(day("2026-01-01")), ..calendar.clone() }),
            ViewQuery::Calendar(CalendarQuery { to: Some(day("2026-01-01")), ..calendar.clone() }),
            ViewQuery::Calendar(CalendarQuery { after: Some(day("2026-01-01")), ..calendar }),
            ViewQuery::Records(records.clone()),
            ViewQuery::Records(RecordsQuery { order: RecordOrder::Created, ..records.clone() }),
            ViewQuery::Records(RecordsQuery { from: Some(day("2026-01-01")), ..records.clone() }),
            ViewQuery::Records(RecordsQuery { to: Some(day("2026-01-01")), ..records.clone() }),
            ViewQuery::Records(RecordsQuery { id: text("1"), ..records.clone() }),
            ViewQuery::Records(RecordsQuery { name: text("1"), ..records.clone() }),
            ViewQuery::Records(RecordsQuery { status: text("1"), ..records.clone() }),
            ViewQuery::Records(RecordsQuery { department: text("1"), ..records.clone() }),
            ViewQuery::Records(RecordsQuery { after: place, ..records }),
            ViewQuery::Changes(changes.clone()),
            ViewQuery::Changes(ChangesQuery { from: text("1"), ..changes.clone() }),
            ViewQuery::Changes(ChangesQuery { to: text("1"), ..changes.clone() }),
            ViewQuery::Changes(ChangesQuery { id: text("1"), ..changes.clone() }),
            ViewQuery::Changes(ChangesQuery { by: text("1"), ..changes.clone() }),
            ViewQuery::Changes(ChangesQuery { after: change, ..changes }),
        ]
    }

    #[test]
    fn different_views_have_different_keys() {
        let moment = CalendarMoment { weekly_off: Weekdays::parse("sunday").unwrap(), today: day("2026-01-15") };
        let format = RecordFormat { date: DateFormat::Iso, charset: Charset::Ascii };
        let (queries, mut keys) = (queries(), HashSet::new());
        keys.extend(queries.iter().map(|query| query.key(moment, format)));
        assert_eq!(keys.len(), queries.len(), "{keys:?}");
        // A sheet depends on today and on the rule; every view on the form of the answer.
        keys.insert(queries[0].key(CalendarMoment { today: day("2026-01-16"), ..moment }, format));
        keys.insert(queries[0].key(CalendarMoment { weekly_off: Weekdays::default(), ..moment }, format));
        assert_eq!(keys.len(), queries.len() + 2);
        keys.extend(queries.iter().map(|query| query.key(moment, RecordFormat { charset: Charset::Utf8, ..format })));
        assert_eq!(keys.len(), 2 * queries.len() + 2);
    }

    #[test]
    fn a_narrowed_view_has_a_key_of_its_own_unless_it_is_the_same_for_all() {
        let moment = CalendarMoment { weekly_off: Weekdays::parse("sunday").unwrap(), today: day("2026-01-15") };
        let format = RecordFormat { date: DateFormat::Iso, charset: Charset::Ascii };
        for query in queries() {
            let key = |visibility| PreparedView::new(query.clone(), visibility, moment, format).key;
            let keys = HashSet::from([
                key(Visibility::All),
                key(Visibility::Employee("1".into())),
                key(Visibility::Employee("2".into())),
            ]);
            assert_eq!(keys.len(), if matches!(query, ViewQuery::Calendar(_)) { 1 } else { 3 }, "{keys:?}");
        }
    }

    #[test]
    fn a_view_has_the_scope_of_each_table_that_it_reads() {
        for query in queries() {
            let scopes = query.scopes();
            let expected = match &query {
                ViewQuery::Sheet(_) => [true, true, true],
                ViewQuery::Summary(query) => [true, query.department.is_some(), false],
                ViewQuery::Employees(_) => [false, true, false],
                ViewQuery::Calendar(_) => [false, false, true],
                ViewQuery::Records(query) => [true, query.department.is_some(), false],
                ViewQuery::Changes(_) => [true, false, false],
            };
            assert_eq!([LISTS, DIRECTORY, CALENDAR].map(|scope| scopes.contains(&scope)), expected, "{query:?}");
        }
    }
}
