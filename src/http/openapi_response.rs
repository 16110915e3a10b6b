//! Answers in the OpenAPI document that no handler describes: those that every operation can have, and the headers that many answers have.
//!
//! Policy: what an operation says itself is kept.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Header, OpenApi, Ref, RefOr, Response, ResponseBuilder};

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

/// The headers of every read that may be answered with 304; an operation may describe its own in another way.
const READ_HEADERS: [(&str, &str); 3] = [
    ("ETag", "Entity tag of this answer in this content coding"),
    (
        "Vary",
        "`Accept-Encoding`, unless the answer is small: it is compressed with zstd, br or gzip if the client accepts that",
    ),
    ("Cache-Control", "`no-cache`"),
];

/// The header of every page.
const PAGE_HEADER: (&str, &str) =
    ("Link", "`<URL>; rel=\"next\"`: the next page, relative to this server; absent on the last page");

/// Adds the answers that every operation can have, and to each answer the header that all have.
pub fn add_common_responses(document: &mut OpenApi) {
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

/// The operations of a path.
pub fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
}

/// Adds the headers of reads to the operations that may be answered with 304, and that of pages to those with the parameter `after`.
pub fn add_read_headers(operation: &mut Operation) {
    let is_cursor =
        |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(parameter) if parameter.name == "after");
    let is_page = operation.parameters.iter().flatten().any(is_cursor);
    let responses = &mut operation.responses.responses;
    let is_conditional = responses.contains_key("304");
    let Some(RefOr::T(found)) = responses.get_mut("200") else { return };
    let of_read = READ_HEADERS.into_iter().filter(|_| is_conditional);
    for (name, description) in of_read.chain(is_page.then_some(PAGE_HEADER)) {
        found.headers.entry(name.to_owned()).or_insert_with(|| header(Type::String, description));
    }
}

fn add_request_id(response: &mut Response) {
    let description = "The client's own id if it sent a valid one (1 to 128 of `A-Z a-z 0-9 . _ -`), otherwise a new one; also in the log";
    response.headers.insert("X-Request-Id".to_owned(), header(Type::String, description));
}

/// A header whose values have this type.
pub fn header(value: Type, description: &str) -> RefOr<Header> {
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
pub fn error_response(meaning: &str, error: &str, message: &str) -> Response {
    let example = serde_json::json!({ "error": error, "message": message });
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).example(Some(example)).build();
    let mut response = ResponseBuilder::new().description(meaning).content("application/json", content).build();
    add_request_id(&mut response);
    response
}
