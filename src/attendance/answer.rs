//! What the domain answers a read with.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use md5::{Digest, Md5};
use tokio::sync::mpsc;

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheStatus {
    /// Redis, or this process in front of it.
    Hit,
    /// PostgreSQL, and it was stored in Redis.
    Miss,
    /// PostgreSQL; Redis was not asked or could not be used.
    Bypass,
}

impl CacheStatus {
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
    pub cached: CacheStatus,
}

/// What is sent, as it is sent.
#[derive(Debug)]
pub struct Content {
    /// A complete JSON body, newline included.
    pub body: Bytes,
    /// Entity tag: 32 hexadecimal digits in quotes.
    pub etag: Bytes,
    /// Where the next page begins, if there is one.
    pub next: Option<NextPage>,
}

/// The cursor of the next page, and the form in which it is sent, which is made once for all who read the answer.
#[derive(Debug)]
pub struct NextPage {
    cursor: String,
    rendered: OnceLock<Bytes>,
}

impl NextPage {
    /// The page that begins behind a cursor.
    pub(super) fn new(cursor: String) -> Self {
        Self { cursor, rendered: OnceLock::new() }
    }

    /// The cursor, as a client sends it back.
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// What `render` makes of the cursor: it is called by the first reader of the answer only. It must depend on nothing but the
    /// cursor and the query that the answer belongs to.
    pub fn rendered(&self, render: impl FnOnce(&str) -> Bytes) -> &Bytes {
        self.rendered.get_or_init(|| render(&self.cursor))
    }
}

impl Answer {
    /// An answer read from PostgreSQL.
    pub(super) fn fresh(body: Bytes, next: Option<String>, cached: CacheStatus) -> Self {
        let etag = entity_tag(&body);
        Self { content: Arc::new(Content { body, etag, next: next.map(NextPage::new) }), cached }
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
    Complete(Answer),
    /// It is larger than what may be held in memory and comes in chunks.
    Stream(RowStream),
}

/// The chunks of a JSON body, made as they are taken. Ends early with an error when the database fails.
#[derive(Debug)]
pub struct RowStream {
    pub(super) chunks: mpsc::Receiver<Result<Bytes, StreamError>>,
}

/// The database failed in the middle of a streamed answer.
#[derive(Debug, thiserror::Error)]
#[error("the database failed in the middle of the answer: {0}")]
pub struct StreamError(pub(super) String);

impl RowStream {
    /// The next piece; `None` when the body is complete.
    pub fn poll_chunk(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StreamError>>> {
        self.get_mut().chunks.poll_recv(cx)
    }
}
