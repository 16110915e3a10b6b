//! What the domain answers a read with.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use md5::{Digest, Md5};
use tokio::sync::mpsc;

use super::error::StreamError;
use crate::cache::CacheValue;

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheStatus {
    /// Redis, or this process's memory in front of it.
    Hit,
    /// PostgreSQL; the answer was stored in the cache.
    Miss,
    /// PostgreSQL; the cache could not be used.
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
    fn new(cursor: String) -> Self {
        Self { cursor, rendered: OnceLock::new() }
    }

    /// The cursor, as a client sends it back.
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// What `render` makes of the cursor. It is called for the first reader of the answer only; so its result must depend on nothing
    /// but the cursor and the query that the answer belongs to.
    pub fn rendered(&self, render: impl FnOnce(&str) -> Bytes) -> &Bytes {
        self.rendered.get_or_init(|| render(&self.cursor))
    }
}

impl Content {
    pub(super) fn new(body: Vec<u8>, next_cursor: Option<String>) -> Self {
        let etag = entity_tag(&body);
        Self { body: Bytes::from(body), etag, next: next_cursor.map(NextPage::new) }
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

/// Stored as two lines (entity tag, cursor of the next page or nothing), then the body as it is sent.
impl CacheValue for Arc<Content> {
    fn size(&self) -> usize {
        self.body.len()
    }

    fn overhead(&self, key: &str) -> usize {
        // The rendered form of a cursor has it once more, and the filters of the query, which are about as long as the key.
        self.next.as_ref().map_or(0, |next| 2 * next.cursor.len() + key.len())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.etag.len() + self.body.len() + 64);
        let cursor = self.next.as_ref().map_or("", NextPage::cursor);
        for part in [&self.etag, &b"\n"[..], cursor.as_bytes(), b"\n", &self.body] {
            out.extend_from_slice(part);
        }
    }

    fn decode(mut encoded: Bytes) -> Option<Self> {
        let mut line = || {
            let end = encoded.iter().position(|byte| *byte == b'\n')?;
            Some(encoded.split_to(end + 1).slice(..end))
        };
        let (etag, cursor) = (line()?, line()?);
        if etag.len() != 34 || !encoded.ends_with(b"\n") {
            return None;
        }
        let cursor = String::from_utf8(cursor.into()).ok()?;
        let next = (!cursor.is_empty()).then(|| NextPage::new(cursor));
        Some(Arc::new(Content { body: encoded, etag, next }))
    }
}

/// An answer to `search/all`.
#[derive(Debug)]
pub enum Listing {
    /// It fitted into memory.
    Complete(Answer),
    /// It is larger than what may be held in memory and comes in chunks.
    Stream(RowStream),
}

/// The chunks of a JSON body, read from the database as they are taken. Ends early with an error when the database fails.
#[derive(Debug)]
pub struct RowStream {
    pub(super) chunks: mpsc::Receiver<Result<Bytes, StreamError>>,
}

impl RowStream {
    /// The next chunk; `None` when the body is complete.
    pub fn poll_chunk(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StreamError>>> {
        self.get_mut().chunks.poll_recv(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_survives_storage() {
        for cursor in [None, Some("abc".to_owned())] {
            let content = Arc::new(Content::new(b"[]\n".to_vec(), cursor.clone()));
            let mut encoded = Vec::new();
            content.encode(&mut encoded);
            assert_eq!(
                encoded,
                format!("{}\n{}\n[]\n", "\"58e0494c51d30eb3494f7c9198986bb9\"", cursor.as_deref().unwrap_or(""))
                    .into_bytes()
            );
            let decoded = <Arc<Content>>::decode(encoded.into()).unwrap();
            assert_eq!((&decoded.body, &decoded.etag), (&content.body, &content.etag));
            assert_eq!(decoded.next.as_ref().map(NextPage::cursor), cursor.as_deref());
        }
    }

    #[test]
    fn what_is_not_stored_content_is_ignored() {
        let tag = "\"0123456789abcdef0123456789abcdef\"";
        let decode = |encoded: String| <Arc<Content>>::decode(encoded.into_bytes().into());
        assert!(decode(format!("{tag}\n\n{{}}\n")).is_some());
        for encoded in [
            "".to_owned(),
            "x".into(),
            "x\n\n{}\n".into(),
            "\n\n\n".into(),
            format!("{tag}\n\n"),
            format!("{tag}\n{{}}\n"),
        ] {
            assert!(decode(encoded.clone()).is_none(), "{encoded:?}");
        }
    }

    #[test]
    fn the_form_of_a_cursor_is_rendered_once() {
        let content = Content::new(b"[]\n".to_vec(), Some("c".to_owned()));
        let next = content.next.unwrap();
        assert_eq!(next.rendered(|cursor| format!("<{cursor}>").into()), "<c>");
        assert_eq!(next.rendered(|_| unreachable!("it has been rendered")), "<c>");
    }
}
