//! The OpenAPI 3.1 document.
//!
//! Policy: the document is made from the route table, with the description above each handler, so it cannot disagree with the
//! routes. What every operation can answer (a rejected head, 500, 503) and what every answer has (`X-Request-Id`) is added here
//! once. `openapi.golden.json` is the reviewed document; a test compares.

use utoipa::OpenApi;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::link::Link;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Header, Ref, RefOr, Response, ResponseBuilder};

use super::route::ROUTES;
use super::schema::Schemas;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Attendance API",
        description = "Records which employee was present on which day.\n\nEvery error has one shape (`Error`). Every answer has an `X-Request-Id`, which is also in the log. \
            A read that starts after a create was acknowledged sees the new record.\n\nAn empty query parameter counts as absent, \
            of several values the first one counts, and unknown parameters are ignored.",
        contact(name = "The operator of this server"),
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "This server")),
    tags(
        (name = "attendance", description = "Records"),
        (name = "health", description = "For load balancers and orchestrators"),
        (name = "operation", description = "For operators")
    ),
)]
struct Document;

/// An answer that every operation can have.
struct CommonResponse {
    status: &'static str,
    name: &'static str,
    meaning: &'static str,
    /// The two members of an example.
    error: &'static str,
    message: &'static str,
}

const COMMON_RESPONSES: [CommonResponse; 5] = [
    CommonResponse {
        status: "400",
        name: "BadRequest",
        meaning: "The request line or a header is not valid HTTP",
        error: "Bad Request",
        message: "The request has no `Host` header.",
    },
    CommonResponse {
        status: "414",
        name: "UriTooLong",
        meaning: "The path or the query is longer than 8192 bytes",
        error: "URI Too Long",
        message: "The path and the query may each have at most 8192 bytes.",
    },
    CommonResponse {
        status: "431",
        name: "HeadTooLarge",
        meaning: "The request line and headers are larger than `server.max_head`",
        error: "Request Header Fields Too Large",
        message: "The request line and headers are too large.",
    },
    CommonResponse {
        status: "500",
        name: "ServerFault",
        meaning: "A bug: the log has the reason under the request id that the message names",
        error: "Internal Server Error",
        message: "The server made a mistake. Its log has the reason under the request id 6a1c0f2e9b7d4835.",
    },
    CommonResponse {
        status: "503",
        name: "Unavailable",
        meaning: "The database cannot be used at the moment, or the server is stopping",
        error: "Service Unavailable",
        message: "The database cannot be used at the moment. Try again shortly.",
    },
];

/// The document as it is served: indented JSON with a newline at its end.
pub fn json() -> String {
    let mut json = serde_json::to_string_pretty(&document()).unwrap_or_default();
    json.push('\n');
    json
}

fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    document.components = Schemas::openapi().components;
    for route in &ROUTES {
        for endpoint in route.endpoints {
            if let Some(description) = &endpoint.description {
                let mut operation = (description.operation)();
                operation.tags = Some(vec![description.tag.to_owned()]);
                document.paths.add_path_operation(route.path, (description.methods)(), operation);
            }
        }
    }
    // No operation needs credentials.
    document.security = Some(Vec::new());
    add_common_responses(&mut document);
    add_links(&mut document);
    document
}

/// Adds what a client can ask next with the values of a request and its answer.
fn add_links(document: &mut utoipa::openapi::OpenApi) {
    let record = |from: &str| [("id", format!("{from}/id")), ("date", format!("{from}/date"))];
    let next = [
        ("limit", "$request.query.limit".to_owned()),
        ("after", "$response.header.Link#regex:[?&]after=([A-Za-z0-9_-]+)".to_owned()),
    ];
    let links = [
        ("createRecord", "FindRecord", "searchRecord", "The record that was stored", record("$request.body#").to_vec()),
        (
            "createRecord",
            "ListRecords",
            "listRecords",
            "All records of its employee",
            record("$request.body#")[..1].to_vec(),
        ),
        (
            "listRecords",
            "FindFirst",
            "searchRecord",
            "The first record of the list",
            record("$response.body#/0").to_vec(),
        ),
        ("listRecords", "NextPage", "listRecords", "The next page; its URL is in the header `Link`", next.to_vec()),
    ];
    for (from, name, to, description, parameters) in links {
        let link = parameters
            .into_iter()
            .fold(Link::builder().operation_id(to).description(description), |link, (name, value)| {
                link.parameter(name, value)
            });
        let operation = document
            .paths
            .paths
            .values_mut()
            .flat_map(operations)
            .find(|operation| operation.operation_id.as_deref() == Some(from));
        if let Some(RefOr::T(response)) = operation.and_then(|operation| operation.responses.responses.get_mut("200")) {
            response.links.insert(name.to_owned(), RefOr::T(link.build()));
        }
    }
}

fn add_common_responses(document: &mut utoipa::openapi::OpenApi) {
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        for common in COMMON_RESPONSES {
            let response = || RefOr::Ref(Ref::from_response_name(common.name));
            operation.responses.responses.entry(common.status.to_owned()).or_insert_with(response);
        }
        for response in operation.responses.responses.values_mut() {
            if let RefOr::T(response) = response {
                add_request_id(response);
            }
        }
    }
    let components = document.components.get_or_insert_default();
    for common in COMMON_RESPONSES {
        components.responses.insert(common.name.to_owned(), RefOr::T(common_response(&common)));
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
}

fn add_request_id(response: &mut Response) {
    let description = "The client's own id if it sent a valid one (1 to 128 of `A-Z a-z 0-9 . _ -`), otherwise a new one; also in the log";
    response.headers.insert("X-Request-Id".to_owned(), header(Type::String, description));
}

fn header(value: Type, description: &str) -> RefOr<Header> {
    let schema = ObjectBuilder::new().schema_type(value).build();
    RefOr::T(HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build())
}

fn common_response(common: &CommonResponse) -> Response {
    let example = serde_json::json!({ "error": common.error, "message": common.message });
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).example(Some(example)).build();
    let mut response = ResponseBuilder::new().description(common.meaning).content("application/json", content).build();
    add_request_id(&mut response);
    if common.name == "Unavailable" {
        let description = "Seconds after which the request can be sent again";
        response.headers.insert("Retry-After".to_owned(), header(Type::Integer, description));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_the_reviewed_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/openapi.golden.json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, json()).unwrap();
        }
        let golden = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            golden == json(),
            "the OpenAPI document has changed. If that is intended, run `UPDATE_GOLDEN=1 cargo test the_document_is_the_reviewed_one` and review the difference in src/http/openapi.golden.json"
        );
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
        for route in &ROUTES {
            let described = route.endpoints.iter().filter(|endpoint| endpoint.description.is_some());
            routed.extend(described.map(|endpoint| (route.path.to_owned(), endpoint.method.as_str().to_owned())));
        }
        documented.sort();
        routed.sort();
        assert_eq!(documented, routed);
    }

    #[test]
    fn every_operation_has_an_id_a_summary_and_the_common_answers() {
        let mut document = document();
        let tags: Vec<String> = document.tags.iter().flatten().map(|tag| tag.name.clone()).collect();
        for operation in document.paths.paths.values_mut().flat_map(operations) {
            assert!(operation.operation_id.is_some() && operation.summary.is_some() && operation.description.is_some());
            assert!(operation.tags.iter().flatten().all(|tag| tags.contains(tag)), "{:?}", operation.operation_id);
            for status in ["200", "400", "414", "431", "500", "503"] {
                assert!(operation.responses.responses.contains_key(status), "{:?} {status}", operation.operation_id);
            }
        }
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
