//! Answers: status, headers, and a body that is empty, complete or streamed.
//!
//! Policy: a handler makes a [`Reply`]; the headers that every answer has are added when it is sent (`server/exchange.rs`).

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;

use crate::attendance::{CacheStatus, RowStream, StreamError, json};

/// Room for the headers of a typical answer. The parser keeps the map for the connection's next request, so its size matters.
const TYPICAL_HEADERS: usize = 6;

/// An answer before it is sent.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, except those that every answer has.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Body,
    /// Where the answer to a read came from, for the log.
    pub cache: Option<CacheStatus>,
}

impl Reply {
    /// An answer without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::with_capacity(TYPICAL_HEADERS), body: Body::empty(), cache: None }
    }

    /// An answer with a body of any type.
    pub fn new(status: StatusCode, content_type: HeaderValue, body: Body) -> Self {
        let mut reply = Self { body, ..Self::empty(status) };
        reply.headers.insert(CONTENT_TYPE, content_type);
        reply
    }

    /// An answer whose body is JSON.
    pub fn json(status: StatusCode, body: Body) -> Self {
        Self::new(status, HeaderValue::from_static("application/json"), body)
    }

    /// An answer that must not be stored by any cache (`Cache-Control: no-store`), serialised from a value.
    pub fn uncacheable<T: Serialize>(status: StatusCode, value: &T) -> Self {
        Self::uncacheable_json(status, json::line(value).into())
    }

    /// An answer that must not be stored by any cache (`Cache-Control: no-store`), from JSON text.
    pub fn uncacheable_json(status: StatusCode, body: Bytes) -> Self {
        let mut reply = Self::json(status, Body::full(body));
        reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        reply
    }

    /// A permanent redirect (308). `location` is the path of a route, with a query.
    pub fn redirect(location: &str) -> Self {
        let mut reply = Self::empty(StatusCode::PERMANENT_REDIRECT);
        reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // The path of a route always fits a header, and so does a query that the parser has accepted.
        reply.headers.insert(LOCATION, HeaderValue::try_from(location).unwrap_or(HeaderValue::from_static("/")));
        reply
    }

    /// The answer to OPTIONS, which names the methods.
    pub fn options(allow: String) -> Self {
        let mut reply = Self::empty(StatusCode::OK);
        // The names of methods always fit a header.
        if let Ok(allow) = HeaderValue::try_from(allow) {
            reply.headers.insert(ALLOW, allow);
        }
        reply.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        reply
    }

    /// The answer to HEAD: all headers, `Content-Length` included, but no body.
    pub fn without_body(mut self) -> Self {
        if let Content::Complete(body) = &self.body.0 {
            self.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        self.body = Body::empty();
        self
    }
}

/// The body of an answer.
#[derive(Debug)]
pub struct Body(Content);

#[derive(Debug)]
enum Content {
    Empty,
    Complete(Bytes),
    Rows(RowStream),
}

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self(Content::Empty)
    }

    /// A body in memory.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Content::Complete(bytes.into()))
    }

    /// A body that is read from the database while the client receives it.
    pub fn rows(rows: RowStream) -> Self {
        Self(Content::Rows(rows))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        let content = &mut self.get_mut().0;
        match content {
            Content::Empty => Poll::Ready(None),
            Content::Complete(bytes) => {
                let bytes = std::mem::take(bytes);
                *content = Content::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Content::Rows(rows) => Pin::new(rows).poll_chunk(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Empty => true,
            Content::Complete(bytes) => bytes.is_empty(),
            Content::Rows(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Empty => SizeHint::with_exact(0),
            Content::Complete(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Rows(_) => SizeHint::default(),
        }
    }
}
