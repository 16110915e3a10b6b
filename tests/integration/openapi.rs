//! The OpenAPI document: complete, correct, and in agreement with what the service does.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{API, Request, create, record, shared, unique};

fn document() -> Value {
    shared().get("/openapi.json").expect(200).json()
}

fn statuses(operation: &Value) -> BTreeSet<String> {
    operation["responses"].as_object().expect("responses").keys().cloned().collect()
}

#[test]
fn both_addresses_serve_one_openapi_3_1_document() {
    let document = document();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{}", document["openapi"]);
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(!document["info"]["title"].as_str().unwrap_or_default().is_empty());
    assert_eq!(shared().get("/apispec_1.json").expect(200).json(), document);
}

#[test]
fn every_route_is_documented_with_every_status() {
    let document = document();
    let expected: [(&str, &str, &[&str]); 9] = [
        ("/api/v1/attendance/create", "post", &["200", "400", "409", "413", "415", "431", "500", "503"]),
        ("/api/v1/attendance/search", "get", &["200", "304", "400", "404", "414", "431", "500", "503"]),
        ("/api/v1/attendance/search/all", "get", &["200", "304", "400", "414", "431", "500", "503"]),
        ("/api/v1/attendance/health", "get", &["200", "400"]),
        ("/api/v1/attendance/health/detail", "get", &["200", "400"]),
        ("/livez", "get", &["200"]),
        ("/readyz", "get", &["200", "503"]),
        ("/metrics", "get", &["200"]),
        ("/openapi.json", "get", &["200"]),
    ];
    for (path, method, wanted) in expected {
        let operation = &document["paths"][path][method];
        assert!(operation.is_object(), "{method} {path}");
        let found = statuses(operation);
        let missing: Vec<_> = wanted.iter().filter(|status| !found.contains(**status)).collect();
        assert!(missing.is_empty(), "{method} {path} lacks {missing:?}, has {found:?}");
        assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{method} {path} has a summary");
    }
}

#[test]
fn every_parameter_is_described() {
    let document = document();
    let names = |path: &str| -> BTreeSet<String> {
        let parameters = document["paths"][path]["get"]["parameters"].as_array().expect("parameters").clone();
        parameters.iter().filter(|p| p["in"] == "query").map(|p| p["name"].as_str().unwrap().to_owned()).collect()
    };
    assert!(names("/api/v1/attendance/search").is_superset(&["id", "date"].map(String::from).into()));
    let all = ["id", "status", "name", "from", "to", "limit", "after"].map(String::from).into();
    assert!(names("/api/v1/attendance/search/all").is_superset(&all));
}

#[test]
fn every_reference_resolves_inside_the_document() {
    let document = document();
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads outside"));
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect_references(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                into.push(reference.clone());
            }
            object.values().for_each(|value| collect_references(value, into));
        }
        Value::Array(array) => array.iter().for_each(|value| collect_references(value, into)),
        _ => {}
    }
}

#[test]
fn the_schema_of_a_record_has_its_length_limits() {
    let text = document().to_string();
    for limit in ["\"maxLength\":128", "\"maxLength\":256", "\"maxLength\":64"] {
        assert!(text.contains(limit), "{limit}");
    }
}

#[test]
fn the_example_of_a_create_is_accepted() {
    let document = document();
    let content = &document["paths"]["/api/v1/attendance/create"]["post"]["requestBody"]["content"]["application/json"];
    let mut example = example_of(&document, content).expect("the body of a create has an example");
    example["id"] = unique("example").into();
    create(shared(), &example).expect(200);
}

fn example_of(document: &Value, content: &Value) -> Option<Value> {
    let direct = content.get("example").or_else(|| content["examples"].as_object()?.values().next()?.get("value"));
    if let Some(example) = direct {
        return Some(example.clone());
    }
    let pointer = content["schema"]["$ref"].as_str()?.strip_prefix('#')?;
    let schema = document.pointer(pointer)?;
    schema.get("example").or_else(|| schema["examples"].get(0)).cloned()
}

/// The target of a `$ref`, or the value itself if it is none.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

#[test]
fn every_answer_is_documented() {
    let document = document();
    let id = unique("documented");
    let post = |body: String| Request::post_json(&format!("{API}/create"), body);
    let body = record(&id, "n", "s", "2023-08-01").to_string();
    let asked = [
        ("/create", "post", post(body.clone())),
        ("/create", "post", post(body.clone())),
        ("/create", "post", post("{}".into())),
        ("/create", "post", post(" ".repeat(1_100_000))),
        ("/create", "post", Request::new("POST", &format!("{API}/create")).body(body)),
        ("/search", "get", Request::get(&format!("{API}/search?id={id}"))),
        ("/search", "get", Request::get(&format!("{API}/search?id={id}")).header("If-None-Match", "*")),
        ("/search", "get", Request::get(&format!("{API}/search"))),
        ("/search", "get", Request::get(&format!("{API}/search?id=unknown"))),
        ("/search", "get", Request::get(&format!("{API}/search?id={}", "z".repeat(12_000)))),
        ("/search", "get", Request::get(&format!("{API}/search?id=1")).header("X-Long", &"z".repeat(40_000))),
        ("/search/all", "get", Request::get(&format!("{API}/search/all?id={id}"))),
        ("/search/all", "get", Request::get(&format!("{API}/search/all?limit=0"))),
    ];
    for (path, method, request) in asked {
        let answer = shared().send(&request);
        let operation = &document["paths"][format!("{API}{path}")][method];
        let status = answer.status.to_string();
        assert!(statuses(operation).contains(&status), "{method} {path} answered {status}");
        let response = resolved(&document, &operation["responses"][&status]);
        if answer.header("content-type").is_some() && !answer.body.is_empty() {
            let content =
                response["content"].as_object().unwrap_or_else(|| panic!("{method} {path} {status}: {response}"));
            assert!(content.contains_key("application/json"), "{method} {path} {status}: {content:?}");
        }
    }
}
