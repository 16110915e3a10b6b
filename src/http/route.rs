//! The table of routes: every path that the server knows, and what each method does there.
//!
//! Policy: this is the only place where the path of a route is written. The handler, the description in the OpenAPI document, the
//! label in log and metrics, and the `Allow` header follow from its row. Rows are searched in order, so frequent ones come first.
//! A path may contain parameters (`{file}`), each of which stands for one whole segment.

use std::time::Instant;

use hyper::{HeaderMap, Method};
use utoipa::openapi::path::{HttpMethod, Operation};

use super::cached_read::{self, CachedRead, FastPath};
use super::error::HttpError;
use super::handlers::{create, docs, health, home, metrics, probes, search, search_all};
use super::request::{HandlerFuture, RequestContext};
use super::request_metrics::RouteLabel;
use super::response::Reply;
use super::state::AppState;

/// One path and its methods.
#[derive(Debug)]
pub struct Route {
    /// The path template, which is also the label in log and metrics.
    pub path: &'static str,
    /// The methods. HEAD belongs to GET, and every route has OPTIONS; neither is listed.
    pub endpoints: &'static [Endpoint],
}

/// What one method does at a path.
#[derive(Debug)]
pub struct Endpoint {
    /// The method.
    pub method: RouteMethod,
    /// Answers the request.
    pub handler: Handler,
    /// What the OpenAPI document says about it, for the endpoints of the API.
    pub description: Option<Description>,
}

/// A method that a route can have of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteMethod {
    /// Also answers HEAD.
    Get,
    /// Creates something.
    Post,
}

/// How an endpoint answers.
#[derive(Debug, Clone, Copy)]
pub enum Handler {
    /// From what is in memory, without waiting.
    Immediate(fn(&RequestContext) -> Result<Reply, HttpError>),
    /// In a future.
    Async(for<'a> fn(&'a mut RequestContext) -> HandlerFuture<'a>),
    /// By a [`CachedRead`], which may be answered from memory.
    CachedRead(CachedReadHandler),
    /// By a redirect to another path, with the query of the request.
    Redirect(&'static str),
}

/// The two paths of a [`CachedRead`].
#[derive(Debug, Clone, Copy)]
pub struct CachedReadHandler {
    /// The fast path.
    pub try_cached: fn(&AppState, RouteLabel, &str, &HeaderMap, Instant) -> FastPath,
    /// The slow path, if the fast one was skipped.
    pub read: for<'a> fn(&'a RequestContext, RouteLabel) -> HandlerFuture<'a>,
}

/// An entry of the OpenAPI document.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// The group in which it is shown.
    pub tag: &'static str,
    /// The operation that the attribute above the handler describes.
    pub operation: fn() -> Operation,
    /// The methods that the attribute names: one, the method of the endpoint.
    pub methods: fn() -> Vec<HttpMethod>,
}

/// The route that shows whether the process lives. It is answered while the server drains.
pub const LIVEZ: &str = "/livez";
/// The route that is not counted in the metrics that it returns.
const METRICS: &str = "/metrics";
const APIDOCS: &str = "/apidocs/";

/// All routes.
pub static ROUTES: [Route; 17] = [
    Route {
        path: "/api/v1/attendance/search",
        endpoints: &[get(cached_read::<search::Search>()).described::<search::__path_search>("attendance")],
    },
    Route {
        path: "/api/v1/attendance/create",
        endpoints: &[post(Handler::Async(|context| Box::pin(create::create(context))))
            .described::<create::__path_create>("attendance")],
    },
    Route {
        path: "/api/v1/attendance/search/all",
        endpoints: &[
            get(cached_read::<search_all::SearchAll>()).described::<search_all::__path_search_all>("attendance")
        ],
    },
    Route {
        path: "/api/v1/attendance/health",
        endpoints: &[get(Handler::Async(|context| Box::pin(health::health(context))))
            .described::<health::__path_health>("health")],
    },
    Route {
        path: "/api/v1/attendance/health/detail",
        endpoints: &[get(Handler::Async(|context| Box::pin(health::detail(context))))
            .described::<health::__path_detail>("health")],
    },
    Route {
        path: LIVEZ,
        endpoints: &[get(Handler::Immediate(probes::livez)).described::<probes::__path_livez>("health")],
    },
    Route {
        path: "/readyz",
        endpoints: &[get(Handler::Async(|context| Box::pin(probes::readyz(context))))
            .described::<probes::__path_readyz>("health")],
    },
    Route {
        path: METRICS,
        endpoints: &[get(Handler::Immediate(metrics::metrics)).described::<metrics::__path_metrics>("operation")],
    },
    Route {
        path: "/openapi.json",
        endpoints: &[get(Handler::Immediate(docs::openapi)).described::<docs::__path_openapi>("operation")],
    },
    Route { path: "/apispec_1.json", endpoints: &[get(Handler::Immediate(docs::openapi))] },
    Route { path: "/apidocs", endpoints: &[get(Handler::Redirect(APIDOCS))] },
    Route { path: "/apidocs/index.html", endpoints: &[get(Handler::Redirect(APIDOCS))] },
    Route { path: APIDOCS, endpoints: &[get(Handler::Immediate(docs::page))] },
    Route { path: "/apidocs/{file}", endpoints: &[get(Handler::Immediate(docs::file))] },
    Route { path: "/favicon.ico", endpoints: &[get(Handler::Immediate(docs::favicon))] },
    Route { path: "/", endpoints: &[get(Handler::Async(|context| Box::pin(home::home(context))))] },
    Route { path: "/index.html", endpoints: &[get(Handler::Redirect("/"))] },
];

const fn get(handler: Handler) -> Endpoint {
    Endpoint { method: RouteMethod::Get, handler, description: None }
}

const fn post(handler: Handler) -> Endpoint {
    Endpoint { method: RouteMethod::Post, handler, description: None }
}

const fn cached_read<R: CachedRead>() -> Handler {
    Handler::CachedRead(CachedReadHandler { try_cached: cached_read::try_cached::<R>, read: cached_read::read::<R> })
}

impl Endpoint {
    /// Adds the endpoint to the OpenAPI document. `P` is the type that the attribute above the handler generates.
    const fn described<P: utoipa::Path>(self, tag: &'static str) -> Self {
        let description = Description { tag, operation: P::operation, methods: P::methods };
        Self { description: Some(description), ..self }
    }
}

impl RouteMethod {
    /// The method's name in HTTP.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }

    fn answers(self, method: &Method) -> bool {
        match self {
            Self::Get => method == Method::GET || method == Method::HEAD,
            Self::Post => method == Method::POST,
        }
    }
}

impl Route {
    /// The endpoint that answers a method.
    pub fn endpoint(&self, method: &Method) -> Option<&'static Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.method.answers(method))
    }

    /// The value of the `Allow` header: the methods in alphabetical order.
    pub fn allow(&self) -> String {
        allow(self.endpoints.iter())
    }

    /// Whether the path contains parameters.
    pub fn has_parameters(&self) -> bool {
        self.path.contains('{')
    }
}

/// The value of the `Allow` header for the server as a whole: every method that some route has.
pub fn allow_all() -> String {
    allow(ROUTES.iter().flat_map(|route| route.endpoints))
}

fn allow<'a>(endpoints: impl Iterator<Item = &'a Endpoint>) -> String {
    let mut methods = vec!["OPTIONS"];
    for endpoint in endpoints {
        methods.push(endpoint.method.as_str());
        if endpoint.method == RouteMethod::Get {
            methods.push("HEAD");
        }
    }
    methods.sort_unstable();
    methods.dedup();
    methods.join(", ")
}

/// The label of a row of the table.
pub fn label(position: usize, route: &Route) -> RouteLabel {
    RouteLabel::new(route.path, position, route.path != METRICS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_is_in_the_table_twice() {
        for (position, route) in ROUTES.iter().enumerate() {
            assert!(ROUTES[..position].iter().all(|earlier| earlier.path != route.path), "{}", route.path);
        }
    }

    #[test]
    fn a_redirect_leads_to_a_route() {
        for route in &ROUTES {
            for endpoint in route.endpoints {
                if let Handler::Redirect(target) = endpoint.handler {
                    assert!(ROUTES.iter().any(|route| route.path == target), "{} leads to {target}", route.path);
                }
            }
        }
    }

    #[test]
    fn allow_lists_the_methods_in_alphabetical_order() {
        const GET: Endpoint = get(Handler::Redirect("/"));
        const POST: Endpoint = post(Handler::Redirect("/"));
        let allow = |endpoints| Route { path: "/", endpoints }.allow();
        assert_eq!(allow(&[GET]), "GET, HEAD, OPTIONS");
        assert_eq!(allow(&[POST]), "OPTIONS, POST");
        assert_eq!(allow(&[POST, GET]), "GET, HEAD, OPTIONS, POST");
    }
}
