//! One request and its answer: everything that is the same for all of them.
//!
//! Policy: a request is observed exactly once, when its answer has been handed over for writing, or when its connection
//! ended before that (status 499, as nginx calls it): one log line, one observation. A panic in a handler is that
//! request's 500 and nothing else's. While the server drains, requests on open connections are refused; where the socket
//! stays, they are answered and the connection is closed, because the client's next one waits for the next process.

use std::any::Any;
use std::convert::Infallible;
use std::fmt::{self, Display};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, HeaderName, HeaderValue};
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};

use super::error::HttpError;
use super::request::RequestContext;
use super::request_id::{RequestId, X_REQUEST_ID};
use super::request_metrics::method_label;
use super::response::{Body, Reply};
use super::router;
use super::server::connection_state::ConnectionState;
use super::state::AppState;
use crate::attendance::{CacheStatus, StreamError};
use crate::config;
use crate::telemetry::access::Access;

const X_CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");
/// The connection ended before the answer.
const CONNECTION_ENDED: u16 = 499;

/// Answers the requests of one connection.
#[derive(Debug)]
pub struct RequestService {
    app: Arc<AppState>,
    peer: SocketAddr,
    connection: Arc<ConnectionState>,
}

impl RequestService {
    /// For a connection with this client.
    pub fn new(app: Arc<AppState>, peer: SocketAddr, connection: Arc<ConnectionState>) -> Self {
        Self { app, peer, connection }
    }
}

impl Service<Request<Incoming>> for RequestService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn call(&self, request: Request<Incoming>) -> ResponseFuture {
        self.connection.request_began();
        let mut exchange = Exchange::new(self, &request);
        let route = router::find(request.method(), request.uri().path());
        exchange.route = route.label();
        if !self.app.is_draining()
            // Unwind safety: after a panic the request is answered anew, from the beginning.
            && let Ok(Some(reply)) = catch_unwind(AssertUnwindSafe(|| route.try_answer_cached(&self.app, &request, exchange.started)))
        {
            return ResponseFuture::Now(Some(exchange.send(reply)));
        }
        ResponseFuture::Later(Box::pin(answer(Arc::clone(&self.app), exchange, route, request)))
    }
}

/// An answer on its way.
pub enum ResponseFuture {
    /// It needs nothing that is not in memory.
    Now(Option<Response<Body>>),
    /// In a box, so that an idle connection does not hold the room for it.
    Later(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
}

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Now(response) => response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response))),
            Self::Later(answer) => answer.as_mut().poll(cx).map(Ok),
        }
    }
}

async fn answer(
    app: Arc<AppState>,
    exchange: Box<Exchange>,
    route: router::Route,
    request: Request<Incoming>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let has_body = !body.is_end_stream();
    let mut call = RequestContext::new(app, head, body);
    let mut reply = if call.app.is_draining() && !call.app.socket_stays && !route.is_liveness() {
        exchange.fail(HttpError::draining())
    } else {
        match catch_panic(route.answer(&mut call)).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(failure)) => exchange.fail(failure),
            Err(panic) => exchange.fail(HttpError::bug(format!("a handler panicked: {}", panic_text(&*panic)))),
        }
    };
    let unread = has_body && !call.body_is_read();
    if unread {
        exchange.connection.leave_unread();
    }
    // What is left of a body is in the way of the next request. The drain may have begun meanwhile.
    if unread || call.app.is_draining() {
        reply.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if call.head.method == Method::HEAD {
        reply = reply.without_body();
    }
    exchange.send(reply)
}

/// Completes with `Err` when the future panics.
async fn catch_panic<T>(future: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    // Unwind safety: the future is never polled again after a panic.
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

/// A request that is being answered. Dropping it observes it. In a box: it goes through many hands.
#[derive(Debug)]
pub struct Exchange {
    app: Arc<AppState>,
    connection: Arc<ConnectionState>,
    peer: SocketAddr,
    started: Instant,
    id: RequestId,
    method: Method,
    uri: Uri,
    version: Version,
    route: router::Label,
    status: u16,
    cached: CacheStatus,
}

impl Exchange {
    fn new(of: &RequestService, request: &Request<Incoming>) -> Box<Self> {
        of.app.metrics.requests_in_flight.inc();
        Box::new(Self {
            app: Arc::clone(&of.app),
            connection: Arc::clone(&of.connection),
            peer: of.peer,
            started: Instant::now(),
            id: of.app.ids.of(request.headers()),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            route: router::UNMATCHED,
            status: CONNECTION_ENDED,
            cached: CacheStatus::Bypass,
        })
    }

    /// Logs what only the log is told, as loud as it is our fault, and makes the answer.
    fn fail(&self, failure: HttpError) -> Reply {
        let (request_id, route) = (&*self.id, self.route.text());
        if failure.status() == StatusCode::INTERNAL_SERVER_ERROR {
            self.app.metrics.request_exceptions.with_label_values(&[method_label(&self.method), "500"]).inc();
        }
        if let Some(internal) = failure.internal() {
            match failure.status() {
                StatusCode::INTERNAL_SERVER_ERROR => tracing::error!(request_id, route, "{internal}"),
                StatusCode::SERVICE_UNAVAILABLE => tracing::warn!(request_id, route, "{internal}"),
                _ => tracing::debug!(request_id, route, "{internal}"),
            }
        }
        failure.into_reply(request_id)
    }

    fn send(mut self: Box<Self>, reply: Reply) -> Response<Body> {
        self.status = reply.status.as_u16();
        self.cached = reply.cached.unwrap_or(CacheStatus::Bypass);
        let mut headers = reply.headers;
        headers.insert(X_REQUEST_ID, self.id.header());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let mut response = Response::new(reply.body.ending(self));
        *response.status_mut() = reply.status;
        *response.headers_mut() = headers;
        response
    }

    /// The answer stopped in the middle; its status has been sent already.
    pub fn interrupted(&self, error: &StreamError) {
        tracing::error!(request_id = &*self.id, route = self.route.text(), "{error}");
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let now = Instant::now();
        self.connection.request_ended(now);
        self.app.metrics.requests_in_flight.dec();
        let taken = now - self.started;
        log(
            &self.app,
            &Access {
                request: RequestLine(self),
                method: self.method.as_str(),
                status: self.status,
                remote: self.peer.ip(),
                micros: u64::try_from(taken.as_micros()).unwrap_or(u64::MAX),
                request_id: &self.id,
                cache: self.cached.as_str(),
            },
        );
        if self.route.text() != router::METRICS {
            observe(&self.app, method_label(&self.method), self.route, self.status, taken.as_secs_f64());
        }
    }
}

/// `GET /path HTTP/1.1`
struct RequestLine<'a>(&'a Exchange);

impl Display for RequestLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Exchange { method, uri, version, .. } = self.0;
        f.write_str(method.as_str())?;
        f.write_str(" ")?;
        match uri.path_and_query() {
            Some(target) if uri.authority().is_none() => f.write_str(target.as_str())?,
            _ => write!(f, "{uri}")?,
        }
        match *version {
            Version::HTTP_11 => f.write_str(" HTTP/1.1"),
            other => write!(f, " {other:?}"),
        }
    }
}

/// Observes a request whose head the HTTP parser refused: nothing of it is known.
pub fn refused(app: &AppState, peer: SocketAddr, status: u16, request_id: &str) {
    let remote = peer.ip();
    let cache = CacheStatus::Bypass.as_str();
    log(app, &Access { request: "-", method: "-", status, remote, micros: 0, request_id, cache });
    observe(app, "OTHER", router::UNMATCHED, status, 0.0);
}

fn log<R: Display>(app: &AppState, access: &Access<'_, R>) {
    match app.access() {
        config::Access::Off => {}
        config::Access::Errors if access.status < 400 => {}
        config::Access::Errors | config::Access::All => app.log.write(access),
    }
}

fn observe(app: &AppState, method: &'static str, route: router::Label, status: u16, seconds: f64) {
    app.request_metrics.observe(&app.metrics, method, route, status, seconds);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_an_error_with_its_message() {
        let panic = catch_panic(async { panic!("number {}", 5) }).await.unwrap_err();
        assert_eq!(panic_text(&*panic), "number 5");
        assert_eq!(catch_panic(async { 5 }).await.ok(), Some(5));
    }
}
