//! Answers: status, headers, and a body that is empty, complete or streamed.
//!
//! Policy: a handler makes a [`Reply`]; the headers that every answer has are added when it is sent (`server/exchange.rs`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use content_coding::Encoder;
use hyper::body::{Frame, SizeHint};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, Entry, HeaderValue, LOCATION, VARY};
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;

use crate::attendance::json::{self, Charset};
use crate::attendance::{CacheStatus, RowStream, StreamError};

/// Room for the headers of a typical answer. The parser keeps the map for the connection's next request, so its size matters.
const TYPICAL_HEADERS: usize = 6;
/// Room for the headers of a large answer: it has a coding of its own, says so, and may link to a next page.
const MAX_HEADERS: usize = 12;

/// The largest piece of a body that is encoded at once, so that no answer delays those of others.
const MAX_PIECE: usize = 64 * 1024;

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
        Self::with_room(TYPICAL_HEADERS, status)
    }

    /// An answer with a body of any type.
    pub fn new(status: StatusCode, content_type: HeaderValue, body: Body) -> Self {
        Self::with_room(TYPICAL_HEADERS, status).with_body(content_type, body)
    }

    /// An answer with a large body of any type.
    pub fn large(status: StatusCode, content_type: HeaderValue, body: Body) -> Self {
        Self::with_room(MAX_HEADERS, status).with_body(content_type, body)
    }

    fn with_room(headers: usize, status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::with_capacity(headers), body: Body::empty(), cache: None }
    }

    fn with_body(mut self, content_type: HeaderValue, body: Body) -> Self {
        self.headers.insert(CONTENT_TYPE, content_type);
        Self { body, ..self }
    }

    /// An answer whose body is JSON.
    pub fn json(status: StatusCode, body: Body) -> Self {
        Self::new(status, HeaderValue::from_static("application/json"), body)
    }

    /// An answer that must not be stored by any cache (`Cache-Control: no-store`), serialised from a value without a client's text.
    pub fn uncacheable<T: Serialize>(status: StatusCode, value: &T) -> Self {
        Self::uncacheable_json(status, json::line(value, Charset::Ascii).into())
    }

    /// An answer that must not be stored by any cache (`Cache-Control: no-store`), from JSON text.
    pub fn uncacheable_json(status: StatusCode, body: Bytes) -> Self {
        let mut reply = Self::json(status, Body::full(body));
        reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        reply
    }

    /// The answer to a change after which there is nothing to show (204), which no cache may store.
    pub fn no_content() -> Self {
        let mut reply = Self::empty(StatusCode::NO_CONTENT);
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

/// Adds the name of a request header on which the answer depends to `Vary`.
pub fn add_vary(headers: &mut HeaderMap, name: &'static str) {
    match headers.entry(VARY) {
        Entry::Vacant(entry) => {
            entry.insert(HeaderValue::from_static(name));
        }
        Entry::Occupied(mut entry) => {
            let others = entry.get().to_str().unwrap_or_default();
            // Names of headers always fit a header.
            if let Ok(value) = HeaderValue::try_from(format!("{others}, {name}")) {
                entry.insert(value);
            }
        }
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
    Encoded(Box<EncodedContent>),
}

/// A content that is encoded while the client receives it.
#[derive(Debug)]
struct EncodedContent {
    source: Source,
    /// None after the end.
    encoder: Option<Encoder>,
}

#[derive(Debug)]
enum Source {
    Complete(Bytes),
    Rows(RowStream),
}

/// The connection failed to get the rest of a body; its status has been sent already.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// From the database.
    #[error(transparent)]
    Rows(#[from] StreamError),
    /// From the encoder.
    #[error("an answer cannot be encoded further: {0}")]
    Encoder(#[from] io::Error),
}

impl Source {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match self {
            Self::Complete(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Complete(bytes) => Poll::Ready(Some(Ok(bytes.split_to(bytes.len().min(MAX_PIECE))))),
            Self::Rows(rows) => {
                Pin::new(rows).poll_chunk(cx).map(|chunk| chunk.map(|chunk| chunk.map_err(BodyError::from)))
            }
        }
    }
}

impl EncodedContent {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(encoder) = &mut self.encoder else { return Poll::Ready(None) };
        let encoded = match ready!(self.source.poll_piece(cx)) {
            Some(Ok(piece)) => encoder.push(&piece),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => self.encoder.take().map_or(Ok(Vec::new()), Encoder::finish),
        };
        Poll::Ready(Some(encoded.map(|encoded| Frame::data(encoded.into())).map_err(BodyError::from)))
    }
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

    /// A body that is encoded while the client receives it.
    pub fn encoded(self, encoder: Encoder) -> Self {
        let source = match self.0 {
            Content::Complete(bytes) => Source::Complete(bytes),
            Content::Rows(rows) => Source::Rows(rows),
            other @ (Content::Empty | Content::Encoded(_)) => return Self(other),
        };
        Self(Content::Encoded(Box::new(EncodedContent { source, encoder: Some(encoder) })))
    }

    /// The body, if it is in memory.
    pub fn complete(&self) -> Option<&Bytes> {
        match &self.0 {
            Content::Complete(bytes) => Some(bytes),
            Content::Empty | Content::Rows(_) | Content::Encoded(_) => None,
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let content = &mut self.get_mut().0;
        match content {
            Content::Empty => Poll::Ready(None),
            Content::Complete(bytes) => {
                let bytes = std::mem::take(bytes);
                *content = Content::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Content::Rows(rows) => {
                let chunk = ready!(Pin::new(rows).poll_chunk(cx));
                Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data).map_err(BodyError::from)))
            }
            Content::Encoded(encoded) => encoded.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Empty => true,
            Content::Complete(bytes) => bytes.is_empty(),
            Content::Rows(_) => false,
            Content::Encoded(encoded) => encoded.encoder.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Empty => SizeHint::with_exact(0),
            Content::Complete(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Rows(_) | Content::Encoded(_) => SizeHint::default(),
        }
    }
}
