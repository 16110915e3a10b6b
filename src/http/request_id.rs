//! The id that joins an answer to its log lines.
//!
//! Policy: a client's own id is kept when it is sane (1 to 128 of `A-Z a-z 0-9 . _ -`), so that one id follows a
//! request through several services; otherwise it gets one of ours: 16 hexadecimal digits of this process, a counter.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

/// The header that carries the id, in both directions.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id taken from a client, in bytes.
const LONGEST: usize = 128;

/// Gives out ids that are unique in this process, and with near certainty among all.
#[derive(Debug)]
pub struct RequestIds {
    process: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// Ids of a new process.
    pub fn new() -> Self {
        let mut random = [0; 8];
        // Without random numbers the clock still tells processes apart.
        let process = match getrandom::fill(&mut random) {
            Ok(()) => u64::from_le_bytes(random),
            Err(_) => u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default(),
        };
        Self { process, next: AtomicU64::new(1) }
    }

    /// The id of a request with these headers.
    pub fn of(&self, headers: &HeaderMap) -> HeaderValue {
        match headers.get(X_REQUEST_ID) {
            Some(theirs) if is_sane(theirs.as_bytes()) => theirs.clone(),
            _ => self.fresh(),
        }
    }

    /// An id of our own.
    pub fn fresh(&self) -> HeaderValue {
        let id = format!("{:016x}-{}", self.process, self.next.fetch_add(1, Ordering::Relaxed));
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none"))
    }
}

fn is_sane(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
}

/// An id as text.
pub fn text(id: &HeaderValue) -> &str {
    id.to_str().unwrap_or("none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_id_is_kept_and_another_is_replaced() {
        let ids = RequestIds::new();
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::try_from(value).unwrap());
            text(&ids.of(&headers)).to_owned()
        };
        assert_eq!(of("a-B_9.z"), "a-B_9.z");
        for bad in ["", "a b", "a\"b", "<x>", &"a".repeat(129)] {
            assert_ne!(of(bad), bad);
        }
        assert_ne!(text(&ids.fresh()), text(&ids.fresh()));
    }
}
