//! Every route on one page.
//!
//! Policy: a path is percent-decoded, then compared as it is; case matters, `..` means nothing. A trailing or double slash is not
//! another resource: the client is sent to the clean path (308). HEAD works wherever GET does, OPTIONS
//! everywhere; what is unknown is a JSON 404, a known path with another method a 405 with `Allow`.

use std::borrow::Cow;
use std::time::Instant;

use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, CONTENT_LENGTH, HeaderValue};
use hyper::{Method, Request, StatusCode};
use percent_encoding::percent_decode_str;

use super::error::{ErrorStatus, HttpError};
use super::handlers::{create, docs, health, home, metrics, probes, search, search_all};
use super::request::RequestContext;
use super::response::Reply;
use super::state::AppState;

/// Longest path and query, in bytes.
const MAX_TARGET_LENGTH: usize = 8192;
/// Label of what is no route.
pub const UNMATCHED: Label = Label(ROUTES.len());
/// How many labels there are.
pub const LABELS: usize = ROUTES.len() + 1;
/// The route that is not counted.
pub const METRICS: &str = "/metrics";

/// The methods of a resource, as `Allow` lists them.
const GET: &str = "GET, HEAD, OPTIONS";
const POST: &str = "OPTIONS, POST";

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Create,
    Search,
    SearchAll,
    Health,
    HealthDetail,
    Livez,
    Readyz,
    Metrics,
    OpenApi,
    DocsPage,
    DocsFile,
    Favicon,
    Home,
    /// Another name of the path given.
    Moved(&'static str),
}

/// A route in log and metrics: its place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label(usize);

impl Label {
    /// The route, or `unmatched`.
    pub fn text(self) -> &'static str {
        ROUTES.get(self.0).map_or("unmatched", |(path, _, _)| path)
    }

    /// Less than [`LABELS`].
    pub fn number(self) -> usize {
        self.0
    }
}

/// Path (its label in metrics, too), methods, endpoint. `{file}` stands for one last piece.
const ROUTES: [(&str, &str, Endpoint); 17] = [
    ("/api/v1/attendance/search", GET, Endpoint::Search),
    ("/api/v1/attendance/create", POST, Endpoint::Create),
    ("/api/v1/attendance/search/all", GET, Endpoint::SearchAll),
    ("/api/v1/attendance/health", GET, Endpoint::Health),
    ("/api/v1/attendance/health/detail", GET, Endpoint::HealthDetail),
    ("/livez", GET, Endpoint::Livez),
    ("/readyz", GET, Endpoint::Readyz),
    (METRICS, GET, Endpoint::Metrics),
    ("/openapi.json", GET, Endpoint::OpenApi),
    ("/apispec_1.json", GET, Endpoint::OpenApi),
    ("/apidocs", GET, Endpoint::Moved("/apidocs/")),
    ("/apidocs/index.html", GET, Endpoint::Moved("/apidocs/")),
    ("/apidocs/", GET, Endpoint::DocsPage),
    ("/apidocs/{file}", GET, Endpoint::DocsFile),
    ("/favicon.ico", GET, Endpoint::Favicon),
    ("/", GET, Endpoint::Home),
    ("/index.html", GET, Endpoint::Moved("/")),
];

async fn dispatch(endpoint: Endpoint, context: &mut RequestContext) -> Result<Reply, HttpError> {
    // Every request makes room for the largest of these; what takes long anyway is in a box of its own.
    match endpoint {
        Endpoint::Create => Box::pin(create::create(context)).await,
        Endpoint::Search => search::search(context).await,
        Endpoint::SearchAll => search_all::search_all(context).await,
        Endpoint::Health => health::health(context).await,
        Endpoint::HealthDetail => Box::pin(health::detail(context)).await,
        Endpoint::Livez => Ok(probes::livez()),
        Endpoint::Readyz => probes::readyz(context).await,
        Endpoint::Metrics => metrics::metrics(context),
        Endpoint::OpenApi => Ok(docs::openapi(context)),
        Endpoint::DocsPage => docs::page(),
        Endpoint::DocsFile => docs::file(context),
        Endpoint::Favicon => docs::favicon(),
        Endpoint::Home => Ok(Box::pin(home::home(context)).await),
        Endpoint::Moved(path) => Ok(Reply::moved(&with_query(path, context.query()))),
    }
}

/// Where a request leads.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    /// To an endpoint.
    Endpoint(EndpointRoute),
    /// To a resource that does not know the method.
    WrongMethod {
        /// The resource.
        label: Label,
        /// The methods it knows.
        allow: &'static str,
    },
    /// To a resource, asked for its methods.
    Options {
        /// The resource.
        label: Label,
        /// The methods it knows.
        allow: &'static str,
    },
    /// To a resource under another spelling of its path.
    Unclean(String),
    /// The path is too long to be looked at.
    TooLong,
    /// Nowhere.
    Unknown,
}

/// A route to an endpoint.
#[derive(Debug, PartialEq, Eq)]
pub struct EndpointRoute {
    endpoint: Endpoint,
    label: Label,
    /// What stands for `{file}`.
    file: String,
}

/// Where a method and a raw path lead.
pub fn find(method: &Method, raw_path: &str) -> Route {
    if raw_path.len() > MAX_TARGET_LENGTH {
        return Route::TooLong;
    }
    let path =
        if raw_path.contains('%') { percent_decode_str(raw_path).decode_utf8_lossy() } else { Cow::Borrowed(raw_path) };
    if let Some((label, allow, endpoint, file)) = resource(&path) {
        return if *method == Method::OPTIONS {
            Route::Options { label, allow }
        } else if takes(allow, method) {
            Route::Endpoint(EndpointRoute { endpoint, label, file: file.to_owned() })
        } else {
            Route::WrongMethod { label, allow }
        };
    }
    let clean = clean(&path);
    match resource(&clean) {
        // A piece that a client chose would have to be encoded again; there is none in the other routes.
        Some((_, _, _, file)) if clean != path && file.is_empty() => Route::Unclean(clean.into_owned()),
        _ => Route::Unknown,
    }
}

fn takes(allow: &str, method: &Method) -> bool {
    match *method {
        Method::GET | Method::HEAD => allow == GET,
        Method::POST => allow == POST,
        _ => false,
    }
}

fn resource(path: &str) -> Option<(Label, &'static str, Endpoint, &str)> {
    ROUTES.iter().enumerate().find_map(|(at, &(route, allow, endpoint))| match route.strip_suffix("{file}") {
        None => (route == path).then_some((Label(at), allow, endpoint, "")),
        Some(folder) => {
            let file = path.strip_prefix(folder).filter(|file| !file.is_empty() && !file.contains('/'))?;
            Some((Label(at), allow, endpoint, file))
        }
    })
}

/// The path with single slashes and none at its end.
fn clean(path: &str) -> Cow<'_, str> {
    if !path.contains("//") && !path.ends_with('/') {
        return Cow::Borrowed(path);
    }
    let clean: String = path.split('/').filter(|piece| !piece.is_empty()).flat_map(|piece| ["/", piece]).collect();
    Cow::Owned(if clean.is_empty() { "/".to_owned() } else { clean })
}

fn with_query(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

impl Route {
    /// Label for metrics: the route, or `unmatched`.
    pub fn label(&self) -> Label {
        match self {
            Self::Endpoint(EndpointRoute { label, .. })
            | Self::WrongMethod { label, .. }
            | Self::Options { label, .. } => *label,
            Self::Unclean(_) | Self::TooLong | Self::Unknown => UNMATCHED,
        }
    }

    /// Whether it is asked whether the process lives, which a draining one does.
    pub fn is_liveness(&self) -> bool {
        matches!(self, Self::Endpoint(EndpointRoute { endpoint: Endpoint::Livez, .. }))
    }

    /// Answers the request without waiting for anything, if that is possible: what this process has in memory is sent as it is.
    pub fn try_answer_cached(&self, app: &AppState, request: &Request<Incoming>, now: Instant) -> Option<Reply> {
        let Self::Endpoint(EndpointRoute { endpoint, .. }) = self else { return None };
        let query = request.uri().query().unwrap_or_default();
        if request.method() != Method::GET || query.len() > MAX_TARGET_LENGTH || !request.body().is_end_stream() {
            return None;
        }
        match endpoint {
            Endpoint::Search => search::try_cached(app, query, request.headers(), now),
            Endpoint::SearchAll => search_all::try_cached(app, query, request.headers(), now),
            _ => None,
        }
    }

    /// Answers the request.
    pub async fn answer(self, context: &mut RequestContext) -> Result<Reply, HttpError> {
        if context.query().len() > MAX_TARGET_LENGTH {
            return Self::too_long();
        }
        match self {
            Self::Endpoint(EndpointRoute { endpoint, file, .. }) => {
                context.file = file;
                dispatch(endpoint, context).await
            }
            Self::WrongMethod { allow, .. } => Err(HttpError::method_not_allowed(allow)),
            Self::Options { allow, .. } => {
                let mut reply = Reply::empty(StatusCode::OK);
                reply.headers.insert(ALLOW, HeaderValue::from_static(allow));
                reply.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
                Ok(reply)
            }
            Self::Unclean(path) => Ok(Reply::moved(&with_query(&path, context.query()))),
            Self::TooLong => Self::too_long(),
            Self::Unknown => Err(HttpError::new(
                ErrorStatus::NOT_FOUND,
                "There is no such resource. GET /openapi.json describes those there are, /apidocs/ shows them.",
            )),
        }
    }

    fn too_long() -> Result<Reply, HttpError> {
        let message = format!("The path and the query may each have at most {MAX_TARGET_LENGTH} bytes.");
        Err(HttpError::new(ErrorStatus::URI_TOO_LONG, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(method: Method, path: &str) -> Option<Endpoint> {
        match find(&method, path) {
            Route::Endpoint(route) => Some(route.endpoint),
            _ => None,
        }
    }

    #[test]
    fn every_route_leads_to_its_own_endpoint() {
        for (path, allow, expected) in ROUTES {
            let method = if allow == POST { Method::POST } else { Method::GET };
            assert_eq!(endpoint(method.clone(), path), Some(expected), "{path}");
            let label = find(&method, path).label();
            assert_eq!(label.text(), path);
            assert_eq!(find(&Method::OPTIONS, path), Route::Options { label, allow });
            assert_eq!(find(&Method::PATCH, path), Route::WrongMethod { label, allow });
            assert_eq!(endpoint(Method::HEAD, path).is_some(), allow == GET, "{path}");
        }
    }

    #[test]
    fn paths_are_decoded_but_not_normalised() {
        assert_eq!(endpoint(Method::GET, "/api/v1/attendance/h%65alth"), Some(Endpoint::Health));
        for path in [
            "/API/V1/ATTENDANCE/HEALTH",
            "/api/v1/attendance/x/../health",
            "/nope",
            "/nope/",
            "*",
            "",
            "/apidocs/a/b",
            "/metrics%00",
            "/%ff",
        ] {
            assert_eq!(find(&Method::GET, path), Route::Unknown, "{path}");
        }
        assert_eq!(find(&Method::GET, &"/x".repeat(5000)), Route::TooLong);
    }

    #[test]
    fn slashes_too_many_lead_to_the_clean_path() {
        for (path, clean) in [
            ("/api/v1/attendance/health/", "/api/v1/attendance/health"),
            ("//api/v1//attendance/health", "/api/v1/attendance/health"),
            ("/metrics%2F", "/metrics"),
            ("/apidocs//", "/apidocs"),
            ("//", "/"),
        ] {
            assert_eq!(find(&Method::GET, path), Route::Unclean(clean.to_owned()), "{path}");
        }
        assert_eq!(with_query("/x", "id=1"), "/x?id=1");
    }

    #[test]
    fn an_unknown_method_is_known_to_be_wrong() {
        let foo = Method::from_bytes(b"FOO").unwrap();
        assert!(matches!(find(&foo, "/"), Route::WrongMethod { allow: GET, .. }));
    }
}
