//! Replays the requests that were recorded from the Python service.
//!
//! Policy: a recorded JSON answer must be equal byte for byte (an error may have more members). In place of a recorded
//! HTML error page there must be a JSON error with that status. [`DIFFERENCES`] lists every exception with its reason.
//! The recorded dates have their own module, `wire_dates`.

use serde::Deserialize;
use serde_json::Value;

use crate::support::{API, Appliance, Request, Response, create, record, shared_postgres, wait_for_cache};

/// The recorded requests that do not disturb the services, without the HTML pages.
const RECORDED: &str = include_str!("../data/reference.jsonl");

/// Deliberate differences: name of the request, new status, reason.
const DIFFERENCES: &[(&str, u16, &str)] = &[
    ("create_unicode_escaped", 400, "control characters (a tab, 0x7f) are rejected"),
    ("create_unicode_escaped_search", 404, "its create is rejected"),
    ("create_empty_id", 400, "an id has at least one character"),
    ("create_empty_name_status", 400, "name and status have at least one character"),
    ("create_whitespace_id", 400, "outer white space is rejected"),
    ("create_lone_surrogate", 400, "was a 500: not a text"),
    ("create_nul_in_name", 400, "was a 500: no text of PostgreSQL"),
    ("create_trailing_slash", 308, "a stray slash is not another resource"),
    ("create_double_slash", 308, "a redirect needs no page"),
    ("dup_1_create_again", 409, "was a 500: defect 1"),
    ("dup_2_create_new_id", 200, "was a 500: defect 1"),
    ("dup_3_search", 200, "was a 500: defect 1"),
    ("dup_4_search_all", 200, "was a 500: defect 1"),
    ("dup_5_health", 200, "was a 500: defect 1"),
    ("dup_6_health_detail", 200, "was a 500: defect 1"),
    ("all_query_ignored", 200, "id and limit filter now"),
    ("all_trailing_slash", 308, "a stray slash is not another resource"),
    ("search_two_ids_comma", 404, "was a 500: no such record"),
    ("search_semicolon", 404, "was a 500: no such record"),
    ("search_space_around", 404, "was a 500: no such record"),
    ("search_bad_percent", 404, "was a 500: no such record"),
    ("search_invalid_utf8", 404, "was a 500: no such record"),
    ("search_nul", 400, "was a 500: no id can have a NUL"),
    ("search_nul_suffix", 400, "was a 500: no id can have a NUL"),
    ("search_unknown_id", 404, "was a 500: no such record"),
    ("search_case_sensitive", 404, "was a 500: no such record"),
    ("search_trailing_slash", 308, "a stray slash is not another resource"),
    ("search_long_id_3900", 404, "was a 500: no such record"),
    ("search_long_id_5000", 404, "longer addresses are taken"),
    ("search_etag_ignored", 304, "If-None-Match is honoured"),
    ("cache_1_search_id2_wrong", 200, "defect 2: the cache mixed up employees"),
    ("cache_2_search_unknown_wrong", 404, "defect 2: the cache mixed up employees"),
    ("cache_3_search_noid_wrong", 400, "defect 2: the cache mixed up employees"),
    ("cache_6_search_id1_wrong_again", 200, "defect 2: the cache mixed up employees"),
    ("cache_8_search_id1_gets_cached_400", 200, "defect 2: a cached 400"),
    ("cache_10_get_after_head", 200, "defect 2: the cache mixed up employees"),
    ("cache_13_all_stale", 200, "defect 3: stale after a create"),
    ("cache_14_search_id3_wrong", 200, "defect 2: the cache mixed up employees"),
    ("health_trailing_slash", 308, "a stray slash is not another resource"),
    ("health_detail_trailing_slash", 308, "a stray slash is not another resource"),
    ("misc_star_options", 200, "RFC 9110, 9.3.7: it asks for the methods of the server"),
    ("misc_root", 200, "there is a page now"),
    ("misc_favicon", 200, "there is an icon now"),
    ("misc_unknown_api_slash", 404, "still no resource"),
    ("misc_health_double_slash", 308, "a redirect needs no page"),
    ("misc_health_double_slash_lead", 308, "a stray slash is not another resource"),
];

#[derive(Deserialize)]
struct RecordedExchange {
    name: String,
    request: RecordedRequest,
    response: RecordedResponse,
}

#[derive(Deserialize)]
struct RecordedRequest {
    method: String,
    target: String,
    headers: Vec<String>,
    body: Option<String>,
    body_hex: Option<String>,
}

#[derive(Deserialize)]
struct RecordedResponse {
    status: u16,
    content_type: String,
    body: Option<String>,
}

impl RecordedRequest {
    fn request(&self) -> Request {
        let target = if self.target.is_empty() { "*" } else { &self.target };
        let mut request = Request::new(&self.method, target);
        for header in &self.headers {
            let (name, value) = header.split_once(':').expect("a header has a colon");
            request = match (name, value.trim()) {
                ("Transfer-Encoding", "chunked") => request.chunked(),
                (_, "") => request,
                (name, value) => request.header(name, value),
            };
        }
        match (&self.body, &self.body_hex) {
            (_, Some(hex)) => request.body(unhex(hex)),
            (Some(body), None) => request.body(body.clone()),
            (None, None) => request,
        }
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

/// The recorded requests whose names start with `prefix`, in order.
fn recorded(prefix: &str) -> Vec<RecordedExchange> {
    let all = RECORDED.lines().map(|line| serde_json::from_str::<RecordedExchange>(line).expect("a line is a record"));
    let found: Vec<_> = all.filter(|recorded| recorded.name.starts_with(prefix)).collect();
    assert!(!found.is_empty(), "{prefix}");
    found
}

/// Sends everything recorded under `prefix` to an appliance with its own database and the given rows.
fn replay(prefix: &str, rows: &[(&str, &str, &str, &str)]) {
    let database = shared_postgres().create_database();
    let appliance =
        Appliance::builder().postgres(shared_postgres(), &database).config("api: { date_format: http }\n").start();
    wait_for_cache(&appliance);
    rows.iter().for_each(|(id, name, status, date)| {
        create(&appliance, &record(id, name, status, date)).expect(200);
    });
    for recorded in recorded(prefix) {
        let answer = appliance.send(&recorded.request.request());
        assert_as_recorded(&recorded, &answer);
    }
}

fn assert_as_recorded(recorded: &RecordedExchange, answer: &Response) {
    let RecordedExchange { name, response, .. } = recorded;
    if let Some((_, status, why)) = DIFFERENCES.iter().find(|(different, ..)| different == name) {
        assert_eq!(answer.status, *status, "{name} ({why}): {answer:?}");
        return;
    }
    assert_eq!(answer.status, response.status, "{name}: {}", String::from_utf8_lossy(&answer.body));
    let json = response.content_type == "application/json";
    match (&response.body, json, response.status) {
        (Some(_), true, 200) if name.contains("health_detail") => {
            assert_contains_recorded_members(name, answer, response)
        }
        (Some(body), true, 200) => assert_eq!(answer.text(), *body, "{name}"),
        (Some(body), true, _) if !body.is_empty() => assert_contains_recorded_members(name, answer, response),
        (None, false, 400..) if recorded.request.method != "HEAD" => {
            let body = answer.json();
            assert!(body["error"].is_string() && body["message"].is_string(), "{name}: {body}");
        }
        _ => {}
    }
    if json {
        assert_eq!(answer.header("content-type"), Some("application/json"), "{name}");
    }
}

/// Fails unless the answer has every member of the recorded object.
fn assert_contains_recorded_members(name: &str, answer: &Response, response: &RecordedResponse) {
    let body = answer.json();
    let expected: Value = serde_json::from_str(response.body.as_deref().unwrap_or("{}")).expect("recorded JSON");
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(&body[key], value, "{name}: {body}");
    }
}

#[test]
fn creates_are_answered_as_recorded() {
    replay("create_", &[]);
}

#[test]
fn requests_after_a_duplicate_are_answered_as_recorded() {
    replay("dup_", &[]);
}

#[test]
fn lists_are_answered_as_recorded() {
    replay("all_", &[]);
}

#[test]
fn searches_are_answered_as_recorded() {
    replay(
        "search_",
        &[
            ("1", "One", "Present", "2023-08-01"),
            ("2", "Two", "Present", "2023-08-02"),
            ("a b", "space", "Present", "2023-08-03"),
            ("a+b", "plus", "Present", "2023-08-04"),
            ("ü", "umlaut", "Present", "2023-08-05"),
            ("a%b", "percent", "Present", "2023-08-06"),
            ("x&y", "amp", "Present", "2023-08-07"),
        ],
    );
}

#[test]
fn reads_through_the_cache_are_answered_as_recorded() {
    replay("cache_", &[("1", "One", "Present", "2023-08-01"), ("2", "Two", "Absent", "2023-08-02")]);
}

#[test]
fn health_and_other_paths_are_answered_as_recorded() {
    replay("health_", &[]);
    replay("misc_", &[]);
}

#[test]
fn null_columns_are_answered_as_null() {
    let database = shared_postgres().create_database();
    let appliance =
        Appliance::builder().postgres(shared_postgres(), &database).config("api: { date_format: http }\n").start();
    shared_postgres().sql(&database).run("INSERT INTO records (id) VALUES ('nulls')");
    let answer = appliance.get(&format!("{API}/search?id=nulls")).expect(200);
    assert_eq!(answer.text(), "{\"id\":\"nulls\",\"name\":null,\"status\":null,\"date\":null}\n");
}

#[test]
fn every_listed_difference_names_a_recorded_request() {
    let all = recorded("");
    for (name, ..) in DIFFERENCES {
        assert!(all.iter().any(|recorded| recorded.name == *name), "{name}");
    }
}
