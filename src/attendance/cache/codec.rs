//! The form in which an answer is stored in Redis.
//!
//! Policy: a head of four lines (generation, when PostgreSQL was asked, entity tag, next cursor), then the body as it is
//! sent. Whatever is not exactly that is no answer.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;

use crate::attendance::answer::{Answer, CacheStatus, Content, NextPage};

/// An answer found in Redis.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) answer: Answer,
    /// When PostgreSQL was asked, in milliseconds since 1970 by the clock of the instance that did.
    pub(super) read_at: u64,
}

pub(super) fn encode(generation: &str, read_at: u64, answer: &Content) -> Vec<u8> {
    let mut head = String::with_capacity(160);
    let etag = std::str::from_utf8(&answer.etag).unwrap_or_default();
    // Writing to a String cannot fail.
    let _ = write!(head, "{generation}\n{read_at}\n{etag}\n{}\n", answer.next.as_ref().map_or("", NextPage::cursor));
    let mut value = head.into_bytes();
    value.extend_from_slice(&answer.body);
    value
}

/// The answer, if it is one and of this generation.
pub(super) fn decode(stored: Vec<u8>, generation: &str) -> Option<Stored> {
    let mut rest = Bytes::from(stored);
    let mut line = || {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = rest.split_to(end + 1);
        Some(line.slice(..end))
    };
    let (theirs, read_at, etag, next) = (line()?, line()?, line()?, line()?);
    let text = |bytes: Bytes| String::from_utf8(bytes.into()).ok();
    if theirs != generation.as_bytes() || etag.len() != 34 || !rest.ends_with(b"\n") {
        return None;
    }
    let read_at = text(read_at)?.parse().ok()?;
    let next = text(next)?;
    let next = (!next.is_empty()).then(|| NextPage::new(next));
    let content = Content { body: rest, etag, next };
    Some(Stored { answer: Answer { content: Arc::new(content), cached: CacheStatus::Hit }, read_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_goes_round_and_only_under_its_generation() {
        for next in [None, Some("abc".to_owned())] {
            let answer = Answer::fresh(Bytes::from_static(b"[]\n"), next.clone(), CacheStatus::Miss);
            let stored = encode("g1", 17, &answer.content);
            let back = decode(stored.clone(), "g1").unwrap();
            let content = &back.answer.content;
            assert_eq!((&content.body, &content.etag), (&answer.content.body, &answer.content.etag));
            let cursor = content.next.as_ref().map(NextPage::cursor);
            assert_eq!((cursor, back.answer.cached, back.read_at), (next.as_deref(), CacheStatus::Hit, 17));
            assert!(decode(stored.clone(), "g2").is_none());
            assert!(decode(stored, "g").is_none());
        }
    }

    #[test]
    fn garbage_is_no_answer() {
        let tag = "\"0123456789abcdef0123456789abcdef\"";
        assert!(decode(format!("g1\n1\n{tag}\n\n{{}}\n").into_bytes(), "g1").is_some());
        for garbage in [
            String::new(),
            "g1".into(),
            "g1\n".into(),
            "g1\n1\nx\n\n{}\n".into(),
            "g1\n1\n\n\n".into(),
            "\u{0}\u{0}".into(),
            format!("g1\n1\n{tag}\n\n"),
            format!("g1\n-\n{tag}\n\n{{}}\n"),
            format!("g1\n{tag}\n\n{{}}\n"),
        ] {
            assert!(decode(garbage.clone().into_bytes(), "g1").is_none(), "{garbage:?}");
        }
    }
}
