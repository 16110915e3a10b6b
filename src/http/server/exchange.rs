//! One request and its answer: what is logged and counted about them, and the headers that every answer has.
//!
//! Policy: a request is recorded exactly once, when its answer has been handed over for writing or when its connection ended
//! before that (status 499, as nginx calls it): one line in the access log, one observation in the metrics.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};

use super::connection_state::ConnectionState;
use crate::attendance::CacheStatus;
use crate::config;
use crate::http::cors::CorsRequest;
use crate::http::error::HttpError;
use crate::http::forwarded::Client;
use crate::http::private;
use crate::http::query;
use crate::http::request_id::{RequestId, X_REQUEST_ID};
use crate::http::request_metrics::{RouteLabel, method_label};
use crate::http::response::{Body, BodyError, Reply};
use crate::http::state::AppState;
use crate::telemetry::access::Access;

/// The parameter whose value is not logged.
const REASON: &str = "reason";
const X_CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");
/// The status in log and metrics if the connection ended before the answer.
const CONNECTION_ENDED: u16 = 499;

/// A request that is being answered. It is recorded when it is dropped. Used in a box, because it is moved often.
#[derive(Debug)]
pub struct Exchange {
    app: Arc<AppState>,
    connection: Arc<ConnectionState>,
    client: Client,
    cors: Option<CorsRequest>,
    started: Instant,
    id: RequestId,
    method: Method,
    uri: Uri,
    version: Version,
    route: RouteLabel,
    status: u16,
    cache: CacheStatus,
    /// Whether the answer depends on the credentials of the request.
    is_private: bool,
    /// Whether the target contains a credential, so that the log must not have it.
    has_credential_in_url: bool,
}

impl Exchange {
    /// Begins the exchange of a request that has just arrived.
    pub fn begin(
        app: &Arc<AppState>,
        connection: &Arc<ConnectionState>,
        client: Client,
        cors: Option<CorsRequest>,
        request: &Request<Incoming>,
    ) -> Box<Self> {
        app.metrics.requests_in_flight.inc();
        Box::new(Self {
            app: Arc::clone(app),
            connection: Arc::clone(connection),
            client,
            cors,
            started: Instant::now(),
            id: app.request_ids.for_request(request.headers()),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            route: RouteLabel::UNMATCHED,
            status: CONNECTION_ENDED,
            cache: CacheStatus::Bypass,
            is_private: false,
            has_credential_in_url: false,
        })
    }

    /// The client that sent the request.
    pub fn client(&self) -> Client {
        self.client
    }

    /// The id of the request.
    pub fn id(&self) -> RequestId {
        self.id.clone()
    }

    /// When the request arrived.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Sets the route under which the request is recorded.
    pub fn set_route(&mut self, route: RouteLabel) {
        self.route = route;
    }

    /// Lets caches keep the answer for this client only.
    pub fn mark_private(&mut self) {
        self.is_private = true;
    }

    /// Keeps the target of the request out of the log, because it contains a credential.
    pub fn mark_credential_in_url(&mut self) {
        self.has_credential_in_url = true;
    }

    /// Whether the target contains a credential.
    pub fn has_credential_in_url(&self) -> bool {
        self.has_credential_in_url
    }

    /// Records that a part of the client's body will not be read.
    pub fn leave_body_unread(&self) {
        self.connection.leave_input_unread();
    }

    /// Lets the request be cancelled when the client disconnects.
    pub fn allow_cancellation(&self) {
        self.connection.allow_cancellation();
    }

    /// Logs the cause of an error, at the level that its status deserves, and makes the answer.
    pub fn fail(&self, error: HttpError) -> Reply {
        let (request_id, route) = (&*self.id, self.route.path());
        if error.status() == StatusCode::INTERNAL_SERVER_ERROR {
            self.app.metrics.request_exceptions.with_label_values(&[method_label(&self.method), "500"]).inc();
        }
        if let Some(cause) = error.cause() {
            match error.status() {
                StatusCode::INTERNAL_SERVER_ERROR => tracing::error!(request_id, route, "{cause}"),
                StatusCode::SERVICE_UNAVAILABLE => tracing::warn!(request_id, route, "{cause}"),
                _ => tracing::debug!(request_id, route, "{cause}"),
            }
        }
        error.into_reply(request_id, self.app.charset())
    }

    /// Completes the answer. The exchange ends with its body.
    pub fn respond(mut self: Box<Self>, reply: Reply) -> Response<ObservedBody> {
        self.status = reply.status.as_u16();
        self.cache = reply.cache.unwrap_or(CacheStatus::Bypass);
        let mut headers = reply.headers;
        headers.insert(X_REQUEST_ID, self.id.header());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(cors) = self.cors.take() {
            cors.add_headers(&mut headers);
        }
        if self.is_private {
            private::restrict(&mut headers);
        }
        let mut response = Response::new(ObservedBody { body: reply.body, exchange: self });
        *response.status_mut() = reply.status;
        *response.headers_mut() = headers;
        response
    }

    /// Logs that the answer ended early; its status has been sent already.
    fn log_interruption(&self, error: &BodyError) {
        tracing::error!(request_id = &*self.id, route = self.route.path(), "{error}");
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let now = Instant::now();
        self.connection.end_request(now);
        self.app.metrics.requests_in_flight.dec();
        let elapsed = now - self.started;
        log(
            &self.app,
            &Access {
                request: RequestLine(self),
                method: self.method.as_str(),
                status: self.status,
                remote: self.client.address,
                micros: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
                request_id: self.id.as_bytes(),
                cache: self.cache.as_str(),
            },
        );
        observe(&self.app, method_label(&self.method), self.route, self.status, elapsed.as_secs_f64());
    }
}

/// A response body with its exchange, which ends when the body has been handed over for writing or is dropped.
#[derive(Debug)]
pub struct ObservedBody {
    body: Body,
    exchange: Box<Exchange>,
}

impl hyper::body::Body for ObservedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(Some(Err(error))) = &frame {
            this.exchange.log_interruption(error);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// `GET /path HTTP/1.1`, without what the log must not have.
struct RequestLine<'a>(&'a Exchange);

impl Display for RequestLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Exchange { method, uri, version, .. } = self.0;
        f.write_str(method.as_str())?;
        f.write_str(" ")?;
        match uri.path_and_query() {
            _ if self.0.route.hides_target() || self.0.has_credential_in_url => f.write_str(self.0.route.path())?,
            Some(target) if uri.authority().is_none() => write_target(f, target)?,
            _ => write_absolute(f, uri)?,
        }
        match *version {
            Version::HTTP_11 => f.write_str(" HTTP/1.1"),
            other => write!(f, " {other:?}"),
        }
    }
}

/// Writes a target in absolute form, or `host:port` of CONNECT, without a user name and password, which are secret.
fn write_absolute(f: &mut fmt::Formatter<'_>, uri: &Uri) -> fmt::Result {
    let Some(authority) = uri.authority() else { return write!(f, "{uri}") };
    if let Some(scheme) = uri.scheme_str() {
        write!(f, "{scheme}://")?;
    }
    let authority = authority.as_str();
    f.write_str(authority.rsplit_once('@').map_or(authority, |(_, host)| host))?;
    uri.path_and_query().map_or(Ok(()), |target| write_target(f, target))
}

/// Writes a path and a query without the value of a `reason`, which may say more about a person than the log should keep.
fn write_target(f: &mut fmt::Formatter<'_>, target: &PathAndQuery) -> fmt::Result {
    let query = target.query().unwrap_or_default();
    // The name of a parameter can be percent-encoded.
    if !query.contains(REASON) && !query.contains('%') {
        return f.write_str(target.as_str());
    }
    f.write_str(target.path())?;
    for (position, pair) in query.split('&').enumerate() {
        f.write_str(if position == 0 { "?" } else { "&" })?;
        match pair.split_once('=') {
            Some((name, _)) if query::decode(name) == REASON => write!(f, "{name}=…")?,
            _ => f.write_str(pair)?,
        }
    }
    Ok(())
}

/// Records a request whose head the HTTP parser rejected: its method, target and duration are unknown.
pub fn record_rejected_head(app: &AppState, peer: SocketAddr, status: u16, request_id: &RequestId) {
    let remote = peer.ip();
    let cache = CacheStatus::Bypass.as_str();
    log(
        app,
        &Access { request: "-", method: "-", status, remote, micros: 0, request_id: request_id.as_bytes(), cache },
    );
    observe(app, "OTHER", RouteLabel::UNMATCHED, status, 0.0);
}

fn log<R: Display>(app: &AppState, access: &Access<'_, R>) {
    match app.logged_requests() {
        config::LoggedRequests::Off => {}
        config::LoggedRequests::Errors if access.status < 400 => {}
        config::LoggedRequests::Errors | config::LoggedRequests::All => app.access_log.write(access),
    }
}

fn observe(app: &AppState, method: &'static str, route: RouteLabel, status: u16, seconds: f64) {
    app.request_metrics.observe(&app.metrics, method, route, status, seconds);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_reason_is_not_written() {
        struct Target(&'static str);
        impl Display for Target {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_target(f, &PathAndQuery::from_static(self.0))
            }
        }
        for (target, written) in [
            ("/x?id=1", "/x?id=1"),
            ("/x?id=%31&reason=ill&b", "/x?id=%31&reason=…&b"),
            ("/x?%72eason=ill&reasons=2", "/x?%72eason=…&reasons=2"),
            ("/x?reason=a%3Db=c&reason=", "/x?reason=…&reason=…"),
            ("/reason?a=reason", "/reason?a=reason"),
            ("/x", "/x"),
        ] {
            assert_eq!(Target(target).to_string(), written);
        }
    }
}
