//! No narrowed answer reaches another caller, and no full answer an employee: roles × endpoints × states of the cache, in random order.

use serde_json::Value;

use crate::support::accounts::{Protected, bearing};
use crate::support::choice::Choice;
use crate::support::{
    API, Appliance, Connection, RedisServer, Request, Response, record, shared_postgres, wait_for_cache,
};

const EMPLOYEES: [&str; 4] = ["1", "2", "12", "1:"];
const STEPS: usize = 1500;

/// The reads that several callers may make alike.
const TARGETS: [&str; 12] = [
    "search?id=1",
    "search?id=2&date=2023-08-01",
    "search/all",
    "search/all?limit=3",
    "search/all?status=Present",
    "search/all?id=1",
    "records",
    "records?id=2&date=2023-08-01",
    "records?order=created&limit=2",
    "sheet?from=2023-08-01&to=2023-08-31",
    "summary?by=employee",
    "summary?by=status",
];

/// The employees whose records an answer shows.
fn shown(target: &str, answer: &Response) -> Vec<String> {
    if answer.status == 404 {
        return Vec::new();
    }
    let json = answer.clone().expect(200).json();
    let ids = |items: &Value, name: &str| -> Vec<String> {
        items.as_array().unwrap().iter().map(|item| item[name].as_str().unwrap_or_default().to_owned()).collect()
    };
    let mut found = match target.split(['?', '/']).next().unwrap() {
        "sheet" => ids(&json["employees"], "id"),
        "summary" if target.ends_with("employee") => ids(&json["groups"], "key"),
        // Each employee has a status of its own.
        "summary" => json["groups"].as_array().unwrap().iter().map(|group| employee_of(&group["key"])).collect(),
        _ if json.is_array() => ids(&json, "id"),
        _ => vec![json["id"].as_str().unwrap().to_owned()],
    };
    found.sort();
    found.dedup();
    found
}

/// The status that only one employee has.
fn status(id: &str) -> String {
    if id == "1" { "Present".to_owned() } else { format!("status of {id}") }
}

fn employee_of(status: &Value) -> String {
    let status = status.as_str().unwrap();
    if status == "Present" { "1".to_owned() } else { status.trim_start_matches("status of ").to_owned() }
}

fn check(config: &str, redis: Option<&RedisServer>) {
    let database = shared_postgres().create_database();
    let builder = Appliance::builder().postgres(shared_postgres(), &database);
    let protected = Protected::with(builder, config);
    if redis.is_some() {
        wait_for_cache(&protected.appliance);
    }
    let create = |id: &str, day: &str| {
        let body = record(id, "n", &status(id), day).to_string();
        protected.as_admin(Request::post_json(&format!("{API}/create"), body)).expect(200);
    };
    for id in EMPLOYEES {
        create(id, "2023-08-01");
    }
    let callers: Vec<(Option<&str>, String)> = EMPLOYEES
        .into_iter()
        .map(|id| (Some(id), protected.token("employee", id)))
        .chain(["reader", "writer", "manager", "admin"].map(|role| (None, protected.token(role, ""))))
        .collect();
    let mut choice = Choice::new(0x5eed);
    let mut connections: Vec<Connection> = (0..4).map(|_| protected.appliance.connect()).collect();
    let mut day = 2;
    for step in 0..STEPS {
        // The state of the cache changes: a create ends the generations, and a flush leaves only the memory of the process.
        match choice.below(100) {
            0..=3 if day < 28 => {
                create(EMPLOYEES[choice.below(EMPLOYEES.len())], &format!("2023-08-{day:02}"));
                day += 1;
            }
            4..=5 => {
                if let Some(redis) = redis {
                    redis.command::<String>(&["FLUSHALL"]);
                }
            }
            _ => {}
        }
        // Several at once share what is being read.
        let requests: Vec<(usize, usize)> =
            (0..connections.len()).map(|_| (choice.below(callers.len()), choice.below(TARGETS.len()))).collect();
        for (connection, (caller, target)) in connections.iter_mut().zip(&requests) {
            let request = Request::get(&format!("{API}/{}", TARGETS[*target]));
            connection.begin(&bearing(request, &callers[*caller].1)).unwrap();
        }
        for (connection, (caller, target)) in connections.iter_mut().zip(&requests) {
            let (reader, target) = (callers[*caller].0, TARGETS[*target]);
            let answer = connection.read(false).unwrap();
            let found = shown(target, &answer);
            let wanted = |id: &&str| match target {
                "search?id=1" | "search/all?id=1" | "search/all?status=Present" => **id == *"1",
                "search?id=2&date=2023-08-01" | "records?id=2&date=2023-08-01" => **id == *"2",
                _ => true,
            };
            if target.contains("limit=") {
                assert!(reader.is_none_or(|own| found == [own]), "step {step}: {reader:?} {target}: {found:?}");
                continue;
            }
            let mut expected: Vec<&str> =
                EMPLOYEES.into_iter().filter(|id| reader.is_none_or(|own| own == *id)).filter(wanted).collect();
            expected.sort_unstable();
            assert_eq!(found, expected, "step {step}: {reader:?} {target}");
        }
    }
}

#[test]
fn with_memory_and_the_managed_redis() {
    check("", None);
}

#[test]
fn with_a_shared_redis_that_is_flushed() {
    let redis = RedisServer::start();
    check(&format!("|{}", redis.config()), Some(&redis));
}

#[test]
fn without_a_cache() {
    check("|redis: { mode: off }\n", None);
}
