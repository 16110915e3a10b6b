//! The table of routes: every path of the server, and what each method does there.
//!
//! Policy: this is the only place where the path of a route is written. The handler, the description in the OpenAPI document, the
//! label in log and metrics, and the `Allow` header follow from its row. Rows are searched in order, so frequent ones come first.
//! A path may contain parameters (`{file}`), each of which stands for one whole segment. Each endpoint has the permission that its callers need if there is
//! access control; `access/role.rs` says which role has it. The last rows are served with access control only.

use super::handlers::{
    accounts, audit, calendar, changes, create, docs, employees, erasure, health, home, metrics, probes, record,
    records, search, search_all, session, sessions, sheet, summary, tokens,
};
use super::request_metrics::RouteLabel;
use super::route::{Handler, Route, cached_read, delete, get, patch, post, put};
use crate::access::Permission::{Administer, Create, Manage, Metrics, Open, OwnAccount, ReadAll, ReadOwn};

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
pub static ROUTES: &[Route] = &[
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

/// The routes that are served, with access control or without.
pub fn served(has_access_control: bool) -> &'static [Route] {
    if has_access_control { ROUTES } else { &ROUTES[..ROUTES.len() - ACCESS_ROUTES] }
}

/// The label of a row of the table.
pub fn label(position: usize, route: &Route) -> RouteLabel {
    RouteLabel::new(route.path, position, route.path != METRICS, route.path == ERASURE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::route::{Endpoint, RouteMethod};

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
        for route in ROUTES {
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
        for route in ROUTES {
            for endpoint in route.endpoints {
                if let Handler::Redirect(target) = endpoint.handler {
                    assert!(ROUTES.iter().any(|route| route.path == target), "{} leads to {target}", route.path);
                }
            }
        }
    }
}
