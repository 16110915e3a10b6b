//! `POST /create`: accepted and rejected bodies, and the answers.

use serde_json::{Value, json};

use crate::support::{API, Appliance, Request, Response, create, record, shared, unique};

fn post(body: impl Into<Vec<u8>>) -> Response {
    shared().send(&Request::post_json(&format!("{API}/create"), body))
}

fn find(id: &str) -> Value {
    shared().get(&format!("{API}/search?id={id}")).expect(200).json()
}

/// Fails unless the answer is a 400 with the members of a validation error; returns the fields that it names.
fn rejected_fields(answer: Response) -> Vec<String> {
    let body = answer.expect(400).json();
    assert_eq!(body["error"], "Validation Error", "{body}");
    assert!(!body["message"].as_str().expect("a sentence").is_empty());
    let details = body["details"].as_array().cloned().unwrap_or_default();
    details
        .iter()
        .map(|detail| {
            assert!(!detail["problem"].as_str().expect("a problem is text").is_empty());
            detail["field"].as_str().expect("a field is text").to_owned()
        })
        .collect()
}

#[test]
fn a_valid_record_is_stored_and_acknowledged() {
    let id = unique("create");
    let answer = create(shared(), &record(&id, "Asha", "Present", "2023-08-01")).expect(200);
    let sentence = format!("{{\"message\":\"Successfully created the record for the employee id: ${id}\"}}\n");
    assert_eq!(answer.text(), sentence);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(find(&id), record(&id, "Asha", "Present", "2023-08-01"));
}

#[test]
fn the_answer_escapes_non_ascii_characters() {
    let id = unique("ü");
    let answer = create(shared(), &record(&id, "अभिषेक 😀 \"q\" \\ </x>&", "Présent", "2023-08-01")).expect(200);
    assert!(answer.text().contains("$\\u00fc-"), "{}", answer.text());
    let found = shared().get(&format!("{API}/search?id={}", id.replace('ü', "%C3%BC"))).expect(200);
    assert!(found.body.is_ascii(), "{}", found.text());
    assert_eq!(found.json()["name"], "अभिषेक 😀 \"q\" \\ </x>&");
}

#[test]
fn an_employee_has_one_record_a_day() {
    let id = unique("day");
    create(shared(), &record(&id, "Asha", "Present", "2023-08-01")).expect(200);
    create(shared(), &record(&id, "Asha", "Absent", "2023-08-02")).expect(200);
    let conflict = create(shared(), &record(&id, "Other", "Absent", "2023-08-01")).expect(409).json();
    assert!(conflict["error"].is_string() && conflict["message"].is_string(), "{conflict}");
    assert_eq!(find(&id)["date"], "2023-08-02", "the latest is what search gives");
    let first = shared().get(&format!("{API}/search?id={id}&date=2023-08-01")).expect(200).json();
    assert_eq!(first["name"], "Asha", "a rejected create changes nothing");
}

#[test]
fn fields_are_accepted_in_any_order_and_the_last_duplicate_wins() {
    let id = unique("order");
    let body = format!(r#"{{"date":"2023-08-02","status":"Absent","name":"B","id":"wrong","id":"{id}"}}"#);
    post(body).expect(200);
    assert_eq!(find(&id), record(&id, "B", "Absent", "2023-08-02"));
}

#[test]
fn each_missing_field_is_named() {
    assert_eq!(rejected_fields(post("{}")), ["id", "name", "status", "date"]);
    for field in ["id", "name", "status", "date"] {
        let mut body = record("missing", "n", "s", "2023-08-01");
        body.as_object_mut().unwrap().remove(field);
        assert_eq!(rejected_fields(post(body.to_string())), [field]);
    }
}

#[test]
fn each_field_must_be_a_string() {
    let wrong = [json!(1), json!(1.5), json!(true), json!(["1"]), json!({}), Value::Null];
    for field in ["id", "name", "status", "date"] {
        for value in &wrong {
            let mut body = record("wrong-type", "n", "s", "2023-08-01");
            body[field] = value.clone();
            assert_eq!(rejected_fields(post(body.to_string())), [field], "{field} = {value}");
        }
    }
}

#[test]
fn an_unknown_field_is_rejected_and_named() {
    let mut body = record(&unique("extra"), "n", "s", "2023-08-01");
    body["extra"] = json!(1);
    assert_eq!(rejected_fields(post(body.to_string())), ["extra"]);
}

#[test]
fn all_invalid_fields_are_named_together() {
    let body = json!({"id": "", "name": 5, "status": " x", "date": "01/08/2023", "more": null});
    let mut fields = rejected_fields(post(body.to_string()));
    fields.sort();
    assert_eq!(fields, ["date", "id", "more", "name", "status"]);
}

#[test]
fn lengths_are_counted_in_characters() {
    let limits = [("id", 128), ("name", 256), ("status", 64)];
    for (field, limit) in limits {
        let mut body = record(&unique("length"), "n", "s", "2023-08-01");
        let longest = format!("{}{}", unique("ü"), "ü".repeat(limit));
        body[field] = json!(longest.chars().take(limit).collect::<String>());
        create(shared(), &body).expect(200);
        body[field] = json!(longest.chars().take(limit + 1).collect::<String>());
        assert_eq!(rejected_fields(create(shared(), &body)), [field]);
        body[field] = json!("");
        assert_eq!(rejected_fields(create(shared(), &body)), [field]);
    }
}

#[test]
fn control_characters_and_outer_white_space_are_rejected() {
    for field in ["id", "name", "status"] {
        for bad in [" x", "x ", "\tx", "x\n", "a\tb", "a\u{7f}b", "a\u{85}b", "a\u{1}b", "x\u{a0}", "\u{3000}x", " "] {
            let mut body = record(&unique("control"), "n", "s", "2023-08-01");
            body[field] = json!(bad);
            assert_eq!(rejected_fields(create(shared(), &body)), [field], "{field} = {bad:?}");
        }
        let mut body = record(&unique("inner"), "n", "s", "2023-08-01");
        body[field] = json!(unique("two words"));
        create(shared(), &body).expect(200);
    }
}

#[test]
fn json_that_is_not_an_object_is_a_validation_error() {
    for body in
        ["[]", "null", "\"x\"", "5", "true", "NaN", r#"[{"id":"1","name":"n","status":"s","date":"2023-08-01"}]"#]
    {
        let answer = post(body).expect(400).json();
        assert_eq!(answer["error"], "Validation Error", "{body}");
    }
}

#[test]
fn invalid_json_is_rejected_with_its_location() {
    let bodies: [&[u8]; 9] = [
        b"",
        b"   ",
        b"{\"id\": \"1\",",
        b"{\"id\":\"t1\",\"name\":\"n\",\"status\":\"s\",\"date\":\"2023-08-01\",}",
        b"{'id':'1'}",
        b"{\"id\":\"\xff\",\"name\":\"n\",\"status\":\"s\",\"date\":\"2023-08-01\"}",
        b"{\"id\":\"c\x01\",\"name\":\"n\",\"status\":\"s\",\"date\":\"2023-08-01\"}",
        b"{\"id\":\"s\\ud800\",\"name\":\"n\",\"status\":\"s\",\"date\":\"2023-08-01\"}",
        b"{\"id\":\"n\\u0000\",\"name\":\"n\",\"status\":\"s\",\"date\":\"2023-08-01\"}",
    ];
    for body in bodies {
        let answer = post(body).expect(400);
        let json = answer.json();
        assert!(json["error"].is_string() && json["message"].is_string(), "{json}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    let two = format!("{0}{0}", record("two", "n", "s", "2023-08-01"));
    post(two).expect(400);
    let message = post("{\n \"id\": \"1\",\n x").expect(400).json()["message"].to_string();
    assert!(message.contains("line 3"), "it names the place in the body: {message}");
}

#[test]
fn deep_nesting_is_rejected_without_harm() {
    post("[".repeat(200_000)).expect(400);
    post(format!("{{\"id\":{}", "[".repeat(100_000))).expect(400);
    shared().get(&format!("{API}/health")).expect(200);
}

#[test]
fn json_is_accepted_in_any_unicode_encoding() {
    let encode16 = |text: &str, order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let encode32 =
        |text: &str, order: fn(u32) -> [u8; 4]| text.chars().flat_map(|c| order(c as u32)).collect::<Vec<u8>>();
    for way in 0..8 {
        let id = unique("encoding");
        let text = record(&id, "Ünïcode 😀", "Present", "2023-08-01").to_string();
        let marked = format!("\u{feff}{text}");
        let body = match way {
            0 => marked.into_bytes(),
            1 => encode16(&marked, u16::to_le_bytes),
            2 => encode16(&marked, u16::to_be_bytes),
            3 => encode16(&text, u16::to_le_bytes),
            4 => encode16(&text, u16::to_be_bytes),
            5 => encode32(&marked, u32::to_le_bytes),
            6 => encode32(&text, u32::to_be_bytes),
            _ => encode32(&text, u32::to_le_bytes),
        };
        post(body).expect(200);
        assert_eq!(find(&id)["name"], "Ünïcode 😀", "way {way}");
    }
}

#[test]
fn the_content_type_must_be_json() {
    let send = |content_type: Option<&str>| {
        let body = record(&unique("type"), "n", "s", "2023-08-01").to_string();
        let request = Request::new("POST", &format!("{API}/create")).body(body);
        shared().send(&match content_type {
            Some(value) => request.header("Content-Type", value),
            None => request,
        })
    };
    let good = [
        "application/json",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        "application/json; charset=latin-1",
        "application/json;",
        "application/vnd.api+json",
    ];
    for value in good {
        send(Some(value)).expect(200);
    }
    let bad = ["text/plain", "application/x-www-form-urlencoded", "text/json", "application/jsonx", "application", ""];
    for value in bad {
        assert!(send(Some(value)).expect(415).json()["error"].is_string(), "{value}");
    }
    send(None).expect(415);
}

#[test]
fn a_chunked_body_is_accepted_and_the_query_is_ignored() {
    let id = unique("chunked");
    let body = record(&id, "n", "s", "2023-08-01").to_string();
    shared().send(&Request::post_json(&format!("{API}/create?id=9"), body).chunked()).expect(200);
    assert_eq!(find(&id)["name"], "n");
}

#[test]
fn a_content_encoding_is_ignored_and_any_accept_is_answered_with_json() {
    let body = record(&unique("accept"), "n", "s", "2023-08-01").to_string();
    let request = Request::post_json(&format!("{API}/create"), body);
    let answer = shared().send(&request.header("Content-Encoding", "gzip").header("Accept", "application/xml"));
    assert_eq!(answer.expect(200).header("content-type"), Some("application/json"));
}

#[test]
fn an_error_never_echoes_more_than_64_characters_of_input() {
    let long = "Q".repeat(4_000);
    let mut bodies = vec![format!("{{\"{long}\": 1}}"), format!("\"{long}\""), long.clone()];
    for field in ["id", "name", "status", "date"] {
        let mut body = record("echo", "n", "s", "2023-08-01");
        body[field] = json!(long);
        bodies.push(body.to_string());
    }
    for body in bodies {
        let text = post(body).expect(400).text();
        assert!(!text.contains(&"Q".repeat(65)), "{text}");
    }
}

#[test]
fn concurrent_creates_succeed_and_fail_independently() {
    let id = unique("burst");
    let days: Vec<String> = (1..=28).map(|day| format!("2024-02-{day:02}")).collect();
    let statuses: Vec<Vec<u16>> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                scope.spawn({
                    let (id, days) = (&id, &days);
                    move || post_days(shared(), id, days, client)
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("a client ends")).collect()
    });
    for (day, date) in days.iter().enumerate() {
        let created = statuses.iter().filter(|answers| answers[day] == 200).count();
        let rejected = statuses.iter().filter(|answers| answers[day] == 409).count();
        assert_eq!((created, rejected), (1, 3), "{date}: one is stored, the others are conflicts");
    }
}

fn post_days(appliance: &Appliance, id: &str, days: &[String], client: usize) -> Vec<u16> {
    let name = format!("client {client}");
    days.iter().map(|date| create(appliance, &record(id, &name, "Present", date)).status).collect()
}

#[test]
fn a_violated_constraint_of_the_operator_is_a_client_error() {
    let appliance = Appliance::builder().existing_cluster().start();
    appliance.sql().run("ALTER TABLE records ADD CONSTRAINT no_ghosts CHECK (name <> 'Ghost')");
    let rejected = create(&appliance, &record("g1", "Ghost", "Present", "2023-08-01")).expect(400);
    assert_eq!(rejected.json()["error"], "Validation Error");
    assert!(!rejected.text().contains("no_ghosts"), "names of the database stay inside: {}", rejected.text());
    create(&appliance, &record("g1", "Asha", "Present", "2023-08-01")).expect(200);
}

#[test]
fn a_column_whose_type_was_changed_is_read_without_an_error() {
    let appliance = Appliance::builder().existing_cluster().config("redis: { mode: off }").start();
    create(&appliance, &record("t1", "Asha", "Present", "2023-08-01")).expect(200);
    let search = || appliance.get(&format!("{API}/search?id=t1")).expect(200).json();
    assert_eq!(search(), record("t1", "Asha", "Present", "2023-08-01"));
    appliance.sql().run("ALTER TABLE records ALTER name TYPE varchar(300)");
    assert_eq!(search(), record("t1", "Asha", "Present", "2023-08-01"));
}
