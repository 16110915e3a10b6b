//! What the domain answers a read with.

use std::io;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use content_coding::{ContentCoding, Effort};
use md5::{Digest, Md5};

use super::list_stream::RowStream;
use crate::cache::CacheValue;
use crate::peer_counts::PeerCount;

/// An encoded form is kept if it is smaller than the content by this factor, so that the memory for all forms has a bound. Lists become smaller
/// by a factor of ten and more.
const MIN_KEPT_RATIO: usize = 4;
/// A content up to this size is not expected to be encoded, in bytes.
const MAX_UNENCODED: usize = 1024;

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

impl Answer {
    /// An answer from the cache.
    pub(super) fn hit(content: Arc<Content>) -> Self {
        Self { content, cached: CacheStatus::Hit }
    }
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
    /// Encoded forms, in the order of [`ContentCoding::ALL`]; in a box, because most contents have none.
    encoded: OnceLock<Box<[OnceLock<EncodedForm>; ContentCoding::ALL.len()]>>,
    /// The memory of a list that was loaded by this process.
    _memory: Option<PeerCount>,
}

/// A content in a content coding. Copies share it.
#[derive(Debug, Clone)]
pub struct EncodedForm {
    /// The encoded body.
    pub body: Bytes,
    /// Its entity tag: that of the content with the name of the coding.
    pub etag: Bytes,
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
    /// A record.
    pub(super) fn new(body: Vec<u8>) -> Self {
        Self::list(body, None, None)
    }

    /// A list, whose memory is counted until the content is dropped.
    pub(super) fn list(body: Vec<u8>, next_cursor: Option<String>, memory: Option<PeerCount>) -> Self {
        let etag = entity_tag(&body);
        Self::from_parts(Bytes::from(body), etag, next_cursor, memory)
    }

    fn from_parts(body: Bytes, etag: Bytes, next_cursor: Option<String>, memory: Option<PeerCount>) -> Self {
        Self { body, etag, next: next_cursor.map(NextPage::new), encoded: OnceLock::new(), _memory: memory }
    }

    /// The entity tag of the content in a coding.
    pub fn etag_of(&self, coding: ContentCoding) -> Bytes {
        let digits = self.etag.strip_suffix(b"\"").unwrap_or(&self.etag);
        [digits, b"-", coding.token().as_bytes(), b"\""].concat().into()
    }

    /// The content in a coding. It is encoded for the first reader only, and kept for the others if it is small enough.
    ///
    /// # Errors
    /// When there is no memory for the encoder.
    pub fn encoded(&self, coding: ContentCoding) -> io::Result<EncodedForm> {
        let form = &self.encoded.get_or_init(Box::default)[coding as usize];
        if let Some(form) = form.get() {
            return Ok(form.clone());
        }
        let body = Bytes::from(coding.encode(Effort::Fast, &self.body)?);
        let made = EncodedForm { body, etag: self.etag_of(coding) };
        if made.body.len() <= self.body.len() / MIN_KEPT_RATIO {
            // If another reader was faster, both results are equal.
            let _ = form.set(made.clone());
        }
        Ok(made)
    }

    /// The memory that all forms may take. Short contents are hardly ever encoded.
    fn encoded_memory(&self) -> usize {
        if self.body.len() <= MAX_UNENCODED { 0 } else { ContentCoding::ALL.len() * self.body.len() / MIN_KEPT_RATIO }
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
        let next = self.next.as_ref().map_or(0, |next| 2 * next.cursor.len() + key.len());
        next + self.encoded_memory()
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
        Some(Arc::new(Content::from_parts(encoded, etag, Some(cursor).filter(|cursor| !cursor.is_empty()), None)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_survives_storage() {
        for cursor in [None, Some("abc".to_owned())] {
            let content = Arc::new(Content::list(b"[]\n".to_vec(), cursor.clone(), None));
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
        let content = Content::list(b"[]\n".to_vec(), Some("c".to_owned()), None);
        let next = content.next.unwrap();
        assert_eq!(next.rendered(|cursor| format!("<{cursor}>").into()), "<c>");
        assert_eq!(next.rendered(|_| unreachable!("it has been rendered")), "<c>");
    }
    #[test]
    fn a_content_is_encoded_once_and_each_form_has_its_own_tag() {
        let body = format!("[{}]\n", vec![r#"{"id":"1","name":"Asha","status":"Present"}"#; 100].join(","));
        let content = Content::new(body.clone().into_bytes());
        for coding in ContentCoding::ALL {
            let (first, second) = (content.encoded(coding).unwrap(), content.encoded(coding).unwrap());
            assert_eq!(first.body.as_ptr(), second.body.as_ptr(), "{coding:?} is encoded a second time");
            let tag = String::from_utf8(content.etag.to_vec()).unwrap();
            let expected = format!("{}-{}\"", tag.strip_suffix('"').unwrap(), coding.token());
            assert_eq!(first.etag, expected.as_bytes());
            assert!(first.body.len() * MIN_KEPT_RATIO < body.len());
        }
        let memory = |content: Content| Arc::new(content).overhead("key");
        assert_eq!((memory(Content::new(vec![b'x'; 1000])), memory(Content::new(vec![b'x'; 4000]))), (0, 3000));
    }

    #[test]
    fn a_form_that_is_not_much_smaller_is_not_kept() {
        let mut state = 1_u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        let content = Content::new(noise.take(4000).collect());
        content.encoded(ContentCoding::Gzip).unwrap();
        assert!(content.encoded.get().unwrap().iter().all(|form| form.get().is_none()));
    }
}
