//! The OpenAPI 3.1 document, put together from what stands above the handlers.
//!
//! Policy: it is complete. What every operation can answer (a head that is no HTTP or too large, 500, 503) and
//! what every answer carries (`X-Request-Id`) is added here once. `openapi.golden.json` is the document as
//! reviewed; a test compares.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Header, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi, ToSchema};

use super::error::{ErrorBody, FieldProblem};
use super::handlers::health::HealthDetail;
use super::handlers::{create, docs, health, metrics, probes, search, search_all};
use super::response::Message;

/// Path of the listing, for its links.
pub const SEARCH_ALL: &str = "/api/v1/attendance/search/all";

/// One employee's status on one day, to be stored.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"id": "1", "name": "Asha", "status": "Present", "date": "2026-01-31"}))]
#[expect(dead_code, reason = "documents the domain's `CreateRequest`, which knows nothing of OpenAPI")]
pub struct NewRecord {
    /// Employee. No control characters, no white space at its ends.
    #[schema(min_length = 1, max_length = 128, example = "1")]
    id: String,
    /// Name. No control characters, no white space at its ends.
    #[schema(min_length = 1, max_length = 256, example = "Asha")]
    name: String,
    /// Status. No control characters, no white space at its ends.
    #[schema(min_length = 1, max_length = 64, example = "Present")]
    status: String,
    /// Day, of the years 0001 to 9999: `YYYY-MM-DD` (an ISO 8601 time may follow and is ignored), `YYYYMMDD`,
    /// `YYYY/MM/DD` or `Tue, 01 Aug 2023 00:00:00 GMT`.
    #[schema(example = "2026-01-31")]
    date: String,
}

/// One employee's status on one day, as it is stored. Other programs may write to the table, too: what they left
/// empty is `null`.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"id": "1", "name": "Asha", "status": "Present", "date": "2026-01-31"}))]
#[expect(dead_code, reason = "documents the domain's record, which knows nothing of OpenAPI")]
pub struct Record {
    /// Employee.
    #[schema(required = true, example = "1")]
    id: Option<String>,
    /// Name.
    #[schema(required = true, example = "Asha")]
    name: Option<String>,
    /// Status.
    #[schema(required = true, example = "Present")]
    status: Option<String>,
    /// Day: `YYYY-MM-DD`, or `Tue, 01 Aug 2023 00:00:00 GMT` where `api.date_format` is `http`. A day no client could
    /// have sent (`infinity`, before the year 1, after 9999) is written as PostgreSQL does.
    #[schema(required = true, example = "2026-01-31")]
    date: Option<String>,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Attendance API",
        description = "Records who was present on which day.\n\nEvery error has one shape (`Error`); every answer has an `X-Request-Id`, which is also in the log. \
            A read that starts after a create was acknowledged sees it.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "This server")),
    tags(
        (name = "attendance", description = "Records"),
        (name = "health", description = "For load balancers and orchestrators"),
        (name = "operation", description = "For whoever runs it")
    ),
    paths(
        create::create,
        search::search,
        search_all::search_all,
        health::health,
        health::detail,
        probes::livez,
        probes::readyz,
        metrics::metrics,
        docs::openapi
    ),
    components(schemas(NewRecord, Record, Message, ErrorBody, FieldProblem, HealthDetail)),
    modifiers(&Common)
)]
struct Document;

/// What all operations have in common.
struct Common;

/// Status, name and meaning of what any operation can answer.
const ANY: [(&str, &str, &str); 5] = [
    ("400", "BadRequest", "The request line or a header is not valid HTTP"),
    ("414", "UriTooLong", "The path or the query is longer than 8192 bytes"),
    ("431", "HeadTooLarge", "The request line and headers are larger than `server.max_head`"),
    ("500", "ServerFault", "A bug: the log has the reason under the request id that the message names"),
    ("503", "Unavailable", "The database cannot be used at the moment, or the server is stopping"),
];

impl Modify for Common {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for operation in document.paths.paths.values_mut().flat_map(operations) {
            for (status, name, _) in ANY {
                let response = || RefOr::Ref(Ref::from_response_name(name));
                operation.responses.responses.entry(status.to_owned()).or_insert_with(response);
            }
            for response in operation.responses.responses.values_mut() {
                if let RefOr::T(response) = response {
                    carry_request_id(response);
                }
            }
        }
        let components = document.components.get_or_insert_default();
        for (_, name, meaning) in ANY {
            components.responses.insert(name.to_owned(), RefOr::T(failure(name, meaning)));
        }
    }
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut path.get, &mut path.post].into_iter().flatten()
}

fn carry_request_id(response: &mut Response) {
    let description =
        "The client's own, if it sent one of 1 to 128 of `A-Z a-z 0-9 . _ -`, else a new one; also in the log";
    response.headers.insert("X-Request-Id".to_owned(), header(Type::String, description));
}

fn header(value: Type, description: &str) -> RefOr<Header> {
    let schema = ObjectBuilder::new().schema_type(value).build();
    RefOr::T(HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build())
}

fn failure(name: &str, meaning: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
    let mut response = ResponseBuilder::new().description(meaning).content("application/json", content).build();
    carry_request_id(&mut response);
    if name == "Unavailable" {
        let description = "Seconds until it is worth trying again";
        response.headers.insert("Retry-After".to_owned(), header(Type::Integer, description));
    }
    response
}

/// The document, as it is served: indented JSON with a newline at its end.
pub fn json() -> String {
    let mut json = serde_json::to_string_pretty(&Document::openapi()).unwrap_or_default();
    json.push('\n');
    json
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
            "the OpenAPI document has changed. If that is meant, run `UPDATE_GOLDEN=1 cargo test the_document_is_the_reviewed_one` and review the difference in src/http/openapi.golden.json"
        );
    }

    #[test]
    fn every_operation_has_an_id_a_summary_and_the_common_answers() {
        let mut document = Document::openapi();
        let mut count = 0;
        for operation in document.paths.paths.values_mut().flat_map(operations) {
            assert!(operation.operation_id.is_some() && operation.summary.is_some());
            for status in ["200", "400", "414", "431", "500", "503"] {
                assert!(operation.responses.responses.contains_key(status), "{:?} {status}", operation.operation_id);
            }
            count += 1;
        }
        assert_eq!(count, 9);
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
