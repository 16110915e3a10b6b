//! More than the server can carry: what is over a limit is refused with a reason of its own, and everything else is served.

use std::io;

use crate::support::{API, Appliance, Connection, Request, Response, eventually, record, shared_postgres, unique};

/// A create whose body has been padded to a size.
fn padded_create(size: usize) -> Request {
    let mut body = record(&unique("padded"), "n", "s", "2024-01-01").to_string().into_bytes();
    body.resize(size, b' ');
    Request::post_json(&format!("{API}/create"), body)
}

/// A create that announces 1 MiB and has sent this much of it.
fn unfinished_create(appliance: &Appliance, sent: usize) -> Connection {
    let mut connection = appliance.connect();
    let head = format!(
        "POST {API}/create HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1048576\r\n\r\n"
    );
    let whole = [head.into_bytes(), vec![b' '; sent]].concat();
    // The server may refuse the body before it has all been written.
    let _ = connection.write(&whole);
    connection
}

/// Fails unless the answer is a 503 that is to be tried again, with this in its message.
fn refused(answer: &Response, reason: &str) {
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{}", answer.text());
    assert!(answer.text().contains(reason), "{}", answer.text());
    assert!(!answer.text().contains("database"), "{}", answer.text());
}

#[test]
fn bodies_share_a_budget_and_small_ones_always_get_through() -> io::Result<()> {
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder()
        .postgres(shared_postgres(), &database)
        .config("redis: { mode: off }\nserver: { body_budget: 64KiB }\n")
        .start();

    // What is announced, or is small, takes nothing from the budget.
    let silent: Vec<_> = (0..50).map(|_| unfinished_create(&appliance, 4096)).collect();
    appliance.send(&padded_create(60_000)).expect(200);

    // These need more than there is: at least one has room, and the others are refused.
    let mut large: Vec<_> = (0..8).map(|_| unfinished_create(&appliance, 40_000)).collect();
    let mut refusals = 0;
    for connection in &mut large {
        if connection.has_answer() {
            refused(&connection.read(false)?, "Large request bodies are busy");
            refusals += 1;
        }
    }
    assert!((1..8).contains(&refusals), "{refusals} of 8");
    refused(&appliance.send(&padded_create(70_000)), "Large request bodies are busy");
    refused(&appliance.send(&padded_create(70_000).chunked()), "Large request bodies are busy");
    appliance.send(&padded_create(8192)).expect(200);
    appliance.send(&padded_create(8192).chunked()).expect(200);

    // The end of a request gives its part back.
    drop(large);
    drop(silent);
    eventually("the budget is free again", || (appliance.send(&padded_create(60_000)).status == 200).then_some(()));
    let is_complaint = |level: &str| ["WARN", "ERROR"].contains(&level);
    let complaints =
        appliance.log().into_iter().filter(|line| is_complaint(line["level"].as_str().unwrap_or_default()));
    assert_eq!(complaints.filter(|line| line.get("request_id").is_some()).count(), 0, "a refusal is not news");
    Ok(())
}
