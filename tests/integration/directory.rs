//! The directory of employees and the calendar: the contract, bad input, and the strict directory.

use serde_json::{Value, json};

use crate::support::{API, Appliance, Request, Response, create, record, shared, shared_postgres, unique};

fn put(appliance: &Appliance, target: &str, body: &Value) -> Response {
    let request = Request::new("PUT", &format!("{API}{target}")).header("Content-Type", "application/json");
    appliance.send(&request.body(body.to_string()))
}

fn delete(appliance: &Appliance, target: &str) -> Response {
    appliance.send(&Request::new("DELETE", &format!("{API}{target}")))
}

/// The problems of an answer, as `field problem`.
fn problems(answer: &Response) -> Vec<String> {
    let answer = answer.clone().expect(400).json();
    let text =
        |detail: &Value| format!("{} {}", detail["field"].as_str().unwrap(), detail["problem"].as_str().unwrap());
    answer["details"].as_array().unwrap_or_else(|| panic!("{answer}")).iter().map(text).collect()
}

fn ids(appliance: &Appliance, query: &str) -> Vec<String> {
    let answer = appliance.get(&format!("{API}/employees?{query}")).expect(200).json();
    answer.as_array().unwrap().iter().map(|employee| employee["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_employee_is_added_read_replaced_and_removed() {
    let id = unique("life");
    let target = format!("/employees/{id}");
    shared().get(&format!("{API}{target}")).expect(404);
    let added = put(shared(), &target, &json!({"name": "Asha ü", "department": "Sales", "joined_on": "2026-01-01"}));
    assert_eq!((added.status, added.header("cache-control")), (201, Some("no-store")));
    let body = added.json();
    let start = format!(
        r#"{{"id":"{id}","name":"Asha \u00fc","department":"Sales","joined_on":"2026-01-01","left_on":null,"updated_at":""#
    );
    assert!(added.text().starts_with(&start), "{}", added.text());
    let found = shared().get(&format!("{API}{target}")).expect(200);
    assert_eq!((found.json(), found.header("etag")), (body.clone(), added.header("etag")));
    assert_eq!(found.header("cache-control"), Some("no-cache"));
    let etag = found.header("etag").expect("an entity tag").to_owned();
    let unchanged = shared().send(&Request::get(&format!("{API}{target}")).header("If-None-Match", &etag));
    assert_eq!(unchanged.status, 304);
    // The row is replaced as a whole.
    let replaced =
        put(shared(), &target, &json!({"id": id, "name": "Asha Rao", "left_on": "2026-06-30"})).expect(200).json();
    assert_eq!(
        (&replaced["department"], &replaced["joined_on"], &replaced["left_on"]),
        (&Value::Null, &Value::Null, &json!("2026-06-30"))
    );
    assert!(replaced["updated_at"].as_str() > body["updated_at"].as_str());
    let removed = delete(shared(), &target);
    assert_eq!((removed.status, removed.body.len()), (204, 0));
    assert_eq!(delete(shared(), &target).expect(404).json()["message"], "The directory has no such employee.");
    let options = shared().send(&Request::new("OPTIONS", &format!("{API}{target}")));
    assert_eq!(options.header("allow"), Some("DELETE, GET, HEAD, OPTIONS, PUT"));
}

#[test]
fn employees_are_listed_by_id_and_found_by_every_filter() {
    let department = unique("list");
    for (id, name, joined, left) in [
        ("a", "Asha Rao", Value::Null, Value::Null),
        ("b", "Bela 100% _x", json!("2026-01-10"), Value::Null),
        ("c", "Chandra", Value::Null, json!("2026-01-10")),
        ("d", "Dev Rao", json!("2026-01-11"), json!("2026-01-11")),
    ] {
        let body = json!({"name": name, "department": department, "joined_on": joined, "left_on": left});
        put(shared(), &format!("/employees/{department}-{id}"), &body).expect(201);
    }
    let found = |query: &str| -> Vec<String> {
        let ids = ids(shared(), &format!("department={department}{query}"));
        ids.iter().map(|id| id.trim_start_matches(&format!("{department}-")).to_owned()).collect()
    };
    assert_eq!(found(""), ["a", "b", "c", "d"]);
    assert_eq!(found("&q=rao"), ["a", "d"]);
    assert_eq!(found("&q=100%25%20_"), ["b"]);
    assert_eq!(found("&q=%25"), ["b"]);
    assert_eq!(found(&format!("&q={}-C", department.to_uppercase())), ["c"]);
    assert_eq!(found("&active_on=2026-01-10"), ["a", "b", "c"]);
    assert_eq!(found("&active_on=2026-01-11"), ["a", "b", "d"]);
    let (mut target, mut all, mut pages) = (format!("{API}/employees?department={department}&limit=3"), Vec::new(), 0);
    loop {
        let page = shared().get(&target).expect(200);
        all.extend(page.json().as_array().unwrap().clone());
        pages += 1;
        let Some(link) = page.header("link") else { break };
        target = link[1..link.find('>').unwrap()].to_owned();
    }
    assert_eq!((all.len(), pages), (4, 2));
    assert_eq!(shared().get(&format!("{API}/employees?department=none")).expect(200).text(), "[]\n");
}

/// An id may contain whatever a record's may; a path is decoded once.
#[test]
fn an_id_is_one_segment_of_the_path() {
    let prefix = unique("path");
    for (segment, id) in
        [("a%2Fb", "a/b"), ("a%252Fb", "a%2Fb"), ("%C3%BC%20x", "ü x"), ("a+b", "a+b"), ("%3F%23", "?#"), ("..", "..")]
    {
        let id = format!("{prefix}{id}");
        let target = format!("/employees/{prefix}{segment}");
        assert_eq!(put(shared(), &target, &json!({"name": "n", "id": id})).expect(201).json()["id"], json!(id));
        assert_eq!(shared().get(&format!("{API}{target}")).expect(200).json()["id"], json!(id));
        assert_eq!(delete(shared(), &target).status, 204);
    }
    // Clients that resolve dots never send these two; the server takes them as they are.
    for dots in [".", ".."] {
        shared().get(&format!("{API}/employees/{dots}")).expect(404);
    }
    shared().get(&format!("{API}/employees/a/b")).expect(404);
    for segment in ["%ff", "%00", "a%", "%zz"] {
        let answer = shared().get(&format!("{API}/employees/{segment}"));
        assert!(problems(&answer)[0].starts_with("id "), "{segment}");
    }
}

#[test]
fn a_bad_employee_is_refused_with_every_problem() {
    let target = format!("/employees/{}", unique("bad"));
    for (body, expected) in [
        (json!({}), vec!["name is required"]),
        (json!([]), vec!["body must be a JSON object with name, department, joined_on and left_on, not an array"]),
        (
            json!({"name": "", "department": " x"}),
            vec!["name must not be empty", "department must not begin or end with white space"],
        ),
        (json!({"name": "n".repeat(257)}), vec!["name must have at most 256 characters"]),
        (
            json!({"name": "n", "joined_on": "2026-02-30"}),
            vec!["joined_on `2026-02-30` is not a day: write YYYY-MM-DD"],
        ),
        (
            json!({"name": "n", "joined_on": "2026-02-02", "left_on": "2026-02-01"}),
            vec!["left_on is before `joined_on`: 2026-02-01 is before 2026-02-02"],
        ),
        (json!({"name": "n", "role": "x"}), vec!["role is not a field of an employee"]),
    ] {
        let answer = put(shared(), &target, &body);
        assert_eq!(problems(&answer), expected, "{body}");
        assert_eq!(answer.json()["error"], "Validation Error");
    }
    let other = put(shared(), &target, &json!({"id": "other", "name": "n"}));
    assert!(problems(&other)[0].starts_with("id differs from the path"));
    let long = put(shared(), &format!("/employees/{}", "x".repeat(129)), &json!({"name": "n"}));
    assert_eq!(problems(&long), ["id must have at most 128 characters"]);
    assert_eq!(
        problems(&put(shared(), &format!("{target}?force=1"), &json!({"name": "n"}))),
        ["force is not a parameter: this resource has none"]
    );
    let untyped = shared().send(&Request::new("PUT", &format!("{API}{target}")).body("{}"));
    assert_eq!(untyped.status, 415);
    shared().get(&format!("{API}{target}")).expect(404);
    for (query, expected) in [
        ("?dept=x", "dept is not a parameter of this resource, which has q, department, active_on, limit, after"),
        ("?activ_on=2026-01-01", "activ_on is not a parameter of this resource; did you mean `active_on`?"),
        ("?active_on=2026-02-30", "active_on `2026-02-30` is not a day: write YYYY-MM-DD"),
        ("?limit=1001", "limit `1001` is not a number from 1 to 1000"),
    ] {
        assert_eq!(problems(&shared().get(&format!("{API}/employees{query}"))), [expected]);
    }
}

#[test]
fn a_day_of_the_calendar_is_added_listed_replaced_and_removed() {
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).start();
    let added = put(&appliance, "/calendar/2026-08-15", &json!({"kind": "holiday", "name": "Independence Day"}));
    assert_eq!(
        added.expect(201).text(),
        "{\"date\":\"2026-08-15\",\"kind\":\"holiday\",\"name\":\"Independence Day\"}\n"
    );
    let replaced = put(&appliance, "/calendar/2026-08-15", &json!({"date": "2026-08-15", "kind": "workday"}));
    assert_eq!(replaced.expect(200).text(), "{\"date\":\"2026-08-15\",\"kind\":\"workday\",\"name\":null}\n");
    put(&appliance, "/calendar/0001-01-01", &json!({"kind": "holiday"})).expect(201);
    put(&appliance, "/calendar/9999-12-31", &json!({"kind": "holiday"})).expect(201);
    let dates = |query: &str| -> Vec<Value> {
        let days = appliance.get(&format!("{API}/calendar{query}")).expect(200).json();
        days.as_array().unwrap().iter().map(|day| day["date"].clone()).collect()
    };
    assert_eq!(dates(""), ["0001-01-01", "2026-08-15", "9999-12-31"]);
    assert_eq!(dates("?from=2026-08-15&to=2026-08-15"), ["2026-08-15"]);
    let first = appliance.get(&format!("{API}/calendar?limit=2")).expect(200);
    let next = first.header("link").map(|link| link[1..link.find('>').unwrap()].to_owned()).expect("a next page");
    assert_eq!(appliance.get(&next).expect(200).json()[0]["date"], "9999-12-31");
    assert_eq!(delete(&appliance, "/calendar/2026-08-15").status, 204);
    delete(&appliance, "/calendar/2026-08-15").expect(404);
    for path in ["2026-02-30", "20260815", "today", "2026-08-15T00:00:00", "2026%2F08%2F15"] {
        let answer = put(&appliance, &format!("/calendar/{path}"), &json!({"kind": "holiday"}));
        assert!(problems(&answer)[0].starts_with("date `"), "{path}");
    }
    for (body, expected) in [
        (json!({"kind": "weekend"}), "kind `weekend` is not one of holiday, workday"),
        (
            json!({"kind": "holiday", "date": "2026-08-16"}),
            "date differs from the path, which has `2026-08-15`: leave it out",
        ),
        (json!({"kind": "holiday", "title": "x"}), "title is not a field of a day of the calendar"),
    ] {
        assert_eq!(problems(&put(&appliance, "/calendar/2026-08-15", &body)), [expected]);
    }
    assert_eq!(
        problems(&appliance.get(&format!("{API}/calendar?form=2026-01-01"))),
        ["form is not a parameter of this resource; did you mean `from`?"]
    );
    assert_eq!(dates(""), ["0001-01-01", "9999-12-31"], "nothing was stored");
}

#[test]
fn a_strict_directory_refuses_records_of_unknown_employees_until_it_is_switched_off() {
    let database = shared_postgres().create_database();
    let builder = || Appliance::builder().postgres(shared_postgres(), &database);
    let strict = || builder().config("employees: { strict: true }\n").start();
    let sql = shared_postgres().sql(&database);
    let mut lax = builder().start();
    create(&lax, &record("earlier", "n", "Present", "2026-01-30")).expect(200);
    lax.stop();
    let mut appliance = strict();
    let change = appliance
        .logged("employees.strict has changed for this database: every other instance on it needs the same setting");
    assert_eq!(change.len(), 1, "a change of the setting is logged");
    assert_eq!(
        sql.value("SELECT convalidated FROM pg_constraint WHERE conname = 'attendance_api_strict_directory'"),
        "f"
    );
    let refused = create(&appliance, &record("new", "n", "Present", "2026-01-30")).expect(400).json();
    assert_eq!(refused["error"], "Validation Error");
    assert!(refused["message"].as_str().unwrap().contains("employees.strict"), "{refused}");
    assert_eq!(refused["details"][0]["field"], "id");
    // A batch in which one is unknown stores the others.
    put(&appliance, "/employees/new", &json!({"name": "Asha"})).expect(201);
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let post = |number: usize| {
            let id = if number.is_multiple_of(2) { "new" } else { "unknown" };
            create(&appliance, &record(id, "n", "Present", &format!("2026-03-{:02}", number + 1))).status
        };
        let threads: Vec<_> = (0..20).map(|number| scope.spawn(move || post(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(
        answers.iter().enumerate().all(|(number, status)| *status == if number % 2 == 0 { 200 } else { 400 }),
        "{answers:?}"
    );
    let kept = delete(&appliance, "/employees/new").expect(409).json();
    assert!(kept["message"].as_str().unwrap().contains("has records"), "{kept}");
    put(&appliance, "/employees/unused", &json!({"name": "n"})).expect(201);
    assert_eq!(delete(&appliance, "/employees/unused").status, 204);
    // Other programs are refused, too.
    assert!(sql.try_run("INSERT INTO records VALUES ('stranger', 'n', 's', '2026-01-01')").is_err());
    // What was there before stays, and is read.
    appliance.get(&format!("{API}/search?id=earlier")).expect(200);
    appliance.stop();
    let again = strict();
    assert!(
        again
            .logged("employees.strict has changed for this database: every other instance on it needs the same setting")
            .is_empty()
    );
    drop(again);
    let lax = builder().start();
    create(&lax, &record("new2", "n", "Present", "2026-01-30")).expect(200);
    assert_eq!(delete(&lax, "/employees/new").status, 204);
}

/// The managed PostgreSQL has a role for requests that may not change the tables; the foreign key works with it.
#[test]
fn a_strict_directory_works_with_the_managed_postgresql() {
    let appliance = Appliance::builder().existing_cluster().config("employees: { strict: true }\n").start();
    create(&appliance, &record("1", "n", "Present", "2026-01-30")).expect(400);
    put(&appliance, "/employees/1", &json!({"name": "Asha"})).expect(201);
    create(&appliance, &record("1", "n", "Present", "2026-01-30")).expect(200);
    delete(&appliance, "/employees/1").expect(409);
}

#[test]
fn a_setting_that_is_wrong_is_named_at_the_start() {
    for (config, expected) in [
        ("attendance: { time_zone: Mars/Olympus }\n", "Mars/Olympus"),
        ("attendance: { weekly_off: [caturday] }\n", "caturday"),
        ("employees: { strict: yes }\n", "true or false"),
    ] {
        let run = Appliance::builder().config(config).finish().expect(78);
        assert!(run.stderr.contains(expected), "{}", run.output());
    }
}
