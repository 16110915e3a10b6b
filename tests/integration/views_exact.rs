//! Sheets and summaries are compared with an independent computation over random data.
//!
//! The data have what is easily wrong: records by other programs with nulls and infinite days, leap days, the first and the last year, holidays on
//! weekends, workdays on weekends, employees who joined or left in the range, and days on both sides of today in two time zones that never have one date.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::civil::{self, Weekday, date};
use serde_json::{Map, Value, json};

use crate::support::{API, Appliance, Sql, shared_postgres};

/// Whole days since 0001-01-01, so that the test has an arithmetic of its own; `INFINITY` is PostgreSQL's.
type Day = i64;
const INFINITY: Day = i64::MAX;

const STATUSES: [&str; 4] = ["Present", "Absent", "Half Day", "On \"Leave\""];

fn day(date: civil::Date) -> Day {
    date.since(civil::date(1, 1, 1)).unwrap().get_days().into()
}

fn civil(day: Day) -> civil::Date {
    date(1, 1, 1).checked_add(jiff::Span::new().days(day)).unwrap()
}

fn text(day: Day) -> String {
    if day == INFINITY { "infinity".to_owned() } else { civil(day).to_string() }
}

/// Pseudo-random choices.
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % count
    }

    fn of<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }

    fn is_one_of(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

#[derive(Debug, Clone)]
struct Employee {
    name: String,
    department: Option<String>,
    joined: Option<Day>,
    left: Option<Day>,
}

#[derive(Debug, Clone)]
struct Record {
    id: Option<String>,
    name: Option<String>,
    status: Option<String>,
    day: Option<Day>,
}

/// The data, and the rule of the calendar.
#[derive(Debug, Default)]
struct Data {
    employees: BTreeMap<String, Employee>,
    records: Vec<Record>,
    calendar: BTreeMap<Day, (String, Option<String>)>,
    weekly_off: Vec<Weekday>,
}

/// The numbers of records by status, and of all of them.
type Group = (BTreeMap<String, u64>, u64);

/// Filters of a view.
#[derive(Debug, Clone, Default)]
struct Filter {
    from: Option<Day>,
    to: Option<Day>,
    id: Option<String>,
    status: Option<String>,
    department: Option<String>,
}

impl Filter {
    fn query(&self) -> String {
        let mut query = String::new();
        for (name, value) in [
            ("from", self.from.map(text)),
            ("to", self.to.map(text)),
            ("id", self.id.clone()),
            ("status", self.status.as_ref().map(|status| status.replace(' ', "%20").replace('"', "%22"))),
            ("department", self.department.clone()),
        ] {
            if let Some(value) = value {
                query.push_str(&format!("&{name}={value}"));
            }
        }
        query
    }
}

impl Data {
    /// Ranges of days around the days that matter.
    fn ranges(today: Day) -> Vec<(Day, Day)> {
        let range = |from: civil::Date, to: civil::Date| (day(from), day(to));
        vec![
            (today - 10, today + 10),
            (today - 200, today + 165),
            (today, today),
            range(date(2024, 2, 26), date(2024, 3, 2)),
            range(date(2023, 2, 26), date(2023, 3, 2)),
            range(date(1900, 2, 27), date(1900, 3, 1)),
            range(date(2025, 12, 26), date(2026, 1, 25)),
            range(date(1, 1, 1), date(1, 1, 20)),
            range(date(9999, 12, 10), date(9999, 12, 31)),
        ]
    }

    fn random(random: &mut Random, today: Day, weekly_off: Vec<Weekday>) -> Self {
        let mut data = Self { weekly_off, ..Self::default() };
        let ranges = Self::ranges(today);
        let any_day = |random: &mut Random| {
            let (from, to) = random.of(&ranges);
            from + random.below((to - from + 1) as usize) as Day
        };
        for number in 0..10 {
            if number % 3 == 2 {
                continue;
            }
            let (first, second) = (any_day(random), any_day(random));
            let (joined, left) = (first.min(second), first.max(second));
            let employee = Employee {
                name: format!("Directory {number}"),
                department: random.of(&[None, Some("Sales".to_owned()), Some("R&D".to_owned())]),
                joined: random.of(&[None, Some(joined)]),
                left: random.of(&[None, Some(left)]),
            };
            data.employees.insert(format!("e{number}"), employee);
        }
        let mut taken = BTreeSet::new();
        for _ in 0..700 {
            // Number 3 is in the directory and has no records.
            let id = format!("e{}", random.of(&[0, 1, 2, 4, 5, 6, 7, 8, 9]));
            let day = any_day(random);
            if taken.insert((id.clone(), day)) {
                data.records.push(Record {
                    id: Some(id),
                    name: random.of(&[None, Some("Recorded ü".to_owned()), Some("Other".to_owned())]),
                    status: if random.is_one_of(12) { None } else { Some(random.of(&STATUSES).to_owned()) },
                    day: Some(day),
                });
            }
        }
        let foreign = |id: Option<&str>, day| Record {
            id: id.map(str::to_owned),
            name: Some("Foreign".to_owned()),
            status: Some("Present".to_owned()),
            day,
        };
        data.records.extend([
            foreign(Some("e2"), Some(INFINITY)),
            foreign(Some("e5"), None),
            foreign(Some("only-null"), None),
            foreign(None, Some(today)),
            foreign(None, None),
        ]);
        for _ in 0..60 {
            let kind = random.of(&["holiday", "workday"]).to_owned();
            let name = random.of(&[None, Some("Day ☀".to_owned())]);
            data.calendar.insert(any_day(random), (kind, name));
        }
        data
    }

    fn store(&self, sql: &Sql) {
        let quoted = |value: &Option<String>| match value {
            Some(text) => format!("'{}'", text.replace('\'', "''")),
            None => "NULL".to_owned(),
        };
        let date = |day: Option<Day>| quoted(&day.map(text));
        let mut statements =
            "TRUNCATE records, employees, calendar_days; ALTER TABLE records ALTER id DROP NOT NULL; ".to_owned();
        for (id, employee) in &self.employees {
            statements.push_str(&format!(
                "INSERT INTO employees (id, name, department, joined_on, left_on) VALUES ('{id}', '{}', {}, {}, {}); ",
                employee.name,
                quoted(&employee.department),
                date(employee.joined),
                date(employee.left)
            ));
        }
        for record in &self.records {
            statements.push_str(&format!(
                "INSERT INTO records (id, name, status, date) VALUES ({}, {}, {}, {}); ",
                quoted(&record.id),
                quoted(&record.name),
                quoted(&record.status),
                date(record.day)
            ));
        }
        for (day, (kind, name)) in &self.calendar {
            statements.push_str(&format!(
                "INSERT INTO calendar_days VALUES ('{}', '{kind}', {}); ",
                text(*day),
                quoted(name)
            ));
        }
        sql.run(&statements);
    }

    fn kind(&self, day: Day) -> &str {
        match self.calendar.get(&day) {
            Some((kind, _)) => kind,
            None if self.weekly_off.contains(&civil(day).weekday()) => "weekend",
            None => "workday",
        }
    }

    fn department(&self, id: Option<&String>) -> Option<String> {
        self.employees.get(id?)?.department.clone()
    }

    /// The records that a filter selects.
    fn selected<'a>(&'a self, filter: &'a Filter) -> impl Iterator<Item = &'a Record> {
        self.records.iter().filter(move |record| {
            filter.from.is_none_or(|from| record.day.is_some_and(|day| from <= day))
                && filter.to.is_none_or(|to| record.day.is_some_and(|day| day <= to))
                && filter.id.as_ref().is_none_or(|id| record.id.as_ref() == Some(id))
                && filter.status.as_ref().is_none_or(|status| record.status.as_ref() == Some(status))
                && (filter.department.is_none() || self.department(record.id.as_ref()) == filter.department)
        })
    }

    fn sheet(&self, filter: &Filter, today: Day) -> Value {
        let (from, to) = (filter.from.unwrap(), filter.to.unwrap());
        let mut ids: BTreeSet<&String> = self.selected(filter).filter_map(|record| record.id.as_ref()).collect();
        if filter.status.is_none() {
            let employed = self.employees.iter().filter(|(id, employee)| {
                employee.joined.is_none_or(|joined| joined <= to)
                    && employee.left.is_none_or(|left| from <= left)
                    && filter.id.as_ref().is_none_or(|wanted| wanted == *id)
                    && (filter.department.is_none() || employee.department == filter.department)
            });
            ids.extend(employed.map(|(id, _)| id));
        }
        let days: Vec<Value> = (from..=to)
            .map(|day| {
                let name = self.calendar.get(&day).and_then(|(_, name)| name.clone());
                json!({"date": text(day), "kind": self.kind(day), "name": name})
            })
            .collect();
        let employees: Vec<Value> = ids.into_iter().map(|id| self.row(id, from, to, today)).collect();
        json!({"from": text(from), "to": text(to), "days": days, "employees": employees})
    }

    fn row(&self, id: &str, from: Day, to: Day, today: Day) -> Value {
        let own: Vec<&Record> = self.records.iter().filter(|record| record.id.as_deref() == Some(id)).collect();
        let directory = self.employees.get(id);
        let (mut totals, mut unrecorded, mut days) = (BTreeMap::<String, u64>::new(), 0, Vec::new());
        for day in from..=to {
            let record = own.iter().find(|record| record.day == Some(day));
            let status = record.and_then(|record| record.status.clone());
            if let Some(status) = &status {
                *totals.entry(status.clone()).or_default() += 1;
            }
            let is_employed = directory.is_none_or(|employee| {
                employee.joined.is_none_or(|joined| joined <= day) && employee.left.is_none_or(|left| day <= left)
            });
            if record.is_none() && self.kind(day) == "workday" && day <= today && is_employed {
                unrecorded += 1;
            }
            days.push(status);
        }
        let name = match directory {
            Some(employee) => Some(employee.name.clone()),
            None => own.iter().max_by_key(|record| record.day).and_then(|record| record.name.clone()),
        };
        let department = directory.and_then(|employee| employee.department.clone());
        json!({"id": id, "name": name, "department": department, "days": days, "totals": totals, "unrecorded": unrecorded})
    }

    fn summary(&self, by: &str, filter: &Filter) -> Value {
        // The key to sort by, the null key last, and the key as it is shown.
        let mut groups: BTreeMap<(bool, Day, String), Group> = BTreeMap::new();
        for record in self.selected(filter) {
            let key = match by {
                "employee" => record.id.clone().map(|id| (0, id)),
                "department" => self.department(record.id.as_ref()).map(|department| (0, department)),
                "status" => record.status.clone().map(|status| (0, status)),
                _ => record.day.map(|day| (day, time_key(by, day))),
            };
            // Days of one week or month have one key, which sorts by its text; days past year 9999 do not occur.
            let (sort, shown) = key.clone().map_or((0, String::new()), |(sort, shown)| {
                (if by == "day" || sort == INFINITY { sort } else { 0 }, shown)
            });
            let group = groups.entry((key.is_none(), sort, shown)).or_default();
            group.1 += 1;
            if let Some(status) = &record.status {
                *group.0.entry(status.clone()).or_default() += 1;
            }
        }
        let groups: Vec<Value> = groups
            .into_iter()
            .map(|((is_null, _, key), (counts, total))| {
                json!({"key": if is_null { None } else { Some(key) }, "counts": counts, "total": total})
            })
            .collect();
        json!({"groups": groups})
    }
}

fn time_key(by: &str, day: Day) -> String {
    if day == INFINITY {
        return "infinity".to_owned();
    }
    let date = civil(day);
    match by {
        "day" => date.to_string(),
        "month" => format!("{:04}-{:02}", date.year(), date.month()),
        _ => {
            let week = date.iso_week_date();
            format!("{:04}-W{:02}", week.year(), week.week())
        }
    }
}

/// Today at a fixed offset from UTC.
fn today(hours: i64) -> Day {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64 + hours * 3600;
    day(date(1970, 1, 1)) + seconds.div_euclid(86_400)
}

/// All pages of a view, put together: `list` is the member of which each page has a part. Every page but the last has `limit` entries.
fn pages(appliance: &Appliance, target: &str, list: &str, limit: usize) -> Value {
    let mut whole: Option<Map<String, Value>> = None;
    let mut target = format!("{target}&limit={limit}");
    loop {
        let answer = appliance.get(&target).expect(200);
        let mut page = answer.json().as_object().expect("an object").clone();
        let mut entries = page.remove(list).and_then(|entries| entries.as_array().cloned()).expect("a list");
        let link = answer.header("link").map(|link| {
            let (next, relation) = link.strip_prefix('<').and_then(|link| link.split_once('>')).expect("<…>");
            assert_eq!(relation, "; rel=\"next\"");
            next.to_owned()
        });
        assert!(entries.len() <= limit && (link.is_none() || entries.len() == limit), "{target}");
        match &mut whole {
            None => {
                page.insert(list.to_owned(), entries.into());
                whole = Some(page);
            }
            Some(whole) => {
                assert!(page.iter().all(|(name, value)| whole.get(name) == Some(value)), "{target}");
                whole[list].as_array_mut().expect("a list").append(&mut entries);
            }
        }
        match link {
            Some(next) => target = next,
            None => return Value::Object(whole.unwrap_or_default()),
        }
    }
}

fn check(appliance: &Appliance, data: &Data, offset: i64, random: &mut Random) {
    let now = today(offset);
    for (from, to) in Data::ranges(now) {
        let range = Filter { from: Some(from), to: Some(to), ..Filter::default() };
        let some = |text: &str| Some(text.to_owned());
        for filter in [
            range.clone(),
            Filter { id: some("e1"), ..range.clone() },
            Filter { id: some("e2"), ..range.clone() },
            Filter { id: some("nobody"), ..range.clone() },
            Filter { status: some("Absent"), ..range.clone() },
            Filter { status: some("On \"Leave\""), id: some("e4"), ..range.clone() },
            Filter { department: some("Sales"), ..range.clone() },
            Filter { department: some("Sales"), status: some("Present"), ..range.clone() },
            Filter { department: some("Sales"), id: some("e1"), ..range.clone() },
        ] {
            let limit = random.of(&[1, 2, 3, 7, 1000]);
            let target = format!("{API}/sheet?{}", &filter.query()[1..]);
            loop {
                let before = today(offset);
                let found = pages(appliance, &target, "employees", limit);
                // At midnight the answer may be of either day.
                if today(offset) == before {
                    assert_eq!(found, data.sheet(&filter, before), "{target}&limit={limit}");
                    break;
                }
            }
            for by in ["day", "week", "month", "employee", "department", "status"] {
                let limit = random.of(&[1, 3, 50, 10_000]);
                let target = format!("{API}/summary?by={by}{}", filter.query());
                let found = pages(appliance, &target, "groups", limit);
                assert_eq!(found, data.summary(by, &filter), "{target}&limit={limit}");
            }
        }
    }
    for by in ["day", "week", "month", "employee", "department", "status"] {
        for filter in [Filter::default(), Filter { status: Some("Present".into()), ..Filter::default() }] {
            let limit = random.of(&[7, 10_000]);
            let target = format!("{API}/summary?by={by}{}", filter.query());
            let found = pages(appliance, &target, "groups", limit);
            assert_eq!(found, data.summary(by, &filter), "{target}&limit={limit}");
        }
    }
}

fn random_views_are_exact(zone: &str, offset: i64, weekly_off: &str, weekdays: &[Weekday], seed: u64) {
    let database = shared_postgres().create_database();
    // Without a cache, so that data by other programs count at once.
    let config = format!("redis: {{ mode: off }}\nattendance: {{ time_zone: {zone}, weekly_off: {weekly_off} }}\n");
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).config(&config).start();
    let sql = shared_postgres().sql(&database);
    let mut random = Random(seed);
    for _ in 0..2 {
        let data = Data::random(&mut random, today(offset), weekdays.to_vec());
        data.store(&sql);
        check(&appliance, &data, offset, &mut random);
    }
}

#[test]
fn views_are_exact_where_the_day_begins_first() {
    random_views_are_exact("Etc/GMT-14", 14, "[saturday, sunday]", &[Weekday::Saturday, Weekday::Sunday], 1);
}

#[test]
fn views_are_exact_where_the_day_begins_last() {
    random_views_are_exact("Etc/GMT+12", -12, "friday", &[Weekday::Friday], 2);
}

#[test]
fn views_are_exact_without_days_off() {
    random_views_are_exact("UTC", 0, "none", &[], 3);
}

/// Beyond a number of employees without records in the range, a page is read in another way (`employees_with_records.rs`).
#[test]
fn a_page_is_complete_where_few_of_many_employees_have_records() {
    let database = shared_postgres().create_database();
    let appliance =
        Appliance::builder().postgres(shared_postgres(), &database).config("redis: { mode: off }\n").start();
    let sql = shared_postgres().sql(&database);
    sql.run(
        "INSERT INTO records SELECT 'n' || lpad(number::text, 5, '0'), 'n', 'Present', \
         CASE WHEN number % 1000 = 999 THEN '2026-01-05'::date ELSE '2025-01-06' END FROM generate_series(0, 19999) AS number; \
         INSERT INTO employees (id, name) VALUES ('n09500', 'In the directory'); ANALYZE",
    );
    let expected = |number: usize| json!(format!("n{number:05}"));
    let with_records: Vec<Value> = (0..20).map(|thousand| expected(1000 * thousand + 999)).collect();
    for limit in [1, 3, 7, 1000] {
        let sheet = pages(&appliance, &format!("{API}/sheet?from=2026-01-01&to=2026-01-31"), "employees", limit);
        let ids: Vec<Value> = sheet["employees"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
        let mut all = with_records.clone();
        all.push(expected(9500));
        all.sort_by_key(|id| id.to_string());
        assert_eq!(ids, all, "limit {limit}");
        let target = format!("{API}/summary?by=employee&from=2026-01-01");
        let summary = pages(&appliance, &target, "groups", limit);
        let keys: Vec<Value> = summary["groups"].as_array().unwrap().iter().map(|group| group["key"].clone()).collect();
        assert_eq!(keys, with_records, "limit {limit}");
    }
}
