//! What is answered: status, headers, and a body that is empty, whole or made as it is sent.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::exchange::Exchange;
use crate::attendance::{CacheStatus, RowStream, StreamError, json};

/// Headers that most answers have at the most. The parser keeps the map for the connection's next request, so room counts.
const TYPICAL_HEADERS: usize = 6;

/// An answer that is one sentence.
#[derive(Debug, Serialize, ToSchema)]
pub struct Message<'a> {
    /// The sentence.
    pub message: &'a str,
}

/// An answer before it is sent.
#[derive(Debug)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers; what every answer has is added when it is sent.
    pub headers: HeaderMap,
    /// Body.
    pub body: Body,
    /// Where a read's answer came from, for the log.
    pub cached: Option<CacheStatus>,
}

impl Reply {
    /// An answer without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::with_capacity(TYPICAL_HEADERS), body: Body::empty(), cached: None }
    }

    /// An answer with a body of some type.
    pub fn new(status: StatusCode, content_type: HeaderValue, body: Body) -> Self {
        let mut reply = Self { body, ..Self::empty(status) };
        reply.headers.insert(CONTENT_TYPE, content_type);
        reply
    }

    /// An answer with a body that is JSON already.
    pub fn json(status: StatusCode, body: Body) -> Self {
        Self::new(status, HeaderValue::from_static("application/json"), body)
    }

    /// A value as JSON, for nobody to keep.
    pub fn value<T: Serialize>(status: StatusCode, value: &T) -> Self {
        Self::uncacheable_json(status, json::line(value).into())
    }

    /// JSON that is true for this moment only.
    pub fn uncacheable_json(status: StatusCode, body: Bytes) -> Self {
        let mut reply = Self::json(status, Body::full(body));
        reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        reply
    }

    /// Sends the client to the one address of what it asked for.
    pub fn moved(location: &str) -> Self {
        let mut reply = Self::empty(StatusCode::PERMANENT_REDIRECT);
        // A location that no header can hold is not one of our routes, and those are all that is passed here.
        reply.headers.insert(LOCATION, HeaderValue::try_from(location).unwrap_or(HeaderValue::from_static("/")));
        reply
    }

    /// What HEAD answers: the same without the body, its length included.
    pub fn without_body(mut self) -> Self {
        if let Content::Whole(body) = &self.body.content {
            self.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        self.body = Body::empty();
        self
    }
}

/// A response body. It holds the exchange it belongs to, which ends with it.
#[derive(Debug)]
pub struct Body {
    content: Content,
    exchange: Option<Box<Exchange>>,
}

#[derive(Debug)]
enum Content {
    Empty,
    Whole(Bytes),
    Rows(RowStream),
}

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self { content: Content::Empty, exchange: None }
    }

    /// A body in memory.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self { content: Content::Whole(bytes.into()), exchange: None }
    }

    /// A body that is read from the database as the client takes it.
    pub fn rows(rows: RowStream) -> Self {
        Self { content: Content::Rows(rows), exchange: None }
    }

    /// Ties the exchange to the body: it is observed when the body has been handed over, or dropped.
    pub fn ending(mut self, exchange: Box<Exchange>) -> Self {
        self.exchange = Some(exchange);
        self
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        let this = self.get_mut();
        match &mut this.content {
            Content::Empty => Poll::Ready(None),
            Content::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                this.content = Content::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Content::Rows(rows) => Pin::new(rows).poll_chunk(cx).map(|piece| {
                if let (Some(Err(error)), Some(exchange)) = (&piece, &this.exchange) {
                    exchange.interrupted(error);
                }
                piece.map(|piece| piece.map(Frame::data))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Rows(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Rows(_) => SizeHint::default(),
        }
    }
}
