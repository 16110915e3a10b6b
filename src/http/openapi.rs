//! The OpenAPI 3.1 document.
//!
//! Policy: the document is made from the route table, with the description above each handler, so it cannot disagree with the
//! routes. What every operation can answer (a rejected head, 500, 503), what every answer has (`X-Request-Id`) and what reads and pages have (`ETag`, `Link`) is added
//! once (`openapi_response.rs`); so is what an endpoint's permission means: its security requirement, 401 and 403 (`openapi_access.rs`). With access control the
//! document has more operations.
//! `openapi.golden.json` and `openapi.access.golden.json` are the reviewed documents, which are served (`openapi_document.rs`). This code runs in the tests only, which
//! compare.

use utoipa::OpenApi;
use utoipa::openapi::RefOr;
use utoipa::openapi::link::Link;
use utoipa::openapi::server::{Server, ServerBuilder};

use super::openapi_access::{add_access_control, require_credentials};
use super::openapi_response::{add_common_responses, add_read_headers, operations};
use super::schema::Schemas;
use super::{named_pattern, parameter_schema, route_table};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Attendance API",
        description = "Records which employee was present on which day.\n\nEvery error has one shape (`Error`). Every answer has an `X-Request-Id`, which is also in the log. \
            A read that starts after a change was acknowledged sees it.\n\nAn empty query parameter counts as absent. In `search` and `search/all` the \
            first of several values counts, and unknown parameters are ignored; everywhere else, both are refused.",
        contact(name = "The operator of this server"),
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "This server")),
    tags(
        (name = "attendance", description = "Records, created and searched as the Python service did it"),
        (name = "records", description = "Records, corrected and deleted with a reason, and their history"),
        (name = "views", description = "Sheets and summaries of the records"),
        (name = "directory", description = "Employees"),
        (name = "calendar", description = "Days that differ from the weekly rule"),
        (name = "health", description = "For load balancers and orchestrators"),
        (name = "operation", description = "For operators")
    ),
)]
struct Document;

/// The document as it is served at the root: indented JSON with a newline at its end. It also names the base path, if there is one.
pub fn json_at_root(base_path: Option<&str>, has_access_control: bool) -> String {
    let mut document = document(has_access_control);
    if let Some(base_path) = base_path {
        document.servers.get_or_insert_default().push(server(base_path));
    }
    rendered(&document)
}

/// The document as it is served below a base path.
pub fn json_below(base_path: &str, has_access_control: bool) -> String {
    let mut document = document(has_access_control);
    document.servers = Some(vec![server(base_path)]);
    rendered(&document)
}

fn server(base_path: &str) -> Server {
    ServerBuilder::new().url(base_path).description(Some("This server")).build()
}

fn rendered(document: &utoipa::openapi::OpenApi) -> String {
    let mut json = serde_json::to_string_pretty(document).unwrap_or_default();
    json.push('\n');
    json
}

fn document(has_access_control: bool) -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    document.components = Schemas::openapi().components;
    for route in route_table::served(has_access_control) {
        for endpoint in route.endpoints {
            if let Some(description) = &endpoint.description {
                let mut operation = (description.operation)();
                operation.tags = Some(vec![description.tag.to_owned()]);
                named_pattern::resolve_in_parameters(&mut operation);
                parameter_schema::let_values_be_empty(&mut operation);
                add_read_headers(&mut operation);
                if has_access_control {
                    require_credentials(&mut operation, endpoint.requirement);
                }
                document.paths.add_path_operation(route.path, (description.methods)(), operation);
            }
        }
    }
    if has_access_control {
        add_access_control(&mut document);
    } else {
        // No operation needs credentials.
        document.security = Some(Vec::new());
    }
    named_pattern::resolve_in_schemas(&mut document);
    add_common_responses(&mut document);
    add_links(&mut document);
    document
}

/// What a client can ask next with the values of a request and its answer.
struct NextRequest {
    /// The operation that was answered, and the one that can be asked.
    from: &'static str,
    to: &'static str,
    name: &'static str,
    description: &'static str,
    parameters: Vec<(&'static str, String)>,
}

fn next_requests() -> [NextRequest; 4] {
    let id = |of: &str| ("id", format!("{of}/id"));
    let record = |of: &str| vec![id(of), ("date", format!("{of}/date"))];
    let cursor = "$response.header.Link#regex:[?&]after=([A-Za-z0-9_-]+)".to_owned();
    [
        NextRequest {
            from: "createRecord",
            to: "searchRecord",
            name: "FindRecord",
            description: "The record that was stored",
            parameters: record("$request.body#"),
        },
        NextRequest {
            from: "createRecord",
            to: "listRecords",
            name: "ListRecords",
            description: "All records of its employee",
            parameters: vec![id("$request.body#")],
        },
        NextRequest {
            from: "listRecords",
            to: "searchRecord",
            name: "FindFirst",
            description: "The first record of the list",
            parameters: record("$response.body#/0"),
        },
        NextRequest {
            from: "listRecords",
            to: "listRecords",
            name: "NextPage",
            description: "The next page; its URL is in the header `Link`",
            parameters: vec![("limit", "$request.query.limit".to_owned()), ("after", cursor)],
        },
    ]
}

/// Adds the links between operations.
fn add_links(document: &mut utoipa::openapi::OpenApi) {
    for NextRequest { from, to, name, description, parameters } in next_requests() {
        let link = Link::builder().operation_id(to).description(description);
        let link = parameters.into_iter().fold(link, |link, (name, value)| link.parameter(name, value));
        let mut all = document.paths.paths.values_mut().flat_map(operations);
        let operation = all.find(|operation| operation.operation_id.as_deref() == Some(from));
        if let Some(RefOr::T(response)) = operation.and_then(|operation| operation.responses.responses.get_mut("200")) {
            response.links.insert(name.to_owned(), RefOr::T(link.build()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Permission;
    use crate::http::requirement::Requirement;
    use crate::http::route_table::ROUTES;

    /// The document with access control, which has all that the other one has.
    fn json() -> String {
        json_at_root(None, true)
    }

    #[test]
    fn the_document_is_the_reviewed_one() {
        for (name, has_access_control) in [("openapi.golden.json", false), ("openapi.access.golden.json", true)] {
            let path = format!("{}/src/http/{name}", env!("CARGO_MANIFEST_DIR"));
            let json = json_at_root(None, has_access_control);
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::write(&path, &json).unwrap();
            }
            let golden = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                golden == json,
                "the OpenAPI document has changed. If that is intended, run `UPDATE_GOLDEN=1 cargo test the_document_is_the_reviewed_one` and review the difference in src/http/{name}"
            );
        }
    }

    #[test]
    fn every_operation_agrees_with_the_permission_of_its_endpoint() {
        let document: serde_json::Value = serde_json::from_str(&json()).unwrap();
        for route in ROUTES {
            for endpoint in route.endpoints.iter().filter(|endpoint| endpoint.description.is_some()) {
                let method = endpoint.method.as_str();
                let operation = &document["paths"][route.path][method.to_lowercase()];
                let accepts = |scheme: Option<&str>| {
                    let matches = |requirement: &serde_json::Value| match scheme {
                        Some(scheme) => requirement.get(scheme).is_some(),
                        None => requirement.as_object().unwrap().is_empty(),
                    };
                    operation["security"].as_array().unwrap().iter().any(matches)
                };
                let Requirement { permission, knows_accounts } = endpoint.requirement;
                let is_open = permission == Permission::Open;
                let needs_none = operation["security"].as_array().unwrap().is_empty() || accepts(None);
                assert_eq!(needs_none, is_open || permission == Permission::Metrics, "{method} {}", route.path);
                for scheme in ["bearer", "cookie"] {
                    assert_eq!(accepts(Some(scheme)), !is_open || knows_accounts, "{method} {}", route.path);
                }
                if !is_open {
                    for status in ["401", "403"] {
                        assert!(operation["responses"].get(status).is_some(), "{method} {} {status}", route.path);
                    }
                    let role = permission.least_role().unwrap();
                    let forbidden = operation["responses"]["403"].to_string();
                    assert!(forbidden.contains(&format!("this needs `{role}`")), "{method} {}", route.path);
                }
            }
        }
    }

    #[test]
    fn without_access_control_no_operation_needs_credentials() {
        let json = json_at_root(None, false);
        let document: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(document["security"], serde_json::json!([]));
        for text in ["\"security\": [\n        {", "securitySchemes", "\"401\"", "\"403\"", "/session", "/accounts"] {
            assert!(!json.contains(text), "{text}");
        }
    }

    #[test]
    fn the_servers_are_those_that_the_client_can_reach() {
        let servers = |json: String| {
            let document: serde_json::Value = serde_json::from_str(&json).unwrap();
            let servers = document["servers"].as_array().unwrap().clone();
            servers.iter().map(|server| server["url"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(servers(json()), ["/"]);
        assert_eq!(servers(json_at_root(Some("/attendance"), false)), ["/", "/attendance"]);
        assert_eq!(servers(json_below("/attendance", false)), ["/attendance"]);
    }

    #[test]
    fn every_endpoint_of_the_api_is_described() {
        for route in ROUTES.iter().filter(|route| route.path.starts_with("/api/")) {
            for endpoint in route.endpoints {
                assert!(endpoint.description.is_some(), "{} {}", endpoint.method.as_str(), route.path);
            }
        }
    }

    #[test]
    fn the_document_and_the_route_table_have_the_same_operations() {
        let document: serde_json::Value = serde_json::from_str(&json()).unwrap();
        let mut documented = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            documented.extend(item.as_object().unwrap().keys().map(|method| (path.clone(), method.to_uppercase())));
        }
        let mut routed = Vec::new();
        for route in ROUTES {
            let described = route.endpoints.iter().filter(|endpoint| endpoint.description.is_some());
            routed.extend(described.map(|endpoint| (route.path.to_owned(), endpoint.method.as_str().to_owned())));
        }
        documented.sort();
        routed.sort();
        assert_eq!(documented, routed);
    }

    #[test]
    fn every_operation_has_an_id_a_summary_and_the_common_answers() {
        let mut document = document(true);
        let tags: Vec<String> = document.tags.iter().flatten().map(|tag| tag.name.clone()).collect();
        for operation in document.paths.paths.values_mut().flat_map(operations) {
            assert!(operation.operation_id.is_some() && operation.summary.is_some() && operation.description.is_some());
            assert!(operation.tags.iter().flatten().all(|tag| tags.contains(tag)), "{:?}", operation.operation_id);
            let is_success = |status: &String| status.starts_with('2');
            assert!(operation.responses.responses.keys().any(is_success), "{:?}", operation.operation_id);
            for status in ["400", "414", "431", "500", "503"] {
                assert!(operation.responses.responses.contains_key(status), "{:?} {status}", operation.operation_id);
            }
        }
    }

    #[test]
    fn every_operation_with_a_body_has_the_answers_to_one_that_is_not_read() {
        for operation in document(true).paths.paths.values_mut().flat_map(operations) {
            for status in ["408", "413", "415"] {
                let is_described = operation.responses.responses.contains_key(status);
                assert_eq!(is_described, operation.request_body.is_some(), "{:?} {status}", operation.operation_id);
            }
        }
    }

    #[test]
    fn every_pattern_is_a_regular_expression_and_not_its_name() {
        for pattern in json().split("\"pattern\": \"").skip(1) {
            assert!(pattern.starts_with('^'), "{}", &pattern[..pattern.len().min(80)]);
        }
    }

    #[test]
    fn every_text_of_bounded_length_in_a_body_has_a_pattern_for_its_characters() {
        let document: serde_json::Value = serde_json::from_str(&json()).unwrap();
        let mut checked = 0;
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            // Only the objects of requests refuse other fields.
            if schema["additionalProperties"] != serde_json::Value::Bool(false) {
                continue;
            }
            for (field, property) in schema["properties"].as_object().unwrap() {
                if property["maxLength"].is_u64() && property["format"] != "password" {
                    assert!(property["pattern"].is_string(), "{name}.{field}");
                    checked += 1;
                }
            }
        }
        assert!(checked > 5, "{checked} texts");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document: serde_json::Value = serde_json::from_str(&json()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let text = json();
        for reference in text.split("\"$ref\": \"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
