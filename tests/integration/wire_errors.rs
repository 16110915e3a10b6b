//! Every row of the contract's error table, and requests that are malformed, oversized or never finished.

use std::time::Duration;

use serde_json::Value;

use crate::support::{
    API, Appliance, Connection, Postgres, Request, Response, create, eventually, raw_exchange, record, shared,
    shared_postgres, unique,
};

/// Fails unless the answer is an error of that status with the members that every error has; returns the body.
pub(crate) fn expect_error(answer: Response, status: u16) -> Value {
    let answer = answer.expect(status);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()));
    assert!(answer.body.ends_with(b"}\n"), "one line of compact JSON");
    let body = answer.json();
    for member in ["error", "message"] {
        assert!(!body[member].as_str().unwrap_or_default().is_empty(), "{member}: {body}");
    }
    let known = ["error", "message", "details", "request_id"];
    assert!(body.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{body}");
    let text = body.to_string();
    for leak in ["SELECT", "INSERT", "records_", ".rs:", "/tmp", "panicked", "tokio", "postgres://"] {
        assert!(!text.contains(leak), "{leak}: {text}");
    }
    body
}

#[test]
fn every_error_has_one_shape() {
    let path = |rest: &str| format!("{API}{rest}");
    let id = unique("shape");
    create(shared(), &record(&id, "n", "s", "2023-08-01")).expect(200);
    let again = record(&id, "n", "s", "2023-08-01").to_string();
    let cases = [
        (Request::post_json(&path("/create"), "{}"), 400),
        (Request::post_json(&path("/create"), "{"), 400),
        (Request::new("POST", &path("/create")).header("Content-Type", "text/plain").body("x"), 415),
        (Request::get(&path("/search")), 400),
        (Request::get(&path("/search?id=no-such-employee")), 404),
        (Request::post_json(&path("/create"), again), 409),
        (Request::get("/nowhere"), 404),
        (Request::get(&path("")), 404),
        (Request::get(&path("/x/../health")), 404),
        (Request::get("/API/V1/ATTENDANCE/HEALTH"), 404),
        (Request::new("DELETE", &path("/search")), 405),
        (Request::get(&path(&format!("/search?id={}", "z".repeat(12_000)))), 414),
        (Request::get(&path("/health")).header("X-Long", &"z".repeat(40_000)), 431),
    ];
    for (request, status) in cases {
        let mut connection = shared().connect();
        expect_error(connection.send(&request).unwrap_or_else(|why| panic!("{status}: {why}")), status);
    }
    let body = expect_error(shared().post(&path("/create"), "{}"), 400);
    assert_eq!(body["error"], "Validation Error");
    assert!(body["details"].is_array());
    let body = expect_error(shared().get(&path("/search")), 400);
    assert_eq!(body["message"], "Unable to process request, please check query params ");
}

#[test]
fn a_body_over_the_limit_is_413_before_it_is_read() {
    let target = format!("{API}/create");
    let mut connection = shared().connect();
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1048577\r\n\r\n"
    );
    connection.write(head.as_bytes()).unwrap();
    expect_error(connection.read(false).expect("an answer without the body"), 413);
    let mut connection = shared().connect();
    let head = head.replace("1048577", "99999999999999");
    connection.write(head.as_bytes()).unwrap();
    expect_error(connection.read(false).expect("an answer without the body"), 413);
}

#[test]
fn a_chunked_body_over_the_limit_is_413_and_one_at_the_limit_is_read() {
    let target = format!("{API}/create");
    let huge = Request::post_json(&target, vec![b' '; 1_100_000]).chunked();
    expect_error(shared().connect().send(&huge).expect("an answer"), 413);
    let mut body = record(&unique("limit"), "n", "s", "2023-08-01").to_string();
    body.push_str(&" ".repeat(1_048_576 - body.len()));
    shared().send(&Request::post_json(&target, body.clone())).expect(200);
    // A second create of this record: its body is read to the end, and the answer is a conflict.
    expect_error(shared().send(&Request::post_json(&target, body).chunked()), 409);
}

#[test]
fn an_expectation_of_100_continue_is_met_or_rejected() {
    let target = format!("{API}/create");
    let body = record(&unique("expect"), "n", "s", "2023-08-01").to_string();
    let mut connection = shared().connect();
    let head = |length: usize| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    connection.write(head(body.len()).as_bytes()).unwrap();
    connection.write(body.as_bytes()).unwrap();
    connection.read(false).expect("an answer").expect(200);
    let mut connection = shared().connect();
    connection.write(head(5_000_000).as_bytes()).unwrap();
    expect_error(connection.read(false).expect("an answer"), 413);
}

#[test]
fn garbage_bytes_are_rejected_without_harm() {
    let cases: [&[u8]; 9] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /%00%ff%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ];
    for bytes in cases {
        let answer = raw_exchange(shared().address(), bytes);
        let rejected = answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 505");
        assert!(rejected, "{:?}: {answer}", String::from_utf8_lossy(bytes));
    }
    shared().get(&format!("{API}/health")).expect(200);
}

#[test]
fn a_request_smuggled_behind_two_lengths_is_not_served() {
    let id = unique("smuggled");
    let inner = record(&id, "n", "s", "2023-08-01").to_string();
    let inner = format!(
        "POST {API}/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{inner}",
        inner.len()
    );
    let outer = format!(
        "POST {API}/health HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        inner.len() + 5
    );
    let answer = raw_exchange(shared().address(), format!("{outer}{inner}").as_bytes());
    // RFC 9112: with both headers, chunked wins and the connection ends after the answer, or the request is rejected.
    assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{answer}");
    shared().get(&format!("{API}/search?id={id}")).expect(404);
}

#[test]
fn several_requests_on_one_connection_are_answered_in_order() {
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut connection = shared().connect();
    let three = format!("{}{}{}", get("/livez"), get("/nowhere"), get(&format!("{API}/health")));
    connection.write(three.as_bytes()).unwrap();
    let statuses: Vec<u16> = (0..3).map(|_| connection.read(false).expect("an answer").status).collect();
    assert_eq!(statuses, [200, 404, 200]);
}

#[test]
fn a_connection_survives_an_error() {
    let mut connection = shared().connect();
    for _ in 0..3 {
        connection.send(&Request::get("/nowhere")).unwrap().expect(404);
        connection.send(&Request::post_json(&format!("{API}/create"), "[")).unwrap().expect(400);
        connection.send(&Request::get("/livez")).unwrap().expect(200);
    }
}

#[test]
fn a_valid_request_id_is_kept_and_an_invalid_one_is_replaced() {
    let ask = |id: &str| {
        let answer = shared().send(&Request::get("/livez").header("X-Request-Id", id)).expect(200);
        answer.header("x-request-id").expect("every answer has one").to_owned()
    };
    for id in ["abc", "A.b_c-9", &"x".repeat(128)] {
        assert_eq!(ask(id), id);
    }
    for id in ["", "a b", "a\"b", "<script>", &"x".repeat(129), "a,b", "a;b"] {
        let given = ask(id);
        assert_ne!(given, id);
        assert!(!given.is_empty() && given.len() <= 128, "{given}");
    }
    let (one, two) = (shared().get("/livez"), shared().get("/livez"));
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
}

#[test]
fn requests_without_postgresql_are_answered_503_with_retry_after_until_it_returns() {
    let mut postgres = Postgres::start();
    let database = postgres.create_database();
    let appliance = Appliance::builder().postgres(&postgres, &database).config("redis: { mode: off }\n").start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    postgres.kill();
    let requests = [
        Request::get(&format!("{API}/search?id=1")),
        Request::get(&format!("{API}/search/all")),
        Request::get(&format!("{API}/search/all?limit=1")),
        Request::post_json(&format!("{API}/create"), record("2", "n", "s", "2023-08-01").to_string()),
    ];
    for request in &requests {
        let answer = appliance.send(request);
        assert!(answer.header("retry-after").is_some_and(|after| after.parse::<u32>().is_ok()), "{answer:?}");
        expect_error(answer, 503);
    }
    postgres.restart();
    for request in &requests {
        eventually("requests are served again", || (appliance.send(request).status == 200).then_some(()));
    }
}

#[test]
fn incomplete_requests_and_idle_connections_are_disconnected() {
    let appliance = Appliance::builder()
        .config("server: { head_timeout: 1s, body_timeout: 1s, idle_timeout: 1s }\nredis: { mode: off }\n")
        .postgres(shared_postgres(), &shared_postgres().create_database())
        .start();
    let bound = Duration::from_secs(30);
    let mut silent = appliance.connect();
    let mut half_a_head = appliance.connect();
    half_a_head.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-").unwrap();
    let mut half_a_body = appliance.connect();
    let head = format!(
        "POST {API}/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{{"
    );
    half_a_body.write(head.as_bytes()).unwrap();
    let mut idle = appliance.connect();
    idle.send(&Request::get("/livez")).unwrap().expect(200);
    assert!(silent.closed_within(bound), "a connection without any request");
    assert!(is_ended_by_server(&mut half_a_head, bound), "a head that never ends");
    assert!(is_ended_by_server(&mut half_a_body, bound), "a body that never ends");
    assert!(idle.closed_within(bound), "a connection that is idle after a request");
    appliance.get("/livez").expect(200);
}

/// Whether the server closes the connection, with or without a 4xx answer.
fn is_ended_by_server(connection: &mut Connection, bound: Duration) -> bool {
    match connection.read(false) {
        Ok(answer) => (400..500).contains(&answer.status) && connection.closed_within(bound),
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[test]
fn a_client_that_does_not_read_its_answer_is_disconnected() {
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder()
        .config("server: { write_timeout: 1s }\nredis: { mode: off }\n")
        .postgres(shared_postgres(), &database)
        .start();
    shared_postgres().sql(&database).run(
        "INSERT INTO records SELECT 'employee-' || n, repeat('x', 250), 'Present', '2023-08-01' FROM generate_series(1, 200000) n",
    );
    let mut slow_reader = appliance.connect();
    slow_reader.write(format!("GET {API}/search/all HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(slow_reader.read_head().expect("the answer begins").status, 200);
    eventually("only the connection of this request is open", || {
        appliance.get("/metrics").text().contains("attendance_api_connections_open 1\n").then_some(())
    });
    let rest = slow_reader.read_to_close();
    assert!(!rest.ends_with(b"\r\n0\r\n\r\n"), "an answer that was cut off does not look whole: {} bytes", rest.len());
    create(&appliance, &record("after", "n", "s", "2023-08-01")).expect(200);
}
