//! Reads whose answer may be in this process's memory.
//!
//! Policy: the query of a read is parsed once. The fast path parses it and looks into memory without waiting; a hit is the answer.
//! On a miss the parsed read goes on to the slow path, which asks Redis and PostgreSQL. Where memory cannot have the answer, the
//! fast path is skipped and the slow path parses the query.

use std::future::Future;
use std::time::Instant;

use hyper::HeaderMap;

use super::error::HttpError;
use super::request::{HandlerFuture, RequestContext};
use super::response::Reply;
use super::route_path::RoutePath;
use super::state::AppState;
use crate::attendance::Visibility;

/// A read: its parsed query, with the cache key.
pub trait CachedRead: Sized + Send + 'static {
    /// Parses a query string; `path` is that of the request, and `visibility` what its caller may see.
    ///
    /// # Errors
    /// If the query is not valid: the answer to the request.
    fn parse(app: &AppState, path: RoutePath, query: &str, visibility: Visibility) -> Result<Self, HttpError>;

    /// The answer, if memory has a valid one. Must not wait.
    fn try_cached(&self, app: &AppState, headers: &HeaderMap, now: Instant) -> Option<Reply>;

    /// The answer from wherever it is.
    fn read(self, context: &RequestContext) -> impl Future<Output = Result<Reply, HttpError>> + Send;
}

/// What the fast path achieved.
pub enum FastPath {
    /// The answer was in memory.
    Hit(Reply),
    /// It was not; the slow path continues with the parsed read.
    Miss(Box<dyn PendingRead>),
    /// The query is not valid.
    Invalid(HttpError),
    /// The request is not a read that memory can answer.
    Skipped,
}

/// A parsed read of any type.
pub trait PendingRead: Send {
    /// Reads the answer.
    fn read<'a>(self: Box<Self>, context: &'a RequestContext) -> HandlerFuture<'a>;
}

impl<R: CachedRead> PendingRead for R {
    fn read<'a>(self: Box<Self>, context: &'a RequestContext) -> HandlerFuture<'a> {
        Box::pin(async move { CachedRead::read(*self, context).await })
    }
}

/// The fast path of one type of read.
pub fn try_cached<R: CachedRead>(
    app: &AppState,
    path: RoutePath,
    query: &str,
    visibility: Visibility,
    headers: &HeaderMap,
    now: Instant,
) -> FastPath {
    match R::parse(app, path, query, visibility) {
        Ok(read) => match read.try_cached(app, headers, now) {
            Some(reply) => FastPath::Hit(reply),
            None => FastPath::Miss(Box::new(read)),
        },
        Err(error) => FastPath::Invalid(error),
    }
}

/// The slow path of a read that the fast path has not parsed.
pub fn read<R: CachedRead>(context: &RequestContext, path: RoutePath) -> HandlerFuture<'_> {
    Box::pin(async move { R::parse(&context.app, path, context.query(), context.visibility())?.read(context).await })
}
