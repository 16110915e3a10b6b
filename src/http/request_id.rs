//! The id that an answer and its log lines have in common.
//!
//! Policy: a client's own id is kept if it is valid (1 to 128 of `A-Z a-z 0-9 . _ -`), so that one id follows a
//! request through several services. Otherwise an id is generated: 16 hexadecimal digits of this process, a dash, a counter.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

/// The header that carries the id, in both directions.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is accepted from a client, in bytes.
const MAX_CLIENT_LENGTH: usize = 128;
/// The longest generated id: hexadecimal digits of the process, a dash, and the decimal digits of the largest counter.
const MAX_GENERATED_LENGTH: usize = 16 + 1 + 20;

/// Generates ids that are unique in this process and, with high probability, among all processes.
#[derive(Debug)]
pub struct RequestIds {
    /// The part that all ids of this process begin with.
    process: [u8; 17],
    next: AtomicU64,
}

/// The id of one request.
#[derive(Debug, Clone)]
pub enum RequestId {
    /// Generated here: the text and its length.
    Generated([u8; MAX_GENERATED_LENGTH], u8),
    /// The client's own, which is valid.
    FromClient(HeaderValue),
}

impl RequestIds {
    /// Ids that begin with random digits, which distinguish this process from all others.
    pub fn random() -> Self {
        let mut random = [0; 8];
        // Without random numbers the clock still distinguishes processes.
        let seed = match getrandom::fill(&mut random) {
            Ok(()) => u64::from_le_bytes(random),
            Err(_) => u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default(),
        };
        let mut process = [b'-'; 17];
        for (place, digit) in process.iter_mut().zip(format!("{seed:016x}").bytes()) {
            *place = digit;
        }
        Self { process, next: AtomicU64::new(1) }
    }

    /// The id of a request with these headers.
    pub fn for_request(&self, headers: &HeaderMap) -> RequestId {
        match headers.get(X_REQUEST_ID) {
            Some(id) if is_valid(id.as_bytes()) => RequestId::FromClient(id.clone()),
            _ => self.generate(),
        }
    }

    /// Generates an id.
    pub fn generate(&self) -> RequestId {
        let mut number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut digits = [0; 20];
        let mut first = digits.len();
        while number > 0 || first == digits.len() {
            first -= 1;
            digits[first] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        let digits = &digits[first..];
        let mut text = [0; MAX_GENERATED_LENGTH];
        let (process, rest) = text.split_at_mut(self.process.len());
        process.copy_from_slice(&self.process);
        rest[..digits.len()].copy_from_slice(digits);
        RequestId::Generated(text, (self.process.len() + digits.len()) as u8)
    }
}

impl RequestId {
    /// The value of the `X-Request-Id` header.
    pub fn header(&self) -> HeaderValue {
        match self {
            Self::Generated(..) => HeaderValue::from_bytes(self.as_bytes()).unwrap_or(HeaderValue::from_static("none")),
            Self::FromClient(id) => id.clone(),
        }
    }

    /// The id as bytes, none of which has to be escaped anywhere. Costs less than the text, whose encoding is checked.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Generated(text, length) => &text[..usize::from(*length)],
            Self::FromClient(id) => id.as_bytes(),
        }
    }
}

impl Deref for RequestId {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or("none")
    }
}

fn is_valid(id: &[u8]) -> bool {
    (1..=MAX_CLIENT_LENGTH).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_id_of_the_client_is_kept_and_an_invalid_one_is_replaced() {
        let ids = RequestIds::random();
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::try_from(value).unwrap());
            ids.for_request(&headers).to_string()
        };
        assert_eq!(of("a-B_9.z"), "a-B_9.z");
        for bad in ["", "a b", "a\"b", "<x>", &"a".repeat(129)] {
            assert_ne!(of(bad), bad);
        }
    }

    #[test]
    fn a_generated_id_consists_of_the_process_and_a_counter() {
        let ids = RequestIds::random();
        let texts: Vec<String> = (0..11).map(|_| ids.generate().to_string()).collect();
        let process = texts[0].strip_suffix("-1").unwrap();
        assert!(process.len() == 16 && process.bytes().all(|digit| digit.is_ascii_hexdigit()));
        assert_eq!((&texts[8], &texts[10]), (&format!("{process}-9"), &format!("{process}-11")));
        ids.next.store(u64::MAX, Ordering::Relaxed);
        let last = ids.generate();
        assert_eq!(*last, *format!("{process}-{}", u64::MAX));
        assert_eq!(last.header().as_bytes(), last.as_bytes());
    }
}
