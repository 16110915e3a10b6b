//! The OpenAPI 3.1 document.
//!
//! Policy: the document is made from the route table, with the description above each handler, so it cannot disagree with the
//! routes. What every operation can answer (a rejected head, 500, 503), what every answer has (`X-Request-Id`) and what every page has (`Link`) is added
//! here once; so is what an endpoint's permission means: its security requirement, 401 and 403. With access control the document has more operations.
//! `openapi.golden.json` and `openapi.access.golden.json` are the reviewed documents, which are served (`openapi_document.rs`). This code runs in the tests only, which
//! compare.

use utoipa::OpenApi;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::link::Link;
use utoipa::openapi::path::{Operation, Parameter, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::server::{Server, ServerBuilder};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ContentBuilder, Header, Ref, RefOr, Response, ResponseBuilder};

use super::access_schema::AccessSchemas;
use super::requirement::Requirement;
use super::route_table;
use super::schema::Schemas;
use super::session_cookie;
use super::{named_pattern, parameter_schema};
use crate::access::{Permission, Role};

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

/// The headers of every page; an operation may describe its own in another way.
const PAGE_HEADERS: [(&str, &str); 4] = [
    ("ETag", "Entity tag of this answer in this content coding"),
    (
        "Vary",
        "`Accept-Encoding`, unless the answer is small: it is compressed with zstd, br or gzip if the client accepts that",
    ),
    ("Cache-Control", "`no-cache`"),
    ("Link", "`<URL>; rel=\"next\"`: the next page, relative to this server; absent on the last page"),
];

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
    named_pattern::resolve_in_schemas(&mut document);
    for route in route_table::served(has_access_control) {
        for endpoint in route.endpoints {
            if let Some(description) = &endpoint.description {
                let mut operation = (description.operation)();
                operation.tags = Some(vec![description.tag.to_owned()]);
                named_pattern::resolve_in_parameters(&mut operation);
                parameter_schema::let_numbers_be_empty(&mut operation);
                add_page_headers(&mut operation);
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
    add_common_responses(&mut document);
    add_links(&mut document);
    document
}

/// Adds to an operation what its permission means.
fn require_credentials(operation: &mut Operation, Requirement { permission, knows_accounts }: Requirement) {
    let any = [
        SecurityRequirement::new::<_, [&str; 0], _>("bearer", []),
        SecurityRequirement::new::<_, [&str; 0], _>("cookie", []),
    ];
    let is_optional = knows_accounts || permission == Permission::Metrics;
    let Some(role) = permission.least_role() else {
        operation.security = Some(if is_optional {
            [SecurityRequirement::default()].into_iter().chain(any).collect()
        } else {
            Vec::new()
        });
        return;
    };
    let none = is_optional.then(SecurityRequirement::default);
    operation.security = Some(none.into_iter().chain(any).collect());
    let responses = &mut operation.responses.responses;
    let unauthorized = || RefOr::Ref(Ref::from_response_name("Unauthorized"));
    responses.entry("401".to_owned()).or_insert_with(unauthorized);
    match responses.get_mut("403") {
        // The handler has another reason as well.
        Some(RefOr::T(response)) => response.description += &format!(". Or {}", lacks(role)),
        _ => drop(responses.insert("403".to_owned(), RefOr::T(forbidden(role)))),
    }
    // The first sentences of a description are its summary in some pages, so this comes last.
    let description = operation.description.take().unwrap_or_default();
    let needs = match permission {
        Permission::OwnAccount => "Needs an account.".to_owned(),
        Permission::Metrics => "Needs a token with the role `metrics` if `auth.metrics` is `token`.".to_owned(),
        _ => format!("Needs the role `{role}`."),
    };
    operation.description = Some(format!("{description}\n\n{needs}"));
}

/// The answer to credentials whose role is not enough.
fn forbidden(role: Role) -> Response {
    let meaning = format!("A page of another site made the request, or {}", lacks(role));
    let message = format!("This needs the role `{role}`; the role of these credentials is `{}`.", other_than(role));
    error_response(&meaning, "Forbidden", &message)
}

fn lacks(role: Role) -> String {
    format!("the role of the credentials is not enough: this needs `{role}`")
}

/// A role that has not the permissions of another one, for an example.
fn other_than(role: Role) -> Role {
    if role == Role::Employee { Role::Metrics } else { Role::Employee }
}

/// Adds the schemes of credentials, and the types of accounts.
fn add_access_control(document: &mut utoipa::openapi::OpenApi) {
    let tag = TagBuilder::new().name("access").description(Some("Sessions, tokens, accounts and the audit")).build();
    document.tags.get_or_insert_default().push(tag);
    let components = document.components.get_or_insert_default();
    components.schemas.extend(AccessSchemas::openapi().components.unwrap_or_default().schemas);
    // Without credentials, the rest is absent.
    if let Some(RefOr::T(Schema::Object(health))) = components.schemas.get_mut("HealthDetail") {
        health.required.retain(|member| ["message", "postgresql", "redis", "status"].contains(&member.as_str()));
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A session (`token` of the answer to a login) or a token"))
        .build();
    let cookie = ApiKeyValue::with_description(
        session_cookie::NAME,
        "The session of a browser. Behind TLS the name has the prefix `__Host-`",
    );
    components.security_schemes.insert("bearer".to_owned(), RefOr::T(SecurityScheme::Http(bearer)));
    components.security_schemes.insert("cookie".to_owned(), RefOr::T(SecurityScheme::ApiKey(ApiKey::Cookie(cookie))));
    let mut unauthorized = error_response(
        "There are no valid credentials",
        "Unauthorized",
        "This needs credentials: send a session or a token as `Authorization: Bearer`.",
    );
    unauthorized.headers.insert("WWW-Authenticate".to_owned(), header(Type::String, "`Bearer`"));
    components.responses.insert("Unauthorized".to_owned(), RefOr::T(unauthorized));
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

/// Adds the headers of a page to the operations that read pages: those with the parameter `after`.
fn add_page_headers(operation: &mut Operation) {
    let is_cursor =
        |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(parameter) if parameter.name == "after");
    let is_page = operation.parameters.iter().flatten().any(is_cursor);
    let Some(RefOr::T(page)) = operation.responses.responses.get_mut("200").filter(|_| is_page) else { return };
    for (name, description) in PAGE_HEADERS {
        page.headers.entry(name.to_owned()).or_insert_with(|| header(Type::String, description));
    }
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
    let mut response = error_response(common.meaning, common.error, common.message);
    if common.name == "Unavailable" {
        let description = "Seconds after which the request can be sent again";
        response.headers.insert("Retry-After".to_owned(), header(Type::Integer, description));
    }
    response
}

/// An answer that is an error.
fn error_response(meaning: &str, error: &str, message: &str) -> Response {
    let example = serde_json::json!({ "error": error, "message": message });
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).example(Some(example)).build();
    let mut response = ResponseBuilder::new().description(meaning).content("application/json", content).build();
    add_request_id(&mut response);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn every_reference_leads_somewhere() {
        let document: serde_json::Value = serde_json::from_str(&json()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let text = json();
        for reference in text.split("\"$ref\": \"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
