//! Finds the route of a request and answers the request.
//!
//! Policy: a path without parameters is percent-decoded and compared as it is: case matters, and `..` has no meaning. A path with
//! parameters is split into raw segments before each one is decoded, once, so that a parameter may contain any character, an
//! encoded slash included. A trailing or double slash is not another resource: the client is redirected to the clean path (308). That is
//! not done where a slash may belong to a parameter: neither to a path with parameters nor, from an encoded slash, to one above it.
//! HEAD works wherever GET does, OPTIONS everywhere, also for `*`. An unknown path is a JSON 404, a known path with another method a 405 with
//! `Allow`. Below the base path, everything is as at the root, and the client gets links and redirects below it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use hyper::body::{Body as _, Incoming};
use hyper::{Method, Request};
use memchr::memchr;
use percent_encoding::percent_decode_str;

use super::cached_read::{FastPath, PendingRead};
use super::caller::Caller;
use super::error::{ErrorStatus, HttpError};
use super::request::{HandlerFuture, PathParameters, RequestContext};
use super::request_metrics::RouteLabel;
use super::requirement::Requirement;
use super::response::Reply;
use super::route::{self, Endpoint, Handler, Route};
use super::route_path::RoutePath;
use super::route_table::{self, LIVEZ};
use super::state::AppState;

/// The longest path and the longest query, in bytes.
const MAX_TARGET_LENGTH: usize = 8192;

/// The message for a path that is in no route.
const UNKNOWN: &str = "There is no such resource. GET /openapi.json describes those there are, /apidocs/ shows them.";

/// Where a request leads.
#[derive(Debug)]
pub struct RouteMatch {
    /// The base path, if the request came below it.
    base_path: Option<Arc<str>>,
    target: Target,
    /// The routes that are served.
    routes: &'static [Route],
}

/// Where a path leads that is not below the base path, or what follows the base path.
#[derive(Debug)]
enum Target {
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

/// What a request is answered with. Its errors are those of the handler, or of a path, query or method that no route has.
pub enum ReplyOrFuture<'a> {
    /// It is complete.
    Reply(Result<Reply, HttpError>),
    /// The handler waits for something.
    Future(HandlerFuture<'a>),
}

/// A request to an endpoint.
#[derive(Debug)]
struct EndpointMatch {
    endpoint: &'static Endpoint,
    label: RouteLabel,
    parameters: PathParameters,
}

/// Finds the route of a method and a raw path among those that are served.
pub fn find(routes: &'static [Route], method: &Method, raw_path: &str, base_path: Option<&Arc<str>>) -> RouteMatch {
    if let Some(base_path) = base_path
        && let Some(target) = find_below(routes, method, raw_path, base_path)
    {
        return RouteMatch { base_path: Some(Arc::clone(base_path)), target, routes };
    }
    RouteMatch { base_path: None, target: find_target(routes, method, raw_path), routes }
}

/// Finds the route of a path below the base path. The path of a route itself is never below it.
fn find_below(routes: &'static [Route], method: &Method, raw_path: &str, base_path: &str) -> Option<Target> {
    if raw_path.len() > MAX_TARGET_LENGTH || find_literal(routes, &decode(raw_path)).is_some() {
        return None;
    }
    let rest = match strip_base(raw_path, base_path) {
        Some("") => return Some(Target::Unclean("/".to_owned())),
        Some(rest) => rest,
        None => {
            let path = decode(raw_path);
            let clean = clean(&path);
            let rest = clean.strip_prefix(base_path).filter(|_| clean != path)?;
            let rest = if rest.is_empty() { "/" } else { rest };
            return find_literal(routes, rest).map(|_| Target::Unclean(rest.to_owned()));
        }
    };
    match find_target(routes, method, rest) {
        Target::Unknown => None,
        target => Some(target),
    }
}

/// What follows the base path: nothing, or a path.
fn strip_base<'a>(raw_path: &'a str, base_path: &str) -> Option<&'a str> {
    base_path.split('/').skip(1).try_fold(raw_path, |rest, expected| {
        let rest = rest.strip_prefix('/')?;
        let (segment, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        (decode(segment) == expected).then_some(rest)
    })
}

fn find_target(routes: &'static [Route], method: &Method, raw_path: &str) -> Target {
    if raw_path.len() > MAX_TARGET_LENGTH {
        return Target::TooLong;
    }
    let path = decode(raw_path);
    let found = find_literal(routes, &path).map(|(label, route)| (label, route, PathParameters::default()));
    if let Some((label, route, parameters)) = found.or_else(|| find_template(routes, raw_path)) {
        return match route.endpoint(method) {
            Some(endpoint) => Target::Found(EndpointMatch { endpoint, label, parameters }),
            None if *method == Method::OPTIONS => Target::Options(label, route),
            None => Target::WrongMethod(label, route),
        };
    }
    if raw_path == "*" && *method == Method::OPTIONS {
        return Target::ServerOptions;
    }
    let clean = clean(&path);
    let is_slash_encoded = path.matches('/').count() > raw_path.matches('/').count();
    if find_literal(routes, &clean).is_none() || (is_slash_encoded && has_parameters_below(routes, &clean)) {
        return Target::Unknown;
    }
    Target::Unclean(clean.into_owned())
}

/// Whether a path with parameters begins with this path.
fn has_parameters_below(routes: &[Route], path: &str) -> bool {
    let is_below = |route: &Route| route.path.strip_prefix(path).is_some_and(|rest| rest.starts_with("/{"));
    routes.iter().any(is_below)
}

/// Finds a route without parameters by its decoded path.
fn find_literal(routes: &'static [Route], path: &str) -> Option<(RouteLabel, &'static Route)> {
    let (position, route) = routes.iter().enumerate().find(|(_, route)| route.path == path)?;
    (!route.has_parameters()).then(|| (route_table::label(position, route), route))
}

/// Finds a route with parameters by its raw path.
fn find_template(routes: &'static [Route], raw_path: &str) -> Option<(RouteLabel, &'static Route, PathParameters)> {
    routes.iter().enumerate().filter(|(_, route)| route.has_parameters()).find_map(|(position, route)| {
        let parameters = match_template(route.path, raw_path)?;
        Some((route_table::label(position, route), route, parameters))
    })
}

/// The parameters of a path that matches a template. A parameter is never empty.
fn match_template(template: &'static str, raw_path: &str) -> Option<PathParameters> {
    let mut parameters = PathParameters::default();
    let mut segments = raw_path.split('/');
    for expected in template.split('/') {
        let segment = segments.next()?;
        match expected.strip_prefix('{').and_then(|expected| expected.strip_suffix('}')) {
            Some(name) if !segment.is_empty() => parameters.push(name, segment),
            None if expected == decode(segment) => {}
            _ => return None,
        }
    }
    segments.next().is_none().then_some(parameters)
}

fn decode(raw: &str) -> Cow<'_, str> {
    if memchr(b'%', raw.as_bytes()).is_some() {
        percent_decode_str(raw).decode_utf8_lossy()
    } else {
        Cow::Borrowed(raw)
    }
}

/// The path with single slashes and none at its end.
fn clean(path: &str) -> Cow<'_, str> {
    if !path.contains("//") && !path.ends_with('/') {
        return Cow::Borrowed(path);
    }
    let clean: String = path.split('/').filter(|piece| !piece.is_empty()).flat_map(|piece| ["/", piece]).collect();
    Cow::Owned(if clean.is_empty() { "/".to_owned() } else { clean })
}

/// A redirect to a path as the client knows it, with the query of the request.
fn redirect(context: &RequestContext, path: &str) -> Reply {
    Reply::redirect(&with_query(context.link(path), context.query()))
}

fn with_query(path: String, query: &str) -> String {
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

impl RouteMatch {
    /// The label of the request in log and metrics.
    pub fn label(&self) -> RouteLabel {
        match &self.target {
            Target::Found(EndpointMatch { label, .. }) | Target::WrongMethod(label, _) | Target::Options(label, _) => {
                *label
            }
            Target::ServerOptions | Target::Unclean(_) | Target::TooLong | Target::Unknown => RouteLabel::UNMATCHED,
        }
    }

    /// Whether the request asks whether the process lives, which is also true while it drains.
    pub fn is_liveness(&self) -> bool {
        matches!(&self.target, Target::Found(EndpointMatch { label, .. }) if label.path() == LIVEZ)
    }

    /// Whether the request is a read that the cache may answer. It changes nothing, so it can be ended at any time.
    pub fn is_cached_read(&self) -> bool {
        matches!(&self.target, Target::Found(EndpointMatch { endpoint, .. }) if matches!(endpoint.handler, Handler::CachedRead(_)))
    }

    /// What the endpoint requires of its callers; `None` if the request leads to no endpoint.
    pub fn requirement(&self) -> Option<Requirement> {
        match &self.target {
            Target::Found(EndpointMatch { endpoint, .. }) => Some(endpoint.requirement),
            _ => None,
        }
    }

    /// Tries to answer the request of a caller from this process's memory, without waiting.
    pub fn try_answer_cached(
        &self,
        app: &AppState,
        request: &Request<Incoming>,
        caller: &Caller,
        now: Instant,
    ) -> FastPath {
        let Target::Found(EndpointMatch { endpoint, label, .. }) = &self.target else { return FastPath::Skipped };
        let Handler::CachedRead(handler) = &endpoint.handler else { return FastPath::Skipped };
        let query = request.uri().query().unwrap_or_default();
        let is_possible = request.method() == Method::GET
            && query.len() <= MAX_TARGET_LENGTH
            && request.body().is_end_stream()
            && app.attendance.has_memory_cache();
        if !is_possible {
            return FastPath::Skipped;
        }
        let path = RoutePath { base_path: self.base_path.clone(), path: label.path() };
        (handler.try_cached)(app, path, query, caller.visibility(), request.headers(), now)
    }

    /// Answers the request, or calls the handler that will. `read` is what the fast path has parsed.
    ///
    /// Not an async function: such a function would move the match and the context into a future around that of the handler.
    pub fn answer(self, context: &mut RequestContext, read: Option<Box<dyn PendingRead>>) -> ReplyOrFuture<'_> {
        if context.query().len() > MAX_TARGET_LENGTH {
            return ReplyOrFuture::Reply(Err(too_long()));
        }
        context.base_path = self.base_path;
        ReplyOrFuture::Reply(match self.target {
            Target::Found(found) => return found.answer(context, read),
            Target::WrongMethod(_, route) => Err(HttpError::method_not_allowed(route.allow())),
            Target::Options(_, route) => Ok(Reply::options(route.allow())),
            Target::ServerOptions => Ok(Reply::options(route::allow_all(self.routes))),
            Target::Unclean(path) => Ok(redirect(context, &path)),
            Target::TooLong => Err(too_long()),
            Target::Unknown => Err(HttpError::new(ErrorStatus::NOT_FOUND, UNKNOWN)),
        })
    }
}

impl EndpointMatch {
    fn answer(self, context: &mut RequestContext, read: Option<Box<dyn PendingRead>>) -> ReplyOrFuture<'_> {
        context.parameters = self.parameters;
        if let Some(read) = read {
            return ReplyOrFuture::Future(read.read(context));
        }
        match self.endpoint.handler {
            Handler::Immediate(handler) => ReplyOrFuture::Reply(handler(context)),
            Handler::Async(handler) => ReplyOrFuture::Future(handler(context)),
            Handler::Account(handler) => match context.caller.clone() {
                Caller::Account(principal) => {
                    ReplyOrFuture::Future(Box::pin(async move { handler(context, &principal).await }))
                }
                // The permission of the endpoint is not `Open`, which a test ensures.
                Caller::Anyone => ReplyOrFuture::Reply(Err(HttpError::invalid_credential())),
            },
            Handler::CachedRead(handler) => {
                let path = RoutePath { base_path: context.base_path.clone(), path: self.label.path() };
                ReplyOrFuture::Future((handler.read)(context, path))
            }
            Handler::Redirect(path) => ReplyOrFuture::Reply(Ok(redirect(context, path))),
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
    use crate::http::route_table::ROUTES;

    fn find_target(method: &Method, raw_path: &str) -> Target {
        super::find_target(ROUTES, method, raw_path)
    }

    /// The path of the route to whose endpoint a request leads.
    fn found(method: Method, path: &str) -> Option<&'static str> {
        match find_target(&method, path) {
            Target::Found(found) => Some(found.label.path()),
            _ => None,
        }
    }

    /// A path of a route.
    fn example(route: &Route) -> String {
        route.path.replace(['{', '}'], "")
    }

    #[test]
    fn every_route_is_found_by_its_methods_and_only_by_those() {
        for route in ROUTES {
            let path = example(route);
            for endpoint in route.endpoints {
                let method = Method::from_bytes(endpoint.method.as_str().as_bytes()).unwrap();
                assert_eq!(found(method, &path), Some(route.path));
            }
            let has_get = route.endpoints.iter().any(|endpoint| endpoint.method == RouteMethod::Get);
            assert_eq!(found(Method::HEAD, &path).is_some(), has_get, "{path}");
            assert!(
                matches!(find_target(&Method::OPTIONS, &path), Target::Options(label, _) if label.path() == route.path)
            );
            assert!(
                matches!(find_target(&Method::CONNECT, &path), Target::WrongMethod(label, _) if label.path() == route.path)
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
            assert!(matches!(find_target(&Method::GET, path), Target::Unknown), "{path}");
        }
        assert!(matches!(find_target(&Method::GET, &"/x".repeat(5000)), Target::TooLong));
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
            assert!(matches!(find_target(&Method::GET, path), Target::Unclean(clean) if clean == expected), "{path}");
        }
        assert_eq!(with_query("/x".to_owned(), "id=1"), "/x?id=1");
    }

    #[test]
    fn a_parameter_is_one_segment_that_is_decoded_once() {
        let template = "/records/{id}/{date}";
        let parameters = match_template(template, "/records/a%2Fb%2525/2026-01-31").unwrap();
        assert_eq!((parameters.get("id"), parameters.get("date")), ("a/b%25", "2026-01-31"));
        assert_eq!(parameters.text("id").ok(), Some("a/b%25"));
        let parameters = match_template(template, "/r%65cords/%C3%BC/..").unwrap();
        assert_eq!((parameters.get("id"), parameters.get("date")), ("ü", ".."));
        for path in ["/records/%ff/x", "/records/a%00/x", "/records/%zz/x", "/records/%/x"] {
            assert_eq!(match_template(template, path).unwrap().text("id").unwrap_err().status(), 400, "{path}");
        }
        for path in ["/records/a", "/records/a/b/c", "/records//b", "/records/a/", "/other/a/b", "records/a/b"] {
            assert!(match_template(template, path).is_none(), "{path}");
        }
    }

    #[test]
    fn every_path_in_a_text_is_the_path_of_a_route() {
        let links = home::PAGE.split("href=\"{{base_path}}").skip(1).filter_map(|rest| rest.split('"').next());
        let examples = home::PAGE
            .split("{{scheme}}://{{host}}{{base_path}}")
            .skip(1)
            .filter_map(|rest| rest.split([' ', '?', '\'']).next());
        let messages =
            UNKNOWN.split([' ', ',']).chain(probes::NOT_READY.split(' ')).filter(|word| word.starts_with('/'));
        let summary = [home::DOCS, home::HEALTH];
        let paths: Vec<&str> = links.chain(examples).chain(messages).chain(summary).collect();
        assert_eq!(paths.len(), 5 + 3 + 3 + 2, "{paths:?}");
        for path in paths {
            assert!(!matches!(find_target(&Method::GET, path), Target::Unknown | Target::Unclean(_)), "{path}");
        }
    }

    #[test]
    fn a_star_is_a_target_of_options_only() {
        assert!(matches!(find_target(&Method::OPTIONS, "*"), Target::ServerOptions));
        assert!(matches!(find_target(&Method::GET, "*"), Target::Unknown));
        assert!(matches!(find_target(&Method::OPTIONS, "/*"), Target::Unknown));
    }

    #[test]
    fn a_known_path_with_an_invented_method_is_a_wrong_method() {
        let invented = Method::from_bytes(b"FOO").unwrap();
        assert!(matches!(find_target(&invented, "/"), Target::WrongMethod(..)));
    }
    #[test]
    fn everything_is_found_below_the_base_path_too() {
        let base_path: Arc<str> = "/a/attendance".into();
        let find = |path: &str| find(ROUTES, &Method::GET, path, Some(&base_path));
        for route in ROUTES.iter().filter(|route| route.endpoint(&Method::GET).is_some()) {
            let path = example(route);
            for (path, is_below) in [
                (path.clone(), false),
                (format!("/a/attendance{path}"), true),
                (format!("/%61/attendance{path}"), true),
            ] {
                let found = find(&path);
                assert_eq!((found.label().path(), found.base_path.is_some()), (route.path, is_below), "{path}");
            }
        }
        for (path, expected) in [
            ("/a/attendance", "/"),
            ("/a/attendance//", "/"),
            ("//a/attendance/livez", "/livez"),
            ("/a//attendance", "/"),
            ("/a/attendance/livez/", "/livez"),
        ] {
            let found = find(path);
            assert!(matches!(&found.target, Target::Unclean(clean) if clean == expected), "{path}: {found:?}");
            assert!(found.base_path.is_some(), "{path}");
        }
        for path in [
            "/a",
            "/a/attendance2/livez",
            "/attendance/livez",
            "/a/attendance/nope",
            "/a/attendance/a/attendance/livez",
            "/b/attendance",
        ] {
            let found = find(path);
            assert!(matches!(found.target, Target::Unknown) && found.base_path.is_none(), "{path}: {found:?}");
        }
    }

    #[test]
    fn the_path_of_a_route_is_never_below_the_base_path() {
        for base_path in ["/api", "/metrics", "/apidocs", "/api/v1/attendance"] {
            let base_path: Arc<str> = base_path.into();
            for route in ROUTES.iter().filter(|route| !route.has_parameters()) {
                let found = find(ROUTES, &Method::GET, route.path, Some(&base_path));
                assert_eq!((found.label().path(), found.base_path.is_none()), (route.path, true), "{base_path}");
            }
        }
    }
}
