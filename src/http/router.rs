//! Finds the route of a request and answers the request.
//!
//! Policy: a path without parameters is percent-decoded and compared as it is: case matters, and `..` has no meaning. A path with
//! parameters is split into raw segments before each one is decoded, once, so that a parameter may contain any character, an
//! encoded slash included. A trailing or double slash is not another resource: the client is redirected to the clean path (308).
//! HEAD works wherever GET does, OPTIONS everywhere, also for `*`. An unknown path is a JSON 404, a known path with another method a 405 with
//! `Allow`.

use std::borrow::Cow;
use std::time::Instant;

use hyper::body::{Body as _, Incoming};
use hyper::{Method, Request};
use percent_encoding::percent_decode_str;

use super::cached_read::{FastPath, PendingRead};
use super::error::{ErrorStatus, HttpError};
use super::request::{PathParameters, RequestContext};
use super::request_metrics::RouteLabel;
use super::response::Reply;
use super::route::{self, Endpoint, Handler, ROUTES, Route};
use super::state::AppState;

/// The longest path and the longest query, in bytes.
const MAX_TARGET_LENGTH: usize = 8192;

/// The message for a path that is in no route.
const UNKNOWN: &str = "There is no such resource. GET /openapi.json describes those there are, /apidocs/ shows them.";

/// Where a request leads.
#[derive(Debug)]
pub enum RouteMatch {
    /// To an endpoint.
    Found(EndpointMatch),
    /// To a route that does not have the method.
    WrongMethod(RouteLabel, &'static Route),
    /// To a route, to ask for its methods.
    Options(RouteLabel, &'static Route),
    /// To the server as a whole (`*`), to ask for its methods.
    ServerOptions,
    /// To a route whose path is spelled with superfluous slashes; contains the clean path.
    Unclean(String),
    /// To no route, because the path is too long.
    TooLong,
    /// To no route.
    Unknown,
}

/// A request to an endpoint.
#[derive(Debug)]
pub struct EndpointMatch {
    endpoint: &'static Endpoint,
    label: RouteLabel,
    parameters: PathParameters,
}

/// Finds the route of a method and a raw path.
pub fn find(method: &Method, raw_path: &str) -> RouteMatch {
    if raw_path.len() > MAX_TARGET_LENGTH {
        return RouteMatch::TooLong;
    }
    let path = decode(raw_path);
    let found = find_literal(&path).map(|(label, route)| (label, route, PathParameters::default()));
    if let Some((label, route, parameters)) = found.or_else(|| find_template(raw_path)) {
        return match route.endpoint(method) {
            Some(endpoint) => RouteMatch::Found(EndpointMatch { endpoint, label, parameters }),
            None if *method == Method::OPTIONS => RouteMatch::Options(label, route),
            None => RouteMatch::WrongMethod(label, route),
        };
    }
    if raw_path == "*" && *method == Method::OPTIONS {
        return RouteMatch::ServerOptions;
    }
    let clean = clean(&path);
    if find_literal(&clean).is_some() { RouteMatch::Unclean(clean.into_owned()) } else { RouteMatch::Unknown }
}

/// Finds a route without parameters by its decoded path.
fn find_literal(path: &str) -> Option<(RouteLabel, &'static Route)> {
    let (position, route) = ROUTES.iter().enumerate().find(|(_, route)| route.path == path)?;
    (!route.has_parameters()).then(|| (route::label(position, route), route))
}

/// Finds a route with parameters by its raw path.
fn find_template(raw_path: &str) -> Option<(RouteLabel, &'static Route, PathParameters)> {
    ROUTES.iter().enumerate().filter(|(_, route)| route.has_parameters()).find_map(|(position, route)| {
        let parameters = match_template(route.path, raw_path)?;
        Some((route::label(position, route), route, parameters))
    })
}

/// The parameters of a path that matches a template. A parameter is never empty.
fn match_template(template: &'static str, raw_path: &str) -> Option<PathParameters> {
    let mut parameters = PathParameters::default();
    let mut segments = raw_path.split('/');
    for expected in template.split('/') {
        let segment = decode(segments.next()?);
        match expected.strip_prefix('{').and_then(|expected| expected.strip_suffix('}')) {
            Some(name) if !segment.is_empty() => parameters.push(name, segment.into_owned()),
            None if expected == segment => {}
            _ => return None,
        }
    }
    segments.next().is_none().then_some(parameters)
}

fn decode(raw: &str) -> Cow<'_, str> {
    if raw.contains('%') { percent_decode_str(raw).decode_utf8_lossy() } else { Cow::Borrowed(raw) }
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

impl RouteMatch {
    /// The label of the request in log and metrics.
    pub fn label(&self) -> RouteLabel {
        match self {
            Self::Found(EndpointMatch { label, .. }) | Self::WrongMethod(label, _) | Self::Options(label, _) => *label,
            Self::ServerOptions | Self::Unclean(_) | Self::TooLong | Self::Unknown => RouteLabel::UNMATCHED,
        }
    }

    /// Whether the request asks whether the process lives, which is also true while it drains.
    pub fn is_liveness(&self) -> bool {
        matches!(self, Self::Found(EndpointMatch { label, .. }) if label.path() == route::LIVEZ)
    }

    /// Tries to answer the request from this process's memory, without waiting.
    pub fn try_answer_cached(&self, app: &AppState, request: &Request<Incoming>, now: Instant) -> FastPath {
        let Self::Found(EndpointMatch { endpoint, label, .. }) = self else { return FastPath::Skipped };
        let Handler::CachedRead(handler) = &endpoint.handler else { return FastPath::Skipped };
        let query = request.uri().query().unwrap_or_default();
        let is_possible = request.method() == Method::GET
            && query.len() <= MAX_TARGET_LENGTH
            && request.body().is_end_stream()
            && app.attendance.has_memory_cache();
        if !is_possible {
            return FastPath::Skipped;
        }
        (handler.try_cached)(app, *label, query, request.headers(), now)
    }

    /// Answers the request. `read` is what the fast path has parsed.
    pub async fn answer(
        self,
        context: &mut RequestContext,
        read: Option<Box<dyn PendingRead>>,
    ) -> Result<Reply, HttpError> {
        if context.query().len() > MAX_TARGET_LENGTH {
            return Err(too_long());
        }
        match self {
            Self::Found(found) => found.answer(context, read).await,
            Self::WrongMethod(_, route) => Err(HttpError::method_not_allowed(route.allow())),
            Self::Options(_, route) => Ok(Reply::options(route.allow())),
            Self::ServerOptions => Ok(Reply::options(route::allow_all())),
            Self::Unclean(path) => Ok(Reply::redirect(&with_query(&path, context.query()))),
            Self::TooLong => Err(too_long()),
            Self::Unknown => Err(HttpError::new(ErrorStatus::NOT_FOUND, UNKNOWN)),
        }
    }
}

impl EndpointMatch {
    async fn answer(
        self,
        context: &mut RequestContext,
        read: Option<Box<dyn PendingRead>>,
    ) -> Result<Reply, HttpError> {
        context.parameters = self.parameters;
        if let Some(read) = read {
            return read.read(context).await;
        }
        match self.endpoint.handler {
            Handler::Immediate(handler) => handler(context),
            Handler::Async(handler) => handler(context).await,
            Handler::CachedRead(handler) => (handler.read)(context, self.label).await,
            Handler::Redirect(path) => Ok(Reply::redirect(&with_query(path, context.query()))),
        }
    }
}

fn too_long() -> HttpError {
    let message = format!("The path and the query may each have at most {MAX_TARGET_LENGTH} bytes.");
    HttpError::new(ErrorStatus::URI_TOO_LONG, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::handlers::{home, probes};
    use crate::http::route::RouteMethod;

    /// The path of the route to whose endpoint a request leads.
    fn found(method: Method, path: &str) -> Option<&'static str> {
        match find(&method, path) {
            RouteMatch::Found(found) => Some(found.label.path()),
            _ => None,
        }
    }

    #[test]
    fn every_route_is_found_by_its_methods_and_only_by_those() {
        for route in &ROUTES {
            let path = route.path.replace("{file}", "x.js");
            for endpoint in route.endpoints {
                let method = Method::from_bytes(endpoint.method.as_str().as_bytes()).unwrap();
                assert_eq!(found(method, &path), Some(route.path));
            }
            let has_get = route.endpoints.iter().any(|endpoint| endpoint.method == RouteMethod::Get);
            assert_eq!(found(Method::HEAD, &path).is_some(), has_get, "{path}");
            assert!(
                matches!(find(&Method::OPTIONS, &path), RouteMatch::Options(label, _) if label.path() == route.path)
            );
            assert!(
                matches!(find(&Method::PATCH, &path), RouteMatch::WrongMethod(label, _) if label.path() == route.path)
            );
        }
    }

    #[test]
    fn paths_are_decoded_but_not_normalised() {
        let health = "/api/v1/attendance/health";
        assert_eq!(found(Method::GET, "/api/v1/attendance/h%65alth"), Some(health));
        for path in [
            "/API/V1/ATTENDANCE/HEALTH",
            "/api/v1/attendance/x/../health",
            "/nope",
            "/nope/",
            "*",
            "",
            "/apidocs/a/b",
            "/apidocs/{file}/",
            "/metrics%00",
            "/%ff",
        ] {
            assert!(matches!(find(&Method::GET, path), RouteMatch::Unknown), "{path}");
        }
        assert!(matches!(find(&Method::GET, &"/x".repeat(5000)), RouteMatch::TooLong));
    }

    #[test]
    fn superfluous_slashes_lead_to_the_clean_path() {
        for (path, expected) in [
            ("/api/v1/attendance/health/", "/api/v1/attendance/health"),
            ("//api/v1//attendance/health", "/api/v1/attendance/health"),
            ("/metrics%2F", "/metrics"),
            ("/apidocs//", "/apidocs"),
            ("//", "/"),
        ] {
            assert!(matches!(find(&Method::GET, path), RouteMatch::Unclean(clean) if clean == expected), "{path}");
        }
        assert_eq!(with_query("/x", "id=1"), "/x?id=1");
    }

    #[test]
    fn a_parameter_is_one_segment_that_is_decoded_once() {
        let template = "/records/{id}/{date}";
        let parameters = match_template(template, "/records/a%2Fb%2525/2026-01-31").unwrap();
        assert_eq!((parameters.get("id"), parameters.get("date")), ("a/b%25", "2026-01-31"));
        let parameters = match_template(template, "/r%65cords/%C3%BC/..").unwrap();
        assert_eq!((parameters.get("id"), parameters.get("date")), ("ü", ".."));
        for path in ["/records/a", "/records/a/b/c", "/records//b", "/records/a/", "/other/a/b", "records/a/b"] {
            assert!(match_template(template, path).is_none(), "{path}");
        }
    }

    #[test]
    fn every_path_in_a_text_is_the_path_of_a_route() {
        let links = home::PAGE.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let examples =
            home::PAGE.split("http://{{host}}").skip(1).filter_map(|rest| rest.split([' ', '?', '\'']).next());
        let messages =
            UNKNOWN.split([' ', ',']).chain(probes::NOT_READY.split(' ')).filter(|word| word.starts_with('/'));
        let paths: Vec<&str> = links.chain(examples).chain(messages).collect();
        assert_eq!(paths.len(), 5 + 3 + 3, "{paths:?}");
        for path in paths {
            assert!(!matches!(find(&Method::GET, path), RouteMatch::Unknown | RouteMatch::Unclean(_)), "{path}");
        }
    }

    #[test]
    fn a_star_is_a_target_of_options_only() {
        assert!(matches!(find(&Method::OPTIONS, "*"), RouteMatch::ServerOptions));
        assert!(matches!(find(&Method::GET, "*"), RouteMatch::Unknown));
        assert!(matches!(find(&Method::OPTIONS, "/*"), RouteMatch::Unknown));
    }

    #[test]
    fn a_known_path_with_an_invented_method_is_a_wrong_method() {
        let invented = Method::from_bytes(b"FOO").unwrap();
        assert!(matches!(find(&invented, "/"), RouteMatch::WrongMethod(..)));
    }
}
