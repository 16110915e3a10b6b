//! Lists of records with their creation, and of changes.

use serde_json::{Value, json};

use crate::support::{API, Appliance, Request, Response, create, record};

fn array(answer: &Response) -> Vec<Value> {
    answer.json().as_array().expect("a list is an array").clone()
}

/// All pages of a list, from its first one.
fn pages(appliance: &Appliance, target: &str) -> Vec<Vec<Value>> {
    let (mut target, mut pages) = (Some(target.to_owned()), Vec::new());
    while let Some(current) = target {
        assert!(pages.len() < 100, "the list ends");
        let answer = appliance.get(&current).expect(200);
        target = answer.header("link").map(|link| {
            link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("a link").to_owned()
        });
        pages.push(array(&answer));
    }
    pages
}

fn ids(records: &[Value]) -> Vec<String> {
    records
        .iter()
        .map(|record| format!("{}/{}", record["id"].as_str().unwrap(), &record["date"].as_str().unwrap()[8..]))
        .collect()
}

fn with_records() -> Appliance {
    let appliance = Appliance::builder().existing_cluster().start();
    for (id, status, day) in [
        ("b", "Present", "2026-01-02"),
        ("a", "Present", "2026-01-03"),
        ("a", "Absent", "2026-01-01"),
        ("c", "Absent", "2026-01-02"),
    ] {
        create(&appliance, &record(id, &format!("name {id}"), status, day)).expect(200);
    }
    let sql = appliance.sql();
    sql.run("INSERT INTO employees (id, name, department) VALUES ('a', 'name a', 'Sales'), ('c', 'name c', 'IT')");
    // As an older version left it, and as other programs may have.
    sql.run("INSERT INTO records (id, name, status, date, created_at) VALUES ('old', 'n', 's', '2025-12-31', NULL), ('old', 'n', 's', '2025-12-30', NULL)");
    sql.run("INSERT INTO records (id, name, status, date) VALUES ('old', 'n', 's', NULL)");
    appliance
}

#[test]
fn records_are_filtered_ordered_and_paged_by_key() {
    let appliance = with_records();
    let list = |query: &str| array(&appliance.get(&format!("{API}/records{query}")).expect(200));
    let all = list("");
    assert_eq!(ids(&all), ["a/01", "a/03", "b/02", "c/02", "old/30", "old/31"]);
    let keys: Vec<&String> = all[0].as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 6, "{keys:?}");
    assert!(all[0]["created_at"].as_str().is_some_and(|at| at.ends_with('Z')) && all[0]["created_by"].is_null());
    assert!(all[5]["created_at"].is_null());
    for (query, expected) in [
        ("?id=a", vec!["a/01", "a/03"]),
        ("?status=Absent", vec!["a/01", "c/02"]),
        ("?name=name%20b", vec!["b/02"]),
        ("?department=Sales", vec!["a/01", "a/03"]),
        ("?from=2026-01-02&to=2026-01-02", vec!["b/02", "c/02"]),
        ("?from=2026-01-02&status=Absent&department=IT&id=c", vec!["c/02"]),
        ("?id=absent", vec![]),
        ("?order=created", vec!["c/02", "a/01", "a/03", "b/02", "old/30", "old/31"]),
        ("?order=created&status=Present", vec!["a/03", "b/02"]),
    ] {
        assert_eq!(ids(&list(query)), expected, "{query}");
    }
    for order in ["id", "created"] {
        let whole = list(&format!("?order={order}"));
        for limit in 1..=7 {
            let pages = pages(&appliance, &format!("{API}/records?order={order}&limit={limit}"));
            assert!(pages.iter().rev().skip(1).all(|page| page.len() == limit), "{order} {limit}");
            assert_eq!(pages.concat(), whole, "{order} {limit}");
        }
    }
    let first = appliance.get(&format!("{API}/records?limit=2")).expect(200);
    let tag = first.header("etag").expect("a list has a tag");
    appliance.send(&Request::get(&format!("{API}/records?limit=2")).header("If-None-Match", tag)).expect(304);
}

#[test]
fn a_query_that_may_mean_something_else_is_refused() {
    let appliance = Appliance::builder().existing_cluster().start();
    let refused = |target: &str| appliance.get(&format!("{API}{target}")).expect(400).text();
    for (target, parts) in [
        ("/records?form=2026-01-01", vec!["\"form\"", "did you mean `from`?"]),
        ("/records?from=2026-02-01&to=2026-01-01", vec!["2026-01-01 is before 2026-02-01"]),
        ("/records?from=2026-02-30", vec!["`2026-02-30` is not a day"]),
        ("/records?from=20260201&limit=0", vec!["`20260201` is not a day", "from 1 to 1000"]),
        ("/records?limit=1001", vec!["from 1 to 1000"]),
        ("/records?order=name", vec!["one of id, created"]),
        ("/records?id=1&id=2", vec!["more than once"]),
        ("/records?id=%00", vec!["NUL"]),
        ("/records?after=x", vec!["not a cursor of ours"]),
        ("/changes?to=yesterday", vec!["`yesterday` is not a time"]),
        ("/changes?from=2026-01-02&to=2026-01-01", vec!["must not be before `from`"]),
        ("/changes?department=x", vec!["which has from, to, id, by, limit, after"]),
        ("/changes?after=eyJ0IjoiYSJ9", vec!["not a cursor of ours"]),
    ] {
        let answer = refused(target);
        assert!(parts.iter().all(|part| answer.contains(part)), "{target}: {answer}");
    }
    // A cursor of one order is none of the other.
    create(&appliance, &record("1", "n", "s", "2026-01-01")).expect(200);
    create(&appliance, &record("1", "n", "s", "2026-01-02")).expect(200);
    let link = appliance.get(&format!("{API}/records?order=created&limit=1")).expect(200);
    let link = link.header("link").expect("there is a next page").to_owned();
    let cursor = link.split("after=").nth(1).and_then(|rest| rest.split('>').next()).unwrap();
    assert!(refused(&format!("/records?order=id&after={cursor}")).contains("cursor"));
}

#[test]
fn changes_are_listed_newest_first_and_paged() {
    let appliance = with_records();
    let put = |id: &str, day: &str, status: &str| {
        let body = json!({"name": "n", "status": status, "reason": status});
        let request = Request::new("PUT", &format!("{API}/records/{id}/{day}"));
        appliance.send(&request.header("Content-Type", "application/json").body(body.to_string())).expect(200);
    };
    let list = |query: &str| array(&appliance.get(&format!("{API}/changes{query}")).expect(200));
    assert_eq!(list(""), Vec::<Value>::new());
    put("a", "2026-01-01", "first");
    put("b", "2026-01-02", "second");
    let middle = list("")[0]["at"].as_str().unwrap().to_owned();
    put("a", "2026-01-01", "third");
    appliance.send(&Request::new("DELETE", &format!("{API}/records/a/2026-01-01?reason=fourth"))).expect(204);
    let reasons = |changes: &[Value]| -> Vec<String> {
        changes.iter().map(|change| change["reason"].as_str().unwrap_or("none").to_owned()).collect()
    };
    assert_eq!(reasons(&list("")), ["fourth", "third", "second", "first"]);
    assert_eq!(reasons(&list("?id=b")), ["second"]);
    assert_eq!(reasons(&list(&format!("?from={middle}"))), ["fourth", "third", "second"]);
    assert_eq!(reasons(&list(&format!("?to={middle}"))), ["second", "first"]);
    assert_eq!(list("?by=someone").len(), 0);
    assert_eq!(list("?from=2020-01-01&to=2020-01-01").len(), 0);
    let entry = &list("?id=b")[0];
    assert_eq!(
        (&entry["id"], &entry["date"], &entry["action"]),
        (&json!("b"), &json!("2026-01-02"), &json!("corrected"))
    );
    assert_eq!(entry["after"], json!({"id": "b", "name": "n", "status": "second", "date": "2026-01-02"}));
    for limit in 1..=5 {
        assert_eq!(pages(&appliance, &format!("{API}/changes?limit={limit}")).concat(), list(""), "{limit}");
    }
    appliance.send(&Request::new("DELETE", &format!("{API}/employees/a/data?reason=asked"))).expect(200);
    let newest = &list("")[0];
    assert_eq!(newest["action"], "erased");
    assert_eq!(newest["before"], json!({"records": 1, "changes": 3, "employees": 1}));
    for field in ["id", "date", "after", "reason", "by", "address", "request_id"] {
        assert!(newest[field].is_null(), "{field}: {newest}");
    }
    assert_eq!(reasons(&list("")), ["none", "second"]);
}
