//! The table of routes: every path of the server, and what each method does there.
//!
//! Policy: this is the only place where the path of a route is written. The handler, the description in the OpenAPI document, the
//! label in log and metrics, and the `Allow` header follow from its row. Rows are searched in order, so frequent ones come first.
//! A path may contain parameters (`{file}`), each of which stands for one whole segment. Each endpoint has the permission that its callers need if there is
//! access control; `access/role.rs` says which role has it. The last rows are served with access control only.

use std::time::Instant;

use hyper::{HeaderMap, Method};
#[cfg(test)]
use utoipa::openapi::path::{HttpMethod, Operation};

use super::cached_read::{self, CachedRead, FastPath};
use super::error::HttpError;
use super::handlers::{
    accounts, audit, calendar, changes, create, docs, employees, erasure, health, home, metrics, probes, record,
    records, search, search_all, session, sessions, sheet, summary, tokens,
};
use super::request::{HandlerFuture, RequestContext};
use super::request_metrics::RouteLabel;
use super::requirement::Requirement;
use super::response::Reply;
use super::route_path::RoutePath;
use super::state::AppState;
use crate::access::Permission::{self, Administer, Create, Manage, Metrics, Open, OwnAccount, ReadAll, ReadOwn};
use crate::access::Principal;
use crate::attendance::Visibility;

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
    /// What its callers need if there is access control.
    pub requirement: Requirement,
    /// Answers the request.
    pub handler: Handler,
    /// What the OpenAPI document says about it, for the endpoints of the API.
    #[cfg(test)]
    pub description: Option<Description>,
}

/// A method that a route can have of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteMethod {
    /// Also answers HEAD.
    Get,
    /// Creates something.
    Post,
    /// Replaces the content of what the path names.
    Put,
    /// Changes a part of what the path names.
    Patch,
    /// Removes what the path names.
    Delete,
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
    /// In a future, for an account. Without one the handler is not called.
    Account(for<'a> fn(&'a mut RequestContext, &'a Principal) -> HandlerFuture<'a>),
    /// By a redirect to another path, with the query of the request.
    Redirect(&'static str),
}

/// The two paths of a [`CachedRead`].
#[derive(Debug, Clone, Copy)]
pub struct CachedReadHandler {
    /// The fast path.
    pub try_cached: fn(&AppState, RoutePath, &str, Visibility, &HeaderMap, Instant) -> FastPath,
    /// The slow path, if the fast one was skipped.
    pub read: for<'a> fn(&'a RequestContext, RoutePath) -> HandlerFuture<'a>,
}

/// An entry of the OpenAPI document.
#[cfg(test)]
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
/// The route that erases a person. The log has this template in place of the target, which names the person.
const ERASURE: &str = "/api/v1/attendance/employees/{id}/data";

/// How many routes, at the end of the table, are served with access control only.
const ACCESS_ROUTES: usize = 9;

/// All routes.
pub static ROUTES: [Route; 37] = [
    Route {
        path: "/api/v1/attendance/search",
        endpoints: &[get(ReadOwn, cached_read::<search::Search>()).described::<search::__path_search>("attendance")],
    },
    Route {
        path: "/api/v1/attendance/create",
        endpoints: &[post(Create, Handler::Async(|context| Box::pin(create::create(context))))
            .described::<create::__path_create>("attendance")],
    },
    Route {
        path: "/api/v1/attendance/search/all",
        endpoints: &[get(ReadOwn, cached_read::<search_all::SearchAll>())
            .described::<search_all::__path_search_all>("attendance")],
    },
    Route {
        path: "/api/v1/attendance/sheet",
        endpoints: &[get(ReadOwn, cached_read::<sheet::Sheet>()).described::<sheet::__path_sheet>("views")],
    },
    Route {
        path: "/api/v1/attendance/summary",
        endpoints: &[get(ReadOwn, cached_read::<summary::Summary>()).described::<summary::__path_summary>("views")],
    },
    Route {
        path: "/api/v1/attendance/employees",
        endpoints: &[
            get(ReadAll, cached_read::<employees::Employees>()).described::<employees::__path_list>("directory")
        ],
    },
    Route {
        path: "/api/v1/attendance/employees/{id}",
        endpoints: &[
            get(ReadAll, Handler::Async(|context| Box::pin(employees::find(context))))
                .described::<employees::__path_find>("directory"),
            put(Manage, Handler::Async(|context| Box::pin(employees::put(context))))
                .described::<employees::__path_put>("directory"),
            delete(Manage, Handler::Async(|context| Box::pin(employees::delete(context))))
                .described::<employees::__path_delete>("directory"),
        ],
    },
    Route {
        path: "/api/v1/attendance/calendar",
        endpoints: &[get(ReadOwn, cached_read::<calendar::Calendar>()).described::<calendar::__path_list>("calendar")],
    },
    Route {
        path: "/api/v1/attendance/calendar/{date}",
        endpoints: &[
            put(Manage, Handler::Async(|context| Box::pin(calendar::put(context))))
                .described::<calendar::__path_put>("calendar"),
            delete(Manage, Handler::Async(|context| Box::pin(calendar::delete(context))))
                .described::<calendar::__path_delete>("calendar"),
        ],
    },
    Route {
        path: "/api/v1/attendance/health",
        endpoints: &[get(Open, Handler::Async(|context| Box::pin(health::health(context))))
            .described::<health::__path_health>("health")],
    },
    Route {
        path: "/api/v1/attendance/health/detail",
        endpoints: &[get(Open, Handler::Async(|context| Box::pin(health::detail(context))))
            .described::<health::__path_detail>("health")
            .knowing_accounts()],
    },
    Route {
        path: "/api/v1/attendance/records",
        endpoints: &[
            get(ReadOwn, cached_read::<records::Records>()).described::<records::__path_list>("records"),
            put(Manage, Handler::Async(|context| Box::pin(records::correct(context))))
                .described::<records::__path_correct>("records"),
            delete(Manage, Handler::Async(|context| Box::pin(records::delete(context))))
                .described::<records::__path_delete>("records"),
        ],
    },
    Route {
        path: "/api/v1/attendance/changes",
        endpoints: &[get(Manage, cached_read::<changes::Changes>()).described::<changes::__path_list>("records")],
    },
    Route {
        path: "/api/v1/attendance/records/{id}/{date}",
        endpoints: &[
            get(ReadOwn, Handler::Async(|context| Box::pin(record::read(context))))
                .described::<record::__path_read>("records"),
            put(Manage, Handler::Async(|context| Box::pin(record::correct(context))))
                .described::<record::__path_correct>("records"),
            delete(Manage, Handler::Async(|context| Box::pin(record::delete(context))))
                .described::<record::__path_delete>("records"),
        ],
    },
    Route {
        path: "/api/v1/attendance/records/{id}/{date}/history",
        endpoints: &[get(ReadOwn, Handler::Async(|context| Box::pin(record::history(context))))
            .described::<record::__path_history>("records")],
    },
    Route {
        path: ERASURE,
        endpoints: &[delete(Administer, Handler::Async(|context| Box::pin(erasure::erase(context))))
            .described::<erasure::__path_erase>("directory")],
    },
    Route {
        path: LIVEZ,
        endpoints: &[get(Open, Handler::Immediate(probes::livez)).described::<probes::__path_livez>("health")],
    },
    Route {
        path: "/readyz",
        endpoints: &[get(Open, Handler::Async(|context| Box::pin(probes::readyz(context))))
            .described::<probes::__path_readyz>("health")],
    },
    Route {
        path: METRICS,
        endpoints: &[
            get(Metrics, Handler::Immediate(metrics::metrics)).described::<metrics::__path_metrics>("operation")
        ],
    },
    Route {
        path: "/openapi.json",
        endpoints: &[get(Open, Handler::Immediate(docs::openapi)).described::<docs::__path_openapi>("operation")],
    },
    Route { path: "/apispec_1.json", endpoints: &[get(Open, Handler::Immediate(docs::openapi))] },
    Route { path: "/apidocs", endpoints: &[get(Open, Handler::Redirect(APIDOCS))] },
    Route { path: "/apidocs/index.html", endpoints: &[get(Open, Handler::Redirect(APIDOCS))] },
    Route { path: APIDOCS, endpoints: &[get(Open, Handler::Async(|context| Box::pin(docs::page(context))))] },
    Route { path: "/apidocs/{file}", endpoints: &[get(Open, Handler::Async(|context| Box::pin(docs::file(context))))] },
    Route { path: "/favicon.ico", endpoints: &[get(Open, Handler::Async(|context| Box::pin(docs::favicon(context))))] },
    Route { path: "/", endpoints: &[get(Open, Handler::Async(|context| Box::pin(home::home(context))))] },
    Route { path: "/index.html", endpoints: &[get(Open, Handler::Redirect("/"))] },
    Route {
        path: "/api/v1/attendance/session",
        endpoints: &[
            post(Open, Handler::Async(|context| Box::pin(session::log_in(context))))
                .described::<session::__path_log_in>("access")
                .knowing_accounts(),
            get(OwnAccount, Handler::Account(|context, principal| Box::pin(session::show(context, principal))))
                .described::<session::__path_show>("access"),
            delete(OwnAccount, Handler::Account(|context, principal| Box::pin(session::log_out(context, principal))))
                .described::<session::__path_log_out>("access"),
        ],
    },
    Route {
        path: "/api/v1/attendance/session/password",
        endpoints: &[put(
            OwnAccount,
            Handler::Account(|context, principal| Box::pin(session::change_password(context, principal))),
        )
        .described::<session::__path_change_password>("access")],
    },
    Route {
        path: "/api/v1/attendance/sessions",
        endpoints: &[get(
            OwnAccount,
            Handler::Account(|context, principal| Box::pin(sessions::list(context, principal))),
        )
        .described::<sessions::__path_list>("access")],
    },
    Route {
        path: "/api/v1/attendance/sessions/{id}",
        endpoints: &[delete(
            OwnAccount,
            Handler::Account(|context, principal| Box::pin(sessions::end(context, principal))),
        )
        .described::<sessions::__path_end>("access")],
    },
    Route {
        path: "/api/v1/attendance/tokens",
        endpoints: &[
            get(OwnAccount, Handler::Account(|context, principal| Box::pin(tokens::list(context, principal))))
                .described::<tokens::__path_list>("access"),
            post(OwnAccount, Handler::Account(|context, principal| Box::pin(tokens::create(context, principal))))
                .described::<tokens::__path_create>("access"),
        ],
    },
    Route {
        path: "/api/v1/attendance/tokens/{id}",
        endpoints: &[delete(
            OwnAccount,
            Handler::Account(|context, principal| Box::pin(tokens::revoke(context, principal))),
        )
        .described::<tokens::__path_revoke>("access")],
    },
    Route {
        path: "/api/v1/attendance/accounts",
        endpoints: &[
            get(Administer, Handler::Account(|context, principal| Box::pin(accounts::list(context, principal))))
                .described::<accounts::__path_list>("access"),
            post(Administer, Handler::Account(|context, principal| Box::pin(accounts::create(context, principal))))
                .described::<accounts::__path_create>("access"),
        ],
    },
    Route {
        path: "/api/v1/attendance/accounts/{username}",
        endpoints: &[
            patch(Administer, Handler::Account(|context, principal| Box::pin(accounts::change(context, principal))))
                .described::<accounts::__path_change>("access"),
            delete(Administer, Handler::Account(|context, principal| Box::pin(accounts::remove(context, principal))))
                .described::<accounts::__path_remove>("access"),
        ],
    },
    Route {
        path: "/api/v1/attendance/audit",
        endpoints: &[get(Administer, Handler::Account(|context, principal| Box::pin(audit::list(context, principal))))
            .described::<audit::__path_list>("access")],
    },
];

const fn get(permission: Permission, handler: Handler) -> Endpoint {
    endpoint(RouteMethod::Get, permission, handler)
}

const fn post(permission: Permission, handler: Handler) -> Endpoint {
    endpoint(RouteMethod::Post, permission, handler)
}

const fn put(permission: Permission, handler: Handler) -> Endpoint {
    endpoint(RouteMethod::Put, permission, handler)
}

const fn delete(permission: Permission, handler: Handler) -> Endpoint {
    endpoint(RouteMethod::Delete, permission, handler)
}

const fn patch(permission: Permission, handler: Handler) -> Endpoint {
    endpoint(RouteMethod::Patch, permission, handler)
}

const fn endpoint(method: RouteMethod, permission: Permission, handler: Handler) -> Endpoint {
    Endpoint {
        method,
        requirement: Requirement { permission, knows_accounts: false },
        handler,
        #[cfg(test)]
        description: None,
    }
}

const fn cached_read<R: CachedRead>() -> Handler {
    Handler::CachedRead(CachedReadHandler { try_cached: cached_read::try_cached::<R>, read: cached_read::read::<R> })
}

impl Endpoint {
    /// Shows more to an account than to others.
    const fn knowing_accounts(self) -> Self {
        Self { requirement: Requirement { knows_accounts: true, ..self.requirement }, ..self }
    }

    /// Adds the endpoint to the OpenAPI document. `P` is the type that the attribute above the handler generates.
    const fn described<P: utoipa::Path>(self, tag: &'static str) -> Self {
        #[cfg(test)]
        return Self { description: Some(Description { tag, operation: P::operation, methods: P::methods }), ..self };
        // The binary has the document instead (`openapi_document.rs`), so nothing may refer to the operation.
        #[cfg(not(test))]
        {
            let _ = tag;
            self
        }
    }
}

impl RouteMethod {
    /// The method's name in HTTP.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    fn answers(self, method: &Method) -> bool {
        match self {
            Self::Get => method == Method::GET || method == Method::HEAD,
            Self::Post => method == Method::POST,
            Self::Put => method == Method::PUT,
            Self::Patch => method == Method::PATCH,
            Self::Delete => method == Method::DELETE,
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

/// The routes that are served, with access control or without.
pub fn served(has_access_control: bool) -> &'static [Route] {
    if has_access_control { &ROUTES } else { &ROUTES[..ROUTES.len() - ACCESS_ROUTES] }
}

/// The value of the `Allow` header for the server as a whole: every method that some of the routes has.
pub fn allow_all(routes: &'static [Route]) -> String {
    allow(routes.iter().flat_map(|route| route.endpoints))
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
    RouteLabel::new(route.path, position, route.path != METRICS, route.path == ERASURE)
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
    fn the_routes_of_access_control_are_the_last_ones_and_no_others() {
        let names = ["session", "sessions", "tokens", "accounts", "audit"];
        for (position, route) in ROUTES.iter().enumerate() {
            let name = route.path.strip_prefix("/api/v1/attendance/").and_then(|rest| rest.split('/').next());
            let is_of_access = name.is_some_and(|name| names.contains(&name));
            assert_eq!(is_of_access, position >= served(false).len(), "{}", route.path);
        }
        assert_eq!(served(true).len(), ROUTES.len());
    }

    #[test]
    fn an_endpoint_is_open_only_if_it_is_one_of_these() {
        let is_open = |endpoint: &&Endpoint| endpoint.requirement.permission == Open;
        let open: Vec<String> = ROUTES
            .iter()
            .flat_map(|route| {
                route.endpoints.iter().filter(is_open).map(|endpoint| (endpoint.method.as_str(), route.path))
            })
            .map(|(method, path)| format!("{method} {path}"))
            .collect();
        assert_eq!(
            open,
            [
                "GET /api/v1/attendance/health",
                "GET /api/v1/attendance/health/detail",
                "GET /livez",
                "GET /readyz",
                "GET /openapi.json",
                "GET /apispec_1.json",
                "GET /apidocs",
                "GET /apidocs/index.html",
                "GET /apidocs/",
                "GET /apidocs/{file}",
                "GET /favicon.ico",
                "GET /",
                "GET /index.html",
                "POST /api/v1/attendance/session",
            ]
        );
    }

    #[test]
    fn what_changes_something_needs_more_than_to_read() {
        for route in &ROUTES {
            for endpoint in route.endpoints {
                let permission = endpoint.requirement.permission;
                let may_change = matches!(permission, Create | Manage | Administer | OwnAccount)
                    || route.path == "/api/v1/attendance/session";
                assert!(may_change || endpoint.method == RouteMethod::Get, "{} {permission:?}", route.path);
                if let Handler::Account(_) = endpoint.handler {
                    assert!(!matches!(permission, Open | Metrics), "{}", route.path);
                }
                assert!(permission != ReadAll || endpoint.method == RouteMethod::Get);
                assert!(permission != ReadOwn || endpoint.method == RouteMethod::Get);
            }
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
        const GET: Endpoint = get(Open, Handler::Redirect("/"));
        const POST: Endpoint = post(Open, Handler::Redirect("/"));
        let allow = |endpoints| Route { path: "/", endpoints }.allow();
        assert_eq!(allow(&[GET]), "GET, HEAD, OPTIONS");
        assert_eq!(allow(&[POST]), "OPTIONS, POST");
        assert_eq!(allow(&[POST, GET]), "GET, HEAD, OPTIONS, POST");
        const PUT: Endpoint = put(Open, Handler::Redirect("/"));
        const DELETE: Endpoint = delete(Open, Handler::Redirect("/"));
        assert_eq!(allow(&[PUT, DELETE, GET]), "DELETE, GET, HEAD, OPTIONS, PUT");
    }
}
