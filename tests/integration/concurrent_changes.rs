//! Changes of one record at the same time: none is lost, and the history explains what is there in the end.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::support::{API, Appliance, Connection, Request, Response, create, record};

const DAY: &str = "2026-01-31";
const CLIENTS: usize = 64;
const INCREMENTS: usize = 5;

fn path(id: &str) -> String {
    format!("{API}/records/{id}/{DAY}")
}

fn correction(id: &str, status: &str) -> Request {
    let body = json!({"name": "n", "status": status, "reason": format!("to {status}")});
    Request::new("PUT", &path(id)).header("Content-Type", "application/json").body(body.to_string())
}

/// An appliance whose requests get time to wait for a busy machine.
fn appliance() -> Appliance {
    Appliance::builder()
        .existing_cluster()
        .env("ATTENDANCE_API__POSTGRES__REQUEST_TIMEOUT", "20s")
        .env("ATTENDANCE_API__SERVER__HEAD_TIMEOUT", "60s")
        .start()
}

fn history(answer: &Response) -> Vec<Value> {
    answer.json().as_array().expect("a history is an array").clone()
}

/// The content that a history leads to; fails if an entry does not continue the one before it.
fn replay(entries: &[Value]) -> Value {
    entries.iter().fold(Value::Null, |before, entry| {
        assert_eq!(entry["before"], before, "{entries:#?}");
        entry["after"].clone()
    })
}

/// Adds one to the number in the status, as often as it takes.
fn increment(connection: &mut Connection) {
    loop {
        let read = connection.send(&Request::get(&path("counter"))).expect("the read is answered").expect(200);
        let number: usize = read.json()["status"].as_str().unwrap().parse().unwrap();
        let tag = read.header("etag").expect("a record has a tag");
        let request = correction("counter", &(number + 1).to_string()).header("If-Match", tag);
        let answer = connection.send(&request).expect("the correction is answered");
        match answer.status {
            200 => return,
            412 => {}
            other => panic!("{other}: {}", answer.text()),
        }
    }
}

#[test]
fn no_increment_of_64_clients_is_lost() {
    let appliance = appliance();
    create(&appliance, &record("counter", "n", "0", DAY)).expect(200);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection = appliance.connect();
                (0..INCREMENTS).for_each(|_| increment(&mut connection));
            });
        }
    });
    let total = CLIENTS * INCREMENTS;
    assert_eq!(appliance.get(&path("counter")).expect(200).json()["status"], total.to_string());
    let entries = history(&appliance.get(&format!("{}/history", path("counter"))).expect(200));
    assert_eq!(entries.len(), total + 1);
    assert_eq!(replay(&entries)["status"], total.to_string());
}

#[test]
fn corrections_deletions_and_creates_of_one_key_leave_a_history_that_explains_the_record() {
    let appliance = appliance();
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for client in 0..24 {
            let (appliance, done) = (&appliance, &done);
            scope.spawn(move || {
                let mut connection = appliance.connect();
                for step in 0..12 {
                    let status = format!("{client}.{step}");
                    let (request, allowed) = match (client + step) % 3 {
                        0 => {
                            let body = record("key", "n", &status, DAY).to_string();
                            (Request::post_json(&format!("{API}/create"), body), [200, 409])
                        }
                        1 => (correction("key", &status), [200, 404]),
                        _ => (Request::new("DELETE", &format!("{}?reason={status}", path("key"))), [204, 404]),
                    };
                    let answer = connection.send(&request).expect("the change is answered");
                    assert!(allowed.contains(&answer.status), "{}: {}", answer.status, answer.text());
                    done.fetch_add(usize::from(answer.status < 300), Ordering::Relaxed);
                }
            });
        }
    });
    let answer = appliance.get(&format!("{}/history", path("key"))).expect(200);
    let entries = history(&answer);
    assert_eq!(
        entries.len(),
        done.into_inner(),
        "each change that was acknowledged has an entry, and no other one has"
    );
    let read = appliance.get(&path("key"));
    let current = if read.status == 404 { Value::Null } else { read.expect(200).json() };
    assert_eq!(replay(&entries), current);
}

#[test]
fn a_killed_appliance_leaves_records_and_histories_that_agree() {
    let mut appliance = appliance();
    for key in 0..4 {
        create(&appliance, &record(&format!("k{key}"), "n", "0", DAY)).expect(200);
    }
    for round in 0..3 {
        let acknowledged: Vec<AtomicUsize> = (0..4).map(|_| AtomicUsize::new(0)).collect();
        let is_killed = AtomicBool::new(false);
        thread::scope(|scope| {
            for (key, count) in acknowledged.iter().enumerate() {
                let (is_killed, mut connection) = (&is_killed, appliance.connect());
                scope.spawn(move || {
                    for step in 0.. {
                        let request = correction(&format!("k{key}"), &format!("{round}.{step}"));
                        match connection.send(&request) {
                            Ok(answer) => count.store(
                                {
                                    answer.expect(200);
                                    step + 1
                                },
                                Ordering::SeqCst,
                            ),
                            Err(_) => break,
                        }
                        if is_killed.load(Ordering::SeqCst) {
                            break;
                        }
                    }
                });
            }
            while acknowledged.iter().any(|count| count.load(Ordering::SeqCst) < 10) {
                thread::yield_now();
            }
            appliance.kill();
            is_killed.store(true, Ordering::SeqCst);
        });
        appliance.start_again();
        for (key, count) in acknowledged.iter().enumerate() {
            let id = format!("k{key}");
            let entries = history(&appliance.get(&format!("{}/history", path(&id))).expect(200));
            assert_eq!(replay(&entries), appliance.get(&path(&id)).expect(200).json());
            let of_round = entries.iter().filter(|entry| {
                entry["after"]["status"].as_str().is_some_and(|status| status.starts_with(&format!("{round}.")))
            });
            let (stored, acknowledged) = (of_round.count(), count.load(Ordering::SeqCst));
            assert!((acknowledged..=acknowledged + 1).contains(&stored), "{stored} of {acknowledged}");
        }
    }
}
