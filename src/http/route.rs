//! What a route is: a path, its methods, and for each method who may call it and what answers.
//!
//! Policy: an endpoint is built by the function of its method ([`get`] …), which takes the permission that its callers need, so that none can be
//! declared without one. The rows themselves are in `route_table.rs`.

use std::time::Instant;

use hyper::{HeaderMap, Method};
#[cfg(test)]
use utoipa::openapi::path::{HttpMethod, Operation};

use super::cached_read::{self, CachedRead, FastPath};
use super::error::HttpError;
use super::request::{HandlerFuture, RequestContext};
use super::requirement::Requirement;
use super::response::Reply;
use super::route_path::RoutePath;
use super::state::AppState;
use crate::access::{Permission, Principal};
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

/// `GET`, and `HEAD` with it.
pub const fn get(permission: Permission, handler: Handler) -> Endpoint {
    endpoint(RouteMethod::Get, permission, handler)
}

/// `POST`.
pub const fn post(permission: Permission, handler: Handler) -> Endpoint {
    endpoint(RouteMethod::Post, permission, handler)
}

/// `PUT`.
pub const fn put(permission: Permission, handler: Handler) -> Endpoint {
    endpoint(RouteMethod::Put, permission, handler)
}

/// `DELETE`.
pub const fn delete(permission: Permission, handler: Handler) -> Endpoint {
    endpoint(RouteMethod::Delete, permission, handler)
}

/// `PATCH`.
pub const fn patch(permission: Permission, handler: Handler) -> Endpoint {
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

/// The handler of a [`CachedRead`].
pub const fn cached_read<R: CachedRead>() -> Handler {
    Handler::CachedRead(CachedReadHandler { try_cached: cached_read::try_cached::<R>, read: cached_read::read::<R> })
}

impl Endpoint {
    /// Shows more to an account than to others.
    pub const fn knowing_accounts(self) -> Self {
        Self { requirement: Requirement { knows_accounts: true, ..self.requirement }, ..self }
    }

    /// Adds the endpoint to the OpenAPI document. `P` is the type that the attribute above the handler generates.
    #[cfg_attr(
        not(test),
        expect(clippy::extra_unused_type_parameters, reason = "only the document that tests compare needs it")
    )]
    pub const fn described<P: utoipa::Path>(self, tag: &'static str) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Permission::Open;

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
