//! Percent-encoding, read strictly.
//!
//! Policy: what a client changes or deletes is named exactly. So nothing is guessed here: a `%` that begins no escape, bytes that are not UTF-8, and
//! the character NUL, which PostgreSQL does not have, are errors. (The reads of the Python service decode leniently, see `query.rs`.)

use percent_encoding::percent_decode_str;

/// Why a text cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A `%` without two hexadecimal digits.
    #[error("has a `%` that is not followed by two hexadecimal digits: write a percent sign as %25")]
    Escape,
    /// The bytes are not UTF-8.
    #[error("is not UTF-8 after decoding")]
    Utf8,
    /// It contains NUL.
    #[error("must not contain a NUL character")]
    Nul,
}

/// Decodes a segment of a path once.
///
/// # Errors
/// When it is not percent-encoded UTF-8 without NUL.
pub fn decode_strictly(raw: &str) -> Result<String, DecodeError> {
    let is_hex = |text: Option<&str>| text.is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if raw.match_indices('%').any(|(at, _)| !is_hex(raw.get(at + 1..at + 3))) {
        return Err(DecodeError::Escape);
    }
    let text = percent_decode_str(raw).decode_utf8().map_err(|_| DecodeError::Utf8)?;
    if text.contains('\0') { Err(DecodeError::Nul) } else { Ok(text.into_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_decoded_once_or_the_reason_is_named() {
        assert_eq!(decode_strictly("a%2Fb%252F%C3%BC+").as_deref(), Ok("a/b%2F\u{fc}+"));
        for raw in ["%", "a%2", "%zz", "%%41", "%+1"] {
            assert_eq!(decode_strictly(raw), Err(DecodeError::Escape), "{raw}");
        }
        assert_eq!(decode_strictly("%ff"), Err(DecodeError::Utf8));
        assert_eq!(decode_strictly("%00"), Err(DecodeError::Nul));
    }
}
