//! One record: read, corrected and deleted by path and by query, and its history.

use serde_json::{Value, json};

use crate::support::{API, Appliance, Request, Response, create, record, shared, unique};

const DAY: &str = "2026-01-31";

fn path(id: &str) -> String {
    format!("{API}/records/{id}/{DAY}")
}

fn put(target: &str, body: &Value) -> Request {
    Request::new("PUT", target).header("Content-Type", "application/json").body(body.to_string())
}

fn correction(status: &str) -> Value {
    json!({"name": "n", "status": status, "reason": "because"})
}

fn correct(appliance: &Appliance, id: &str, status: &str) -> Response {
    appliance.send(&put(&path(id), &correction(status)))
}

fn delete(appliance: &Appliance, id: &str) -> Response {
    appliance.send(&Request::new("DELETE", &format!("{}?reason=because", path(id))))
}

fn history(appliance: &Appliance, id: &str) -> Vec<Value> {
    let answer = appliance.get(&format!("{}/history", path(id))).expect(200).json();
    answer.as_array().expect("a history is an array").clone()
}

/// A new employee with a record of the day.
fn employee(appliance: &Appliance) -> String {
    let id = unique("employee");
    create(appliance, &record(&id, "n", "Present", DAY)).expect(200);
    id
}

/// The problems of an answer with status 400, by field.
fn problems(answer: Response) -> Vec<String> {
    let answer = answer.expect(400).json();
    let details = answer["details"].as_array().expect("there are details").clone();
    details.iter().map(|detail| detail["field"].as_str().unwrap().to_owned()).collect()
}

fn counter(appliance: &Appliance, name: &str) -> f64 {
    let metrics = appliance.get("/metrics").text();
    let line = metrics.lines().find(|line| line.split(' ').next() == Some(name)).expect("the metric is there");
    line.rsplit(' ').next().unwrap().parse().expect("a number")
}

#[test]
fn a_record_is_read_corrected_and_deleted_and_its_history_says_so() {
    let appliance = Appliance::builder().existing_cluster().start();
    create(&appliance, &record("a/b %", "n", "Present", DAY)).expect(200);
    let id = "a%2Fb%20%25";
    let read = appliance.get(&path(id)).expect(200);
    assert_eq!(read.text(), "{\"id\":\"a/b %\",\"name\":\"n\",\"status\":\"Present\",\"date\":\"2026-01-31\"}\n");
    let etag = read.header("etag").expect("a record has a tag").to_owned();
    appliance.send(&Request::get(&path(id)).header("If-None-Match", &etag)).expect(304);
    assert_eq!(read.header("cache-control"), Some("no-cache"));

    let request = put(&path(id), &correction("Absent")).header("If-Match", &etag).header("X-Request-Id", "fix-1");
    let corrected = appliance.send(&request).expect(200);
    assert_eq!(corrected.json()["status"], "Absent");
    let read = appliance.get(&path(id)).expect(200);
    assert_eq!((read.body.clone(), read.header("etag")), (corrected.body.clone(), corrected.header("etag")));

    appliance.send(&Request::new("DELETE", &format!("{}?reason=twice", path(id)))).expect(204);
    appliance.get(&path(id)).expect(404);
    appliance.get(&format!("{API}/search?id=a%2Fb%20%25")).expect(404);
    let entries = history(&appliance, id);
    let actions: Vec<&Value> = entries.iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["created", "corrected", "deleted"]);
    let content = |status: &str| json!({"id": "a/b %", "name": "n", "status": status, "date": DAY});
    assert_eq!((&entries[0]["before"], &entries[0]["after"]), (&Value::Null, &content("Present")));
    assert_eq!((&entries[1]["before"], &entries[1]["after"]), (&content("Present"), &content("Absent")));
    assert_eq!((&entries[2]["before"], &entries[2]["after"]), (&content("Absent"), &Value::Null));
    assert_eq!((&entries[1]["reason"], &entries[2]["reason"]), (&json!("because"), &json!("twice")));
    assert_eq!((&entries[1]["request_id"], &entries[1]["address"]), (&json!("fix-1"), &json!("127.0.0.1")));
    for field in ["before", "reason", "by", "address", "request_id"] {
        assert_eq!(entries[0][field], Value::Null, "{field}");
    }
    assert!(entries.iter().all(|entry| entry["at"].as_str().is_some_and(|at| at.ends_with('Z'))), "{entries:?}");
    let keys: Vec<&String> = entries[1].as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 8, "{keys:?}");

    create(&appliance, &record("a/b %", "n", "Present", DAY)).expect(200);
    assert_eq!(history(&appliance, id).last().unwrap()["action"], "created");
    assert_eq!(history(&appliance, id).len(), 4);
    let count = |name: &str| counter(&appliance, &format!("attendance_api_records_{name}_total"));
    assert_eq!((count("corrected"), count("deleted"), count("erased")), (1.0, 1.0, 0.0));
}

#[test]
fn ids_that_a_path_cannot_have_are_addressed_by_query() {
    let appliance = Appliance::builder().existing_cluster().start();
    for id in [".", "..", "plain", "a&b=c"] {
        create(&appliance, &record(id, "n", "Present", DAY)).expect(200);
        let encoded = id.replace('&', "%26").replace('=', "%3D");
        let target = format!("{API}/records?id={encoded}&date={DAY}");
        assert_eq!(appliance.get(&target).expect(200).json()["id"], id);
        let corrected = appliance.send(&put(&target, &correction("Absent"))).expect(200);
        assert_eq!(appliance.get(&target).expect(200).body, corrected.body);
        appliance.send(&Request::new("DELETE", &format!("{target}&reason=r"))).expect(204);
        appliance.get(&target).expect(404);
    }
    // A client that does not normalise its paths can name them there, too.
    create(&appliance, &record("..", "n", "Present", DAY)).expect(200);
    assert_eq!(appliance.get(&path("..")).expect(200).json()["id"], "..");
    for (method, query) in [("GET", "date=2026-01-31"), ("PUT", "id=1"), ("DELETE", "id=1&reason=r")] {
        let request = put(&format!("{API}/records?{query}"), &correction("x"));
        let request = if method == "PUT" { request } else { Request::new(method, &format!("{API}/records?{query}")) };
        assert_eq!(problems(appliance.send(&request)).len(), 1, "{method} {query}");
    }
    assert_eq!(problems(appliance.get(&format!("{API}/records?id=1&date={DAY}&status=x"))), ["status"]);
}

#[test]
fn if_match_is_obeyed_and_404_comes_first() {
    let appliance = shared();
    let id = employee(appliance);
    let tag = |answer: &Response| answer.header("etag").expect("there is a tag").to_owned();
    let old = tag(&appliance.get(&path(&id)).expect(200));
    let with = |if_match: &str, status: &str| put(&path(&id), &correction(status)).header("If-Match", if_match);
    appliance.send(&with(&format!("\"other\", {old}"), "Absent")).expect(200);
    for stale in [&old[..], "\"x\"", &format!("W/{old}"), &format!("{}-gzip\"", old.trim_end_matches('"'))] {
        let refused = appliance.send(&with(stale, "Lost")).expect(412);
        assert_eq!(tag(&refused), tag(&appliance.get(&path(&id)).expect(200)), "the answer has the current tag");
    }
    let weak = format!("W/{}", tag(&appliance.get(&path(&id)).expect(200)));
    appliance.send(&with(&weak, "Lost")).expect(412);
    let delete = Request::new("DELETE", &format!("{}?reason=r", path(&id)));
    appliance.send(&delete.clone().header("If-Match", &old)).expect(412);
    assert_eq!(appliance.get(&path(&id)).expect(200).json()["status"], "Absent", "nothing was changed");
    for wrong in ["", "x", "\"a\" \"b\"", "*, \"a\""] {
        assert_eq!(problems(appliance.send(&with(wrong, "Lost"))), ["If-Match"], "{wrong}");
    }
    appliance.send(&with("*", "Half Day")).expect(200);
    appliance.send(&delete.clone().header("If-Match", "*")).expect(204);
    appliance.send(&delete.header("If-Match", &old)).expect(404);
    appliance.send(&with("*", "Lost")).expect(404);
    let statuses: Vec<Value> = history(appliance, &id).iter().map(|entry| entry["after"]["status"].clone()).collect();
    assert_eq!(statuses, [json!("Present"), json!("Absent"), json!("Half Day"), Value::Null]);
}

#[test]
fn a_correction_that_changes_nothing_leaves_no_entry_and_none_creates_a_record() {
    let appliance = shared();
    let id = employee(appliance);
    let first = correct(appliance, &id, "Present").expect(200);
    assert_eq!(first.body, appliance.get(&path(&id)).expect(200).body);
    assert_eq!(history(appliance, &id).len(), 1);
    let absent = unique("absent");
    correct(appliance, &absent, "Present").expect(404);
    delete(appliance, &absent).expect(404);
    appliance.get(&path(&absent)).expect(404);
    appliance.get(&format!("{}/history", path(&absent))).expect(404);
}

#[test]
fn what_is_not_a_correction_is_refused_with_all_its_problems_and_changes_nothing() {
    let appliance = shared();
    let id = employee(appliance);
    let refused = |body: Value| problems(appliance.send(&put(&path(&id), &body)));
    assert_eq!(refused(json!({})), ["name", "status", "reason"]);
    assert_eq!(refused(json!({"name": "n", "status": "s", "reason": ""})), ["reason"]);
    assert_eq!(refused(json!({"name": "n", "status": "s", "reason": "r".repeat(501)})), ["reason"]);
    assert_eq!(refused(json!({"id": "another", "name": "n", "status": "s", "reason": "r"})), ["id"]);
    assert_eq!(refused(json!({"date": "2026-01-30", "name": "n", "status": "s", "reason": "r"})), ["date"]);
    assert_eq!(refused(json!({"name": 1, "status": null, "reason": "r", "by": "me"})), ["name", "status", "by"]);
    assert_eq!(refused(json!([])), ["body"]);
    appliance.send(&Request::new("PUT", &path(&id)).header("Content-Type", "application/json")).expect(400);
    appliance.send(&Request::new("PUT", &path(&id)).body("{}")).expect(415);
    let reason =
        |reason: &str| problems(appliance.send(&Request::new("DELETE", &format!("{}?reason={reason}", path(&id)))));
    for wrong in ["", "%20x", "a%00", "%ff", "%zz", "a&reason=b", &"r".repeat(501)] {
        assert_eq!(reason(wrong), ["reason"], "{wrong}");
    }
    assert_eq!(problems(appliance.send(&Request::new("DELETE", &path(&id)))), ["reason"]);
    let answer = appliance.send(&Request::new("DELETE", &format!("{}?reasn=r", path(&id)))).expect(400).text();
    assert!(answer.contains("did you mean `reason`?"), "{answer}");
    assert_eq!(problems(appliance.get(&format!("{}?x=1", path(&id)))), ["x"]);
    let body = json!({"id": id, "date": DAY, "name": "n", "status": "s", "reason": "ü".repeat(500)});
    appliance.send(&put(&path(&id), &body)).expect(200);
    assert_eq!(history(appliance, &id).len(), 2, "only the last request was stored");
}

#[test]
fn a_path_that_names_no_record_says_why() {
    let appliance = shared();
    let id = employee(appliance);
    for date in ["2026-02-30", "20260131", "2026-1-31", "31.01.2026", "latest", "2026-01-31T00:00:00", "%ff"] {
        assert_eq!(problems(appliance.get(&format!("{API}/records/{id}/{date}"))), ["date"], "{date}");
    }
    // An unencoded slash makes another path; one that is encoded twice is another id.
    appliance.get(&format!("{API}/records/a/b/{DAY}")).expect(404);
    assert_eq!(problems(appliance.get(&format!("{API}/records/a/{id}"))), ["date"]);
    create(appliance, &record(&format!("{id}/x"), "n", "s", DAY)).expect(200);
    appliance.get(&path(&format!("{id}%252Fx"))).expect(404);
    appliance.get(&path(&format!("{id}%2Fx"))).expect(200);
    appliance.get(&path(&format!("{id}%2fx"))).expect(200);
    for wrong in ["%ff", "a%00", "%", "%zz"] {
        assert_eq!(problems(appliance.get(&path(wrong))), ["id"], "{wrong}");
    }
    // A slash may belong to a parameter, so it is never a reason to redirect.
    for target in [format!("{API}/records/%2F"), format!("{API}/records%2F"), format!("{}/", path(&id))] {
        let status = appliance.get(&target).status;
        assert!([400, 404].contains(&status), "{target}: {status}");
    }
    let options = appliance.send(&Request::new("OPTIONS", &path(&id))).expect(200);
    assert_eq!(options.header("allow"), Some("DELETE, GET, HEAD, OPTIONS, PUT"));
    let refused = appliance.send(&Request::new("POST", &path(&id))).expect(405);
    assert_eq!(refused.header("allow"), options.header("allow"));
    assert!(appliance.send(&Request::new("HEAD", &path(&id))).expect(200).body.is_empty());
    appliance.get(&format!("{API}/records/")).expect(308);
}

#[test]
fn statuses_and_closed_days_are_those_of_the_configuration() {
    let config = "attendance: { statuses: [Present, Half Day], locked_before: 2026-01-31 }\n";
    let appliance = Appliance::builder().existing_cluster().config(config).start();
    let answer = create(&appliance, &record("1", "n", "present", DAY)).expect(400).text();
    assert!(answer.contains("did you mean `Present`?"), "{answer}");
    create(&appliance, &record("1", "n", "Present", DAY)).expect(200);
    let answer = correct(&appliance, "1", "Absent").expect(400).text();
    assert!(answer.contains("Present, Half Day"), "{answer}");
    correct(&appliance, "1", "Half Day").expect(200);

    let answer = create(&appliance, &record("1", "n", "Present", "2026-01-30")).expect(423).text();
    assert!(answer.contains("attendance.locked_before") && answer.contains(DAY), "{answer}");
    appliance.sql().run("INSERT INTO records VALUES ('1', 'n', 'Present', '2026-01-30')");
    let closed = format!("{API}/records/1/2026-01-30");
    appliance.send(&put(&closed, &correction("Half Day"))).expect(423);
    appliance.send(&Request::new("DELETE", &format!("{closed}?reason=r"))).expect(423);
    assert_eq!(appliance.get(&closed).expect(200).json()["status"], "Present");
    assert_eq!(appliance.sql().value("SELECT count(*) FROM record_changes"), "1");
}

#[test]
fn a_record_that_others_wrote_is_corrected_with_what_it_lacks() {
    let appliance = Appliance::builder().existing_cluster().start();
    appliance.sql().run(&format!("INSERT INTO records (id, date) VALUES ('nulls', '{DAY}')"));
    appliance.sql().run("UPDATE records SET created_at = NULL");
    correct(&appliance, "nulls", "Present").expect(200);
    let entries = history(&appliance, "nulls");
    assert_eq!(entries[0]["at"], Value::Null, "it is unknown when the record was created");
    assert_eq!(entries[1]["before"], json!({"id": "nulls", "name": null, "status": null, "date": DAY}));
}

#[test]
fn a_create_for_an_employee_of_the_directory_may_leave_the_name_out() {
    let appliance = Appliance::builder().existing_cluster().start();
    let unnamed = |id: &str| json!({"id": id, "status": "s", "date": DAY});
    let before = create(&appliance, &unnamed("1")).expect(400).text();
    assert!(before.contains(r#""details":[{"field":"name","problem":"is required"}]"#), "{before}");
    appliance.sql().run("INSERT INTO employees (id, name) VALUES ('1', 'Asha')");
    create(&appliance, &unnamed("1")).expect(200);
    assert_eq!(appliance.get(&path("1")).expect(200).json()["name"], "Asha");
    assert_eq!(create(&appliance, &unnamed("2")).expect(400).text(), before);
    let null = json!({"id": "1", "name": null, "status": "s", "date": DAY});
    create(&appliance, &null).expect(400);
    assert_eq!(problems(create(&appliance, &json!({"id": "1", "date": "x"}))), ["name", "status", "date"]);
}

#[test]
fn the_value_of_a_reason_is_not_logged() {
    let appliance = Appliance::builder().existing_cluster().start();
    create(&appliance, &record("1", "n", "s", DAY)).expect(200);
    for target in [
        format!("{}?%72eason=secretive", path("1")),
        format!("{}?reason=secretive&reason=secretive", path("1")),
        format!("{API}/search?id=1&reason=secretive"),
    ] {
        appliance.send(&Request::new("DELETE", &target).header("X-Request-Id", "logged"));
    }
    let line = appliance.access("logged");
    assert!(line["request"].as_str().is_some_and(|request| request.contains("eason=…")), "{line}");
    assert!(appliance.stdout_lines().iter().all(|line| !line.contains("secretive")));
}
