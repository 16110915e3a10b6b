//! `GET /sheet` and `GET /summary`: the contract, paging, caching and bad input. (`views_exact.rs` compares contents.)

use serde_json::{Value, json};

use crate::support::{API, Appliance, Request, create, record, shared, shared_postgres, unique};

/// The problems of a request that is answered with 400, as `field problem`.
fn problems(target: &str) -> Vec<String> {
    let answer = shared().get(target).expect(400).json();
    assert_eq!(answer["message"], "Some query parameters cannot be used: see details.");
    let details = answer["details"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let text =
        |detail: &Value| format!("{} {}", detail["field"].as_str().unwrap(), detail["problem"].as_str().unwrap());
    details.iter().map(text).collect()
}

fn put(appliance: &Appliance, target: &str, body: &Value) -> u16 {
    let request = Request::new("PUT", &format!("{API}{target}")).header("Content-Type", "application/json");
    appliance.send(&request.body(body.to_string())).status
}

#[test]
fn a_sheet_has_the_form_of_the_contract() {
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).start();
    for (id, name, status, date) in [
        ("1", "Asha", "Present", "2026-01-29"),
        ("1", "Asha", "Absent", "2026-01-30"),
        ("1", "Asha", "Present", "2026-02-03"),
        ("2", "Bela", "Present", "2026-02-03"),
        ("2", "Bela ü", "Present", "2026-02-04"),
    ] {
        create(&appliance, &record(id, name, status, date)).expect(200);
    }
    let employee = json!({"name": "Asha Rao", "department": "Sales", "joined_on": "2026-01-30"});
    assert_eq!(put(&appliance, "/employees/1", &employee), 201);
    assert_eq!(put(&appliance, "/employees/3", &json!({"name": "Chandra", "left_on": "2026-01-30"})), 201);
    assert_eq!(put(&appliance, "/employees/4", &json!({"name": "Gone", "left_on": "2026-01-29"})), 201);
    assert_eq!(put(&appliance, "/calendar/2026-01-31", &json!({"kind": "workday", "name": "Stocktaking"})), 201);
    assert_eq!(put(&appliance, "/calendar/2026-02-02", &json!({"kind": "holiday"})), 201);
    let answer = appliance.get(&format!("{API}/sheet?from=2026-01-30&to=2026-02-03")).expect(200);
    let expected = concat!(
        r#"{"from":"2026-01-30","to":"2026-02-03","days":[{"date":"2026-01-30","kind":"workday","name":null},"#,
        r#"{"date":"2026-01-31","kind":"workday","name":"Stocktaking"},{"date":"2026-02-01","kind":"weekend","name":null},"#,
        r#"{"date":"2026-02-02","kind":"holiday","name":null},{"date":"2026-02-03","kind":"workday","name":null}],"#,
        r#""employees":[{"id":"1","name":"Asha Rao","department":"Sales","days":["Absent",null,null,null,"Present"],"#,
        r#""totals":{"Absent":1,"Present":1},"unrecorded":1},"#,
        r#"{"id":"2","name":"Bela \u00fc","department":null,"days":[null,null,null,null,"Present"],"totals":{"Present":1},"unrecorded":2},"#,
        r#"{"id":"3","name":"Chandra","department":null,"days":[null,null,null,null,null],"totals":{},"unrecorded":1}]}"#,
        "\n"
    );
    assert_eq!(answer.text(), expected);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!((answer.header("cache-control"), answer.header("link")), (Some("no-cache"), None));
    let etag = answer.header("etag").expect("an entity tag").to_owned();
    let target = format!("{API}/sheet?from=2026-01-30&to=2026-02-03");
    let unchanged = appliance.send(&Request::get(&target).header("If-None-Match", &etag));
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    let head = appliance.send(&Request::new("HEAD", &target));
    assert_eq!(head.header("content-length"), Some(expected.len().to_string().as_str()));
    assert_eq!(appliance.send(&Request::new("OPTIONS", &target)).header("allow"), Some("GET, HEAD, OPTIONS"));
    let refused = appliance.send(&Request::new("PUT", &target));
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    let clean = appliance.get(&format!("{API}/sheet/?from=2026-01-30"));
    assert_eq!((clean.status, clean.header("location")), (308, Some(&*format!("{API}/sheet?from=2026-01-30"))));
    let summary = appliance.get(&format!("{API}/summary?by=week&from=2026-01-30")).expect(200);
    let expected = concat!(
        r#"{"groups":[{"key":"2026-W05","counts":{"Absent":1},"total":1},"#,
        r#"{"key":"2026-W06","counts":{"Present":3},"total":3}]}"#,
        "\n"
    );
    assert_eq!(summary.text(), expected);
    assert_eq!(appliance.get(&format!("{API}/summary?by=day&id=none")).expect(200).text(), "{\"groups\":[]}\n");
}

#[test]
fn the_date_format_and_the_charset_are_those_of_the_configuration() {
    let database = shared_postgres().create_database();
    let config = "api: { date_format: http, ascii: false }\n";
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).config(config).start();
    create(&appliance, &record("ü", "Zoë", "s", "2026-01-30")).expect(200);
    let text = appliance.get(&format!("{API}/sheet?from=2026-01-30&to=2026-01-30")).expect(200).text();
    assert!(
        text.starts_with(r#"{"from":"Fri, 30 Jan 2026 00:00:00 GMT","#) && text.contains(r#""id":"ü","name":"Zoë""#),
        "{text}"
    );
    // A key is not a date: it is what it is in every format.
    let text = appliance.get(&format!("{API}/summary?by=day")).expect(200).text();
    assert!(text.contains(r#""key":"2026-01-30""#), "{text}");
}

#[test]
fn a_page_links_to_the_next_one_with_its_filters() {
    let status = unique("link&ü");
    let prefix = unique("link");
    for number in 0..3 {
        create(shared(), &record(&format!("{prefix}-{number}"), "n", &status, "2026-01-30")).expect(200);
    }
    let encoded = status.replace('&', "%26").replace('ü', "%C3%BC");
    for (target, list) in [
        (format!("{API}/sheet?from=2026-01-01&to=2026-01-31&status={encoded}&limit=2"), "employees"),
        (format!("{API}/summary?by=employee&status={encoded}&limit=2"), "groups"),
    ] {
        let first = shared().get(&target).expect(200);
        let link = first.header("link").expect("a next page");
        let next =
            link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("<…>; rel=\"next\"");
        assert!(next.starts_with(&target), "{next}");
        let second = shared().get(next).expect(200);
        assert_eq!((second.json()[list].as_array().unwrap().len(), second.header("link")), (1, None));
    }
}

#[test]
fn bad_parameters_are_named_with_their_remedy() {
    for (query, expected) in [
        ("", vec!["from is required", "to is required"]),
        ("?from=2026-01-01&to=", vec!["to must not be empty"]),
        ("?from=2026-01-02&to=2026-01-01", vec!["to must not be before `from`: 2026-01-01 is before 2026-01-02"]),
        (
            "?from=2026-01-01&to=2027-01-02",
            vec!["to is 367 days after the first day, and a sheet has at most 366 days: ask for a shorter range"],
        ),
        ("?from=2026-02-30&to=2026-03-01", vec!["from `2026-02-30` is not a day: write YYYY-MM-DD"]),
        (
            "?from=today&to=20260301",
            vec!["from `today` is not a day: write YYYY-MM-DD", "to `20260301` is not a day: write YYYY-MM-DD"],
        ),
        (
            "?from=0000-01-01&to=10000-01-01",
            vec!["from `0000-01-01` is not a day: write YYYY-MM-DD", "to `10000-01-01` is not a day: write YYYY-MM-DD"],
        ),
        (
            "?form=2026-01-01&from=2026-01-01&to=2026-01-01",
            vec!["form is not a parameter of this resource; did you mean `from`?"],
        ),
        ("?from=2026-01-01&from=2026-01-01&to=2026-01-01", vec!["from is given more than once"]),
        ("?from=2026-01-01&to=2026-01-01&limit=0", vec!["limit `0` is not a number from 1 to 1000"]),
        ("?from=2026-01-01&to=2026-01-01&limit=1001", vec!["limit `1001` is not a number from 1 to 1000"]),
        (
            "?from=2026-01-01&to=2026-01-01&after=x",
            vec!["after `x` is not a cursor of ours: take it from the Link header of the page before"],
        ),
    ] {
        assert_eq!(problems(&format!("{API}/sheet{query}")), expected, "{query}");
    }
    for (query, expected) in [
        ("", vec!["by is required"]),
        ("?by=year", vec!["by `year` is not one of day, week, month, employee, department, status"]),
        (
            "?by=day&from=2026-01-02&to=2026-01-01",
            vec!["to must not be before `from`: 2026-01-01 is before 2026-01-02"],
        ),
        ("?by=day&departement=x", vec!["departement is not a parameter of this resource; did you mean `department`?"]),
        ("?by=day&limit=10001", vec!["limit `10001` is not a number from 1 to 10000"]),
        // A cursor of another kind of summary.
        (
            "?by=day&after=eyJ0IjoiYSJ9",
            vec!["after `eyJ0IjoiYSJ9` is not a cursor of ours: take it from the Link header of the page before"],
        ),
        (
            "?by=employee&after=eyJkIjoxfQ",
            vec!["after `eyJkIjoxfQ` is not a cursor of ours: take it from the Link header of the page before"],
        ),
    ] {
        assert_eq!(problems(&format!("{API}/summary{query}")), expected, "{query}");
    }
    // A leap year has 366 days.
    shared().get(&format!("{API}/sheet?from=2024-01-01&to=2024-12-31&id=none")).expect(200);
    for from_first_to_last in ["from=0001-01-01&to=0001-12-31", "from=9999-01-01&to=9999-12-31"] {
        shared().get(&format!("{API}/sheet?{from_first_to_last}&id=none")).expect(200);
    }
}

/// Texts that only other programs can have stored do not make a page of a sheet, or a group of a summary, larger than memory allows.
#[test]
fn long_texts_end_a_page_early_and_too_many_statuses_are_refused() {
    let database = shared_postgres().create_database();
    let config = "redis: { mode: off }\n";
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).config(config).start();
    shared_postgres().sql(&database).run(
        "INSERT INTO records SELECT 'e' || employee, 'n', repeat('x', 60000), '2026-01-01'::date + day \
         FROM generate_series(1, 6) AS employee, generate_series(0, 29) AS day; \
         INSERT INTO records SELECT 'many' || number, 'n', number || repeat('y', 2000), '2025-01-01' FROM generate_series(1, 3000) AS number",
    );
    let (mut target, mut ids, mut pages) = (format!("{API}/sheet?from=2026-01-01&to=2026-01-31"), Vec::new(), 0);
    loop {
        let page = appliance.get(&target).expect(200);
        assert!(page.body.len() < 8 * 1024 * 1024);
        pages += 1;
        ids.extend(page.json()["employees"].as_array().unwrap().iter().map(|row| row["id"].clone()));
        let Some(link) = page.header("link") else { break };
        target = link[1..link.find('>').unwrap()].to_owned();
    }
    assert_eq!((ids, pages > 1), ((1..=6).map(|number| json!(format!("e{number}"))).collect(), true));
    let refused = appliance.get(&format!("{API}/summary?by=month")).expect(400).json();
    assert!(refused["message"].as_str().unwrap().contains("too many different statuses"), "{refused}");
    let groups = appliance.get(&format!("{API}/summary?by=status&from=2025-01-01&to=2025-01-01&limit=10")).expect(200);
    assert_eq!(groups.json()["groups"].as_array().unwrap().len(), 10);
}
