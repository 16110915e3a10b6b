//! The text of a cursor, as it is in a URL: base64 of JSON. The caller checks the values of a decoded cursor, because a client can forge it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The text of a cursor.
pub(super) fn encode<T: Serialize>(cursor: &T) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor).unwrap_or_default())
}

/// The cursor of a text; `None` if it is not the text of such a cursor.
pub(super) fn decode<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// Whether a text is a moment as a statement writes it. There are texts of moments that PostgreSQL does not read: of the year 0 and those before, and with
/// the name of a time zone.
pub(super) fn is_moment(text: &str) -> bool {
    let has = |at: usize, sign: u8| text.as_bytes().get(at) == Some(&sign);
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    let is_of_statement = separators.into_iter().all(|(at, sign)| has(at, sign)) && text.ends_with('Z');
    text.len() <= 32 && is_of_statement && !text.starts_with("0000") && text.parse::<Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_one_that_postgresql_reads() {
        assert!(is_moment("2026-01-31T08:30:00.123456Z") && is_moment("0001-01-01T00:00:00.000000Z"));
        for text in [
            "",
            "now",
            "2026-01-31",
            "-009998-06-01T00:00:00Z",
            "0000-06-01T00:00:00Z",
            "2026-01-31T08:30:00Z[UTC]",
            "2026-01-31T08:30:00+01:00",
            "20260131T083000Z",
        ] {
            assert!(!is_moment(text), "{text}");
        }
    }
}
