//! `GET /search`: one employee's record.

use crate::support::{API, Request, create, record, shared, unique};

const NO_ID: &str = "Unable to process request, please check query params ";

fn search(query: &str) -> crate::support::Response {
    shared().get(&format!("{API}/search{query}"))
}

#[test]
fn the_answer_is_compact_json_in_the_order_of_the_contract() {
    let id = unique("search");
    create(shared(), &record(&id, "One", "Present", "2023-08-01")).expect(200);
    let answer = search(&format!("?id={id}")).expect(200);
    let expected = format!("{{\"id\":\"{id}\",\"name\":\"One\",\"status\":\"Present\",\"date\":\"2023-08-01\"}}\n");
    assert_eq!(answer.text(), expected);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
}

#[test]
fn the_latest_record_by_date_is_found_in_any_order_of_creates() {
    let id = unique("latest");
    for (date, status) in [("2023-08-02", "b"), ("2024-01-01", "newest"), ("1999-12-31", "a")] {
        create(shared(), &record(&id, "n", status, date)).expect(200);
    }
    assert_eq!(search(&format!("?id={id}")).expect(200).json()["status"], "newest");
}

#[test]
fn the_date_parameter_accepts_every_form_of_a_create() {
    let id = unique("dated");
    create(shared(), &record(&id, "n", "first", "2023-08-01")).expect(200);
    create(shared(), &record(&id, "n", "second", "2023-08-02")).expect(200);
    let forms =
        ["2023-08-01", "20230801", "2023/08/01", "2023-08-01T10:00:00Z", "Tue,%2001%20Aug%202023%2000:00:00%20GMT"];
    for date in forms {
        let found = search(&format!("?id={id}&date={date}")).expect(200).json();
        assert_eq!(found, record(&id, "n", "first", "2023-08-01"), "{date}");
    }
    search(&format!("?id={id}&date=2023-08-03")).expect(404);
    let wrong = search(&format!("?id={id}&date=01/08/2023")).expect(400).json();
    assert_eq!(wrong["details"][0]["field"], "date", "{wrong}");
}

#[test]
fn a_missing_id_is_answered_with_the_message_of_the_reference() {
    for query in ["", "?", "?id=", "?id", "?ID=1", "?name=One", "?id=&id=2", "?foo=bar"] {
        let answer = search(query).expect(400).json();
        assert_eq!(answer["message"], NO_ID, "{query}");
        assert!(answer["error"].is_string(), "{query}");
    }
}

#[test]
fn an_unknown_employee_is_404() {
    for id in ["nope", "1,2", "%20x", "%zz", "%ff", &"z".repeat(3_900)] {
        let answer = search(&format!("?id={}{id}", unique("unknown"))).expect(404).json();
        assert!(answer["error"].is_string() && answer["message"].is_string(), "{answer}");
    }
}

#[test]
fn the_first_id_wins_and_unknown_parameters_are_ignored() {
    let (one, two) = (unique("first"), unique("second"));
    create(shared(), &record(&one, "One", "s", "2023-08-01")).expect(200);
    create(shared(), &record(&two, "Two", "s", "2023-08-01")).expect(200);
    assert_eq!(search(&format!("?id={one}&id={two}")).expect(200).json()["name"], "One");
    assert_eq!(search(&format!("?foo=bar&id={two}")).expect(200).json()["name"], "Two");
    search(&format!("?id={one};id={two}")).expect(404);
}

#[test]
fn the_query_is_decoded_like_a_form() {
    let tag = unique("decode");
    let cases = [
        ("a b", "a%20b"),
        ("a b2", "a+b2"),
        ("a+b", "a%2Bb"),
        ("ü", "%C3%BC"),
        ("a%b", "a%25b"),
        ("a%b2", "a%b2"),
        ("x&y", "x%26y"),
        ("x=y", "x=y"),
        ("x#y", "x%23y"),
        ("<'\";--", "%3C%27%22%3B--"),
    ];
    for (suffix, encoded) in cases {
        create(shared(), &record(&format!("{tag}{suffix}"), suffix, "s", "2023-08-01")).expect(200);
        // `%b2` is not UTF-8, so this raw spelling cannot be the name it was created under.
        let expected = if encoded == "a%b2" { 404 } else { 200 };
        let answer = search(&format!("?id={tag}{encoded}")).expect(expected);
        if expected == 200 {
            assert_eq!(answer.json()["name"], suffix);
        }
    }
    let answer = search(&format!("?%69d={tag}%3C%27%22%3B--")).expect(200);
    assert_eq!(answer.json()["name"], "<'\";--", "names are decoded too");
}

#[test]
fn ids_are_compared_exactly() {
    let id = unique("Case");
    create(shared(), &record(&id, "n", "s", "2023-08-01")).expect(200);
    search(&format!("?id={}", id.to_lowercase())).expect(404);
    search(&format!("?id={id}%20")).expect(404);
}

#[test]
fn any_accept_header_is_answered_with_json() {
    let id = unique("accept");
    create(shared(), &record(&id, "n", "s", "2023-08-01")).expect(200);
    let request = Request::get(&format!("{API}/search?id={id}"))
        .header("Accept", "text/html")
        .header("Accept-Encoding", "gzip")
        .header("Range", "bytes=0-3");
    let answer = shared().send(&request).expect(200);
    assert_eq!(answer.json()["id"], id.as_str());
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[test]
fn http_1_0_is_answered() {
    let id = unique("http10");
    create(shared(), &record(&id, "n", "s", "2023-08-01")).expect(200);
    let request = format!("GET {API}/search?id={id} HTTP/1.0\r\n\r\n");
    let answer = crate::support::raw_exchange(shared().address(), request.as_bytes());
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("\"date\":\"2023-08-01\"}\n"), "{answer}");
}
