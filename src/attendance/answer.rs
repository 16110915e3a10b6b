//! What the domain answers a read with.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use md5::{Digest, Md5};
use tokio::sync::mpsc;

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cached {
    /// Redis, or this process in front of it.
    Hit,
    /// PostgreSQL, and it was stored in Redis.
    Miss,
    /// PostgreSQL; Redis was not asked or could not be used.
    Bypass,
}

impl Cached {
    /// `hit`, `miss` or `bypass`, as in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        }
    }
}

/// A complete answer and where it came from. Copies share the content.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What is answered.
    pub content: Arc<Content>,
    /// Where it came from.
    pub cached: Cached,
}

/// What is sent, as it is sent.
#[derive(Debug)]
pub struct Content {
    /// A complete JSON body, newline included.
    pub body: Bytes,
    /// Entity tag: 32 hexadecimal digits in quotes.
    pub etag: Bytes,
    /// Cursor of the next page, where there is one.
    pub next: Option<String>,
    /// What the server made of the cursor, so that it need not do so again.
    pub link: OnceLock<Bytes>,
}

impl Answer {
    /// An answer read from PostgreSQL.
    pub(super) fn fresh(body: Bytes, next: Option<String>, cached: Cached) -> Self {
        let etag = entity_tag(&body);
        Self { content: Arc::new(Content { body, etag, next, link: OnceLock::new() }), cached }
    }
}

/// Equal bodies have equal tags, on every instance.
fn entity_tag(body: &[u8]) -> Bytes {
    let mut tag = String::with_capacity(34);
    tag.push('"');
    for byte in Md5::digest(body) {
        tag.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or_default()));
    }
    tag.push('"');
    Bytes::from(tag)
}

/// An answer to `search/all`.
#[derive(Debug)]
pub enum Listing {
    /// It fitted.
    Whole(Answer),
    /// It is larger than what may be held in memory and comes in pieces.
    Stream(RowStream),
}

/// The pieces of a JSON body, made as they are taken. Ends early with an error when the database fails.
#[derive(Debug)]
pub struct RowStream {
    pub(super) pieces: mpsc::Receiver<Result<Bytes, Interrupted>>,
}

/// The database failed in the middle of a streamed answer.
#[derive(Debug, thiserror::Error)]
#[error("the database failed in the middle of the answer: {0}")]
pub struct Interrupted(pub(super) String);

impl RowStream {
    /// The next piece; `None` when the body is complete.
    pub fn poll_piece(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Interrupted>>> {
        self.get_mut().pieces.poll_recv(cx)
    }
}
