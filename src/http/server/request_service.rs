//! Answers the requests of one connection.
//!
//! Policy: a read that this process has in memory is answered without a future of its own; every other request is answered in
//! a boxed future. A panic in a handler becomes the 500 of that request and affects nothing else. While the server drains,
//! requests on open connections are refused. If the socket outlives the process, they are answered and the connection is closed,
//! because the client's next request waits for the next process. Whether a request may use its route is decided before its body is read.

use std::any::Any;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::Service;
use hyper::{Method, Request, Response};

use super::connection_state::ConnectionState;
use super::exchange::{Exchange, ObservedBody};
use super::protocol;
use crate::config;
use crate::http::admission::{self, Admission};
use crate::http::cached_read::{FastPath, PendingRead};
use crate::http::caller::Caller;
use crate::http::compression;
use crate::http::cors::CorsRequest;
use crate::http::credentials;
use crate::http::error::{Cause, HttpError};
use crate::http::forwarded::Peer;
use crate::http::recent_credential::RecentCredential;
use crate::http::request::RequestContext;
use crate::http::response::Reply;
use crate::http::route_table;
use crate::http::router::{self, ReplyOrFuture, RouteMatch};
use crate::http::state::AppState;

/// Answers the requests of one connection.
#[derive(Debug)]
pub struct RequestService {
    app: Arc<AppState>,
    peer: Peer,
    limits: Arc<config::Server>,
    connection: Arc<ConnectionState>,
    recent_credential: RecentCredential,
}

impl RequestService {
    /// Serves a connection with this peer.
    pub fn new(
        app: Arc<AppState>,
        peer: SocketAddr,
        limits: Arc<config::Server>,
        connection: Arc<ConnectionState>,
    ) -> Self {
        let peer = Peer::new(peer, &limits.trusted_proxies);
        Self { app, peer, limits, connection, recent_credential: RecentCredential::default() }
    }
}

impl Service<Request<Incoming>> for RequestService {
    type Response = Response<ObservedBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn call(&self, request: Request<Incoming>) -> ResponseFuture {
        self.connection.begin_request();
        let client = self.peer.client(request.headers(), &self.limits.trusted_proxies);
        let cors = CorsRequest::of(&self.limits.cors, request.method(), request.headers());
        let mut exchange = Exchange::begin(&self.app, &self.connection, client, cors, &request);
        let routes = route_table::served(self.app.access_control.is_some());
        let route = router::find(routes, request.method(), request.uri().path(), self.app.base_path.as_ref());
        exchange.set_route(route.label());
        // Also of a request that is refused for another reason.
        if self.app.access_control.is_some() && credentials::is_in_url(request.uri()) {
            exchange.mark_credential_in_url();
        }
        if let Err(error) = protocol::check(&request, &self.connection) {
            return ResponseFuture::Ready(Some(refuse(exchange, &request, error)));
        }
        let admission = self.try_admit(&route, &request, &mut exchange);
        let found = match &admission {
            Admission::Granted(caller) => try_answer_cached(&self.app, &route, &request, caller, &exchange),
            Admission::Pending(_) | Admission::Denied(_) => FastPath::Skipped,
        };
        let parsed = match found {
            FastPath::Hit(reply) => return ResponseFuture::Ready(Some(exchange.respond(reply))),
            FastPath::Invalid(error) => {
                let reply = exchange.fail(error);
                return ResponseFuture::Ready(Some(exchange.respond(reply)));
            }
            FastPath::Miss(read) => Some(read),
            FastPath::Skipped => None,
        };
        let context = context(&self.app, &exchange, request);
        ResponseFuture::Boxed(Box::pin(answer(exchange, route, admission, context, parsed)))
    }
}

impl RequestService {
    /// Decides about the request from memory, if that has its credential.
    fn try_admit(&self, route: &RouteMatch, request: &Request<Incoming>, exchange: &mut Exchange) -> Admission {
        let Some(control) = &self.app.access_control else { return Admission::Granted(Caller::Anyone) };
        let requirement = route.requirement();
        if requirement.is_some_and(|requirement| control.needs_credential(requirement)) {
            exchange.mark_private();
        }
        if exchange.has_credential_in_url() {
            return Admission::Denied(Box::new(credentials::in_url()));
        }
        let (client, now) = (exchange.client(), exchange.started());
        admission::try_admit(&self.app, requirement, request, client, &self.recent_credential, now)
    }
}

/// The response to a request.
pub enum ResponseFuture {
    /// Complete already.
    Ready(Option<Response<ObservedBody>>),
    /// In a box, so that an idle connection does not reserve memory for it.
    Boxed(Pin<Box<dyn Future<Output = Response<ObservedBody>> + Send>>),
}

impl Future for ResponseFuture {
    type Output = Result<Response<ObservedBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Ready(response) => response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response))),
            Self::Boxed(answer) => answer.as_mut().poll(cx).map(Ok),
        }
    }
}

/// Refuses a request without looking at its body.
fn refuse(exchange: Box<Exchange>, request: &Request<Incoming>, error: HttpError) -> Response<ObservedBody> {
    if !request.body().is_end_stream() {
        exchange.leave_body_unread();
    }
    let reply = exchange.fail(error);
    exchange.respond(if request.method() == Method::HEAD { reply.without_body() } else { reply })
}

fn try_answer_cached(
    app: &AppState,
    route: &RouteMatch,
    request: &Request<Incoming>,
    caller: &Caller,
    exchange: &Exchange,
) -> FastPath {
    if app.is_draining() {
        return FastPath::Skipped;
    }
    // Unwind safety: after a panic nothing of the attempt is used; the request is answered anew, from the beginning.
    catch_unwind(AssertUnwindSafe(|| route.try_answer_cached(app, request, caller, exchange.started())))
        .unwrap_or(FastPath::Skipped)
}

/// In a box, because an async function has room for each of its arguments twice.
fn context(app: &Arc<AppState>, exchange: &Exchange, request: Request<Incoming>) -> Box<RequestContext> {
    let (head, body) = request.into_parts();
    let (client, started, id) = (exchange.client(), exchange.started(), exchange.id());
    Box::new(RequestContext::new(Arc::clone(app), client, started, id, head, body))
}

async fn answer(
    exchange: Box<Exchange>,
    route: RouteMatch,
    admission: Admission,
    mut context: Box<RequestContext>,
    read: Option<Box<dyn PendingRead>>,
) -> Response<ObservedBody> {
    let has_body = !context.is_body_read();
    if route.is_cached_read() && !has_body {
        exchange.allow_cancellation();
    }
    let mut reply = if context.app.is_draining() && !context.app.socket_outlives_process && !route.is_liveness() {
        exchange.fail(HttpError::draining())
    } else {
        let answering = pin!(answer_admitted(route, admission, &mut context, read));
        match catch_panic(answering).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => exchange.fail(error),
            Err(panic) => exchange.fail(HttpError::bug(Cause::Panic(panic_message(&*panic).to_owned()))),
        }
    };
    let is_unread = has_body && !context.is_body_read();
    if is_unread {
        exchange.leave_body_unread();
    }
    // The unread rest of a body would be taken for the next request. The drain may have begun in the meantime.
    if is_unread || context.app.is_draining() {
        reply.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    compression::compress(&context.head.headers, &mut reply);
    if context.head.method == Method::HEAD {
        reply = reply.without_body();
    }
    exchange.respond(reply)
}

/// Answers a request if it may use its route.
async fn answer_admitted(
    route: RouteMatch,
    admission: Admission,
    context: &mut RequestContext,
    read: Option<Box<dyn PendingRead>>,
) -> Result<Reply, HttpError> {
    context.caller = match admission {
        Admission::Granted(caller) => caller,
        // In a box, so that a request whose credential is known does not pay for its room.
        Admission::Pending(credential) => {
            Box::pin(admission::admit(&context.app, route.requirement(), credential)).await?
        }
        Admission::Denied(error) => return Err(*error),
    };
    match route.answer(context, read) {
        ReplyOrFuture::Reply(reply) => reply,
        ReplyOrFuture::Future(future) => future.await,
    }
}

/// Completes with `Err` if the future panics.
async fn catch_panic<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Result<T, Box<dyn Any + Send>> {
    // Unwind safety: the future is never polled again after a panic.
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_an_error_with_its_message() {
        let panic = catch_panic(pin!(async { panic!("number {}", 5) })).await.unwrap_err();
        assert_eq!(panic_message(&*panic), "number 5");
        assert_eq!(catch_panic(pin!(async { 5 })).await.ok(), Some(5));
    }
}
