//! A realistic bulk load: a month of records for 1,000 employees, created by 64 concurrent clients and read back one by one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use crate::support::{API, Appliance, Request, record};

const EMPLOYEES: usize = 1_000;
const CLIENTS: usize = 64;
/// The working days of August 2023 except the last one.
const DAYS: [u32; 22] = [1, 2, 3, 4, 7, 8, 9, 10, 11, 14, 15, 16, 17, 18, 21, 22, 23, 24, 25, 28, 29, 30];
const STATUSES: [&str; 5] = ["Present", "Absent", "Remote", "On leave", "Übung ☂"];
const NAMES: [&str; 6] = ["Asha Rao", "Zoë O'Neil", "अभिषेक दुबे", "李 小龙", "Jean-Luc \"JL\" Petit", "a\\b </x>&"];

/// The record of employee `number` on a day of the month; a pure function of both.
fn expected_record(number: usize, day: u32) -> Value {
    let name = format!("{} {number}", NAMES[number % NAMES.len()]);
    let status = STATUSES[(number * 7 + day as usize * 3) % STATUSES.len()];
    record(&format!("E{number:04}"), &name, status, &format!("2023-08-{day:02}"))
}

/// Runs `work` for each number below `count`, divided among [`CLIENTS`] clients with a connection each.
fn run_with_clients(appliance: &Appliance, count: usize, work: impl Fn(&mut crate::support::Connection, usize) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection = appliance.connect();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    work(&mut connection, number);
                }
            });
        }
    });
}

fn post_the_month(appliance: &Appliance) {
    let target = format!("{API}/create");
    run_with_clients(appliance, EMPLOYEES * DAYS.len(), |connection, number| {
        // Consecutive creates are of different employees on one day, as on a real morning.
        let body = expected_record(number % EMPLOYEES, DAYS[number / EMPLOYEES]).to_string();
        let answer = connection.send(&Request::post_json(&target, body)).expect("the create is answered").expect(200);
        assert!(answer.text().contains("Successfully created"));
    });
}

fn assert_equal_by_search(appliance: &Appliance) {
    run_with_clients(appliance, EMPLOYEES * DAYS.len(), |connection, number| {
        let (employee, day) = (number % EMPLOYEES, DAYS[number / EMPLOYEES]);
        let target = format!("{API}/search?id=E{employee:04}&date=2023-08-{day:02}");
        let found = connection.send(&Request::get(&target)).expect("the read is answered").expect(200).json();
        assert_eq!(found, expected_record(employee, day));
    });
    run_with_clients(appliance, EMPLOYEES, |connection, employee| {
        let latest = connection.send(&Request::get(&format!("{API}/search?id=E{employee:04}"))).expect("an answer");
        assert_eq!(latest.expect(200).json(), expected_record(employee, DAYS[DAYS.len() - 1]));
    });
}

fn assert_equal_by_search_all(appliance: &Appliance) {
    let listed = appliance.get(&format!("{API}/search/all")).expect(200).json();
    let listed = listed.as_array().expect("an array");
    let month: Vec<Value> =
        (0..EMPLOYEES).flat_map(|employee| DAYS.map(|day| expected_record(employee, day))).collect();
    assert_eq!(listed.len(), month.len());
    // Compared one by one, so that a failure does not print all 22,000 records.
    listed.iter().zip(&month).for_each(|(found, expected)| assert_eq!(found, expected));
    let mut paged = Vec::new();
    let mut target = Some(format!("{API}/search/all?limit=5000"));
    while let Some(page) = target.take() {
        let answer = appliance.get(&page).expect(200);
        let link = answer.header("link").and_then(|link| link.strip_prefix('<')?.split_once('>')).map(|(to, _)| to);
        target = link.map(|to| to[to.find(API).expect("our path")..].to_owned());
        paged.extend(answer.json().as_array().expect("an array").clone());
    }
    assert!(paged == month, "the pages join to the whole");
    let mut by_status: BTreeMap<String, usize> = BTreeMap::new();
    month.iter().for_each(|record| *by_status.entry(record["status"].to_string()).or_default() += 1);
    for (status, count) in by_status {
        let status = status.trim_matches('"').replace(' ', "%20");
        let found = appliance.get(&format!("{API}/search/all?status={status}")).expect(200).json();
        assert_eq!(found.as_array().expect("an array").len(), count, "{status}");
    }
}

#[test]
fn a_month_for_a_thousand_employees_survives_a_restart_record_for_record() {
    let mut appliance = Appliance::builder().config("log: { access: errors }\n").start();
    post_the_month(&appliance);
    assert_equal_by_search(&appliance);
    assert_equal_by_search_all(&appliance);
    assert_eq!(appliance.sql().value("SELECT count(*) FROM records"), "22000");
    appliance.stop();
    appliance.start_again();
    assert_equal_by_search(&appliance);
    assert_equal_by_search_all(&appliance);
    appliance.kill();
    appliance.start_again();
    assert_equal_by_search_all(&appliance);
}
