//! What the domain answers a read with.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use md5::{Digest, Md5};
use tokio::sync::mpsc;

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cached {
    /// Redis.
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

/// A complete JSON body, newline included.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The body.
    pub body: Bytes,
    /// Entity tag: 32 hexadecimal digits, without quotes.
    pub etag: String,
    /// Cursor of the next page, where there is one.
    pub next: Option<String>,
    /// Where it came from.
    pub cached: Cached,
}

impl Answer {
    /// An answer read from PostgreSQL.
    pub(super) fn fresh(body: Bytes, next: Option<String>, cached: Cached) -> Self {
        let etag = entity_tag(&body);
        Self { body, etag, next, cached }
    }
}

/// Equal bodies have equal tags, on every instance.
fn entity_tag(body: &[u8]) -> String {
    Md5::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
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
