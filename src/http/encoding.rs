//! Detects the text encoding of a JSON body and converts the body to UTF-8.
//!
//! Policy: JSON is UTF-8, but the Python service also reads UTF-16 and UTF-32, so they are accepted here too: with a byte order
//! mark, or recognised by the positions of the NUL bytes in the first two characters. The charset parameter of the content type is
//! ignored. Text that is not valid in its encoding is refused, with the position of the first invalid byte.

use std::borrow::Cow;

/// A body that is not valid text in its encoding.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("is not valid {encoding}: the fault is at byte {position}")]
pub struct EncodingError {
    encoding: &'static str,
    /// Counted from 0, byte order mark included.
    position: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16(Order),
    Utf32(Order),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

/// The body as text, without its byte order mark.
///
/// # Errors
/// When it is not valid in its encoding.
pub fn text(body: &[u8]) -> Result<Cow<'_, str>, EncodingError> {
    let (encoding, mark) = detect(body);
    let content = &body[mark..];
    match encoding {
        Encoding::Utf8 => match std::str::from_utf8(content) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(error) => Err(EncodingError { encoding: "UTF-8", position: mark + error.valid_up_to() }),
        },
        Encoding::Utf16(order) => utf16(content, order, mark).map(Cow::Owned),
        Encoding::Utf32(order) => utf32(content, order, mark).map(Cow::Owned),
    }
}

/// The encoding and the length of the byte order mark.
fn detect(body: &[u8]) -> (Encoding, usize) {
    match body {
        [0, 0, 0xfe, 0xff, ..] => (Encoding::Utf32(Order::Big), 4),
        // Must come before UTF-16, whose byte order mark it begins with.
        [0xff, 0xfe, 0, 0, ..] => (Encoding::Utf32(Order::Little), 4),
        [0xfe, 0xff, ..] => (Encoding::Utf16(Order::Big), 2),
        [0xff, 0xfe, ..] => (Encoding::Utf16(Order::Little), 2),
        [0xef, 0xbb, 0xbf, ..] => (Encoding::Utf8, 3),
        [0, 0, _, _, ..] => (Encoding::Utf32(Order::Big), 0),
        [0, _, _, _, ..] | [0, _] => (Encoding::Utf16(Order::Big), 0),
        [_, 0, 0, 0, ..] => (Encoding::Utf32(Order::Little), 0),
        [_, 0, _, _, ..] | [_, 0] => (Encoding::Utf16(Order::Little), 0),
        _ => (Encoding::Utf8, 0),
    }
}

fn utf16(content: &[u8], order: Order, mark: usize) -> Result<String, EncodingError> {
    let error_at = |at: usize| EncodingError { encoding: "UTF-16", position: mark + at };
    let (pairs, rest) = content.as_chunks::<2>();
    let units = pairs.iter().map(|pair| match order {
        Order::Little => u16::from_le_bytes(*pair),
        Order::Big => u16::from_be_bytes(*pair),
    });
    let mut text = String::with_capacity(pairs.len());
    let mut at = 0;
    for character in char::decode_utf16(units) {
        let character = character.map_err(|_| error_at(at))?;
        at += character.len_utf16() * 2;
        text.push(character);
    }
    if rest.is_empty() { Ok(text) } else { Err(error_at(at)) }
}

fn utf32(content: &[u8], order: Order, mark: usize) -> Result<String, EncodingError> {
    let error_at = |at: usize| EncodingError { encoding: "UTF-32", position: mark + at };
    let (words, rest) = content.as_chunks::<4>();
    let mut text = String::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        let value = match order {
            Order::Little => u32::from_le_bytes(*word),
            Order::Big => u32::from_be_bytes(*word),
        };
        text.push(char::from_u32(value).ok_or_else(|| error_at(index * 4))?);
    }
    if rest.is_empty() { Ok(text) } else { Err(error_at(words.len() * 4)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = "{\"id\":\"ü😀\"}";

    fn encoded(unit: usize, big: bool, mark: bool) -> Vec<u8> {
        let text: String = if mark { format!("\u{feff}{JSON}") } else { JSON.to_owned() };
        let mut out = Vec::new();
        let units: Vec<u32> = if unit == 2 {
            text.encode_utf16().map(u32::from).collect()
        } else {
            text.chars().map(u32::from).collect()
        };
        for value in units {
            let bytes = value.to_be_bytes();
            let bytes = &bytes[4 - unit..];
            if big { out.extend(bytes) } else { out.extend(bytes.iter().rev()) }
        }
        out
    }

    #[test]
    fn every_unicode_encoding_is_read() {
        assert_eq!(text(JSON.as_bytes()).unwrap(), JSON);
        assert_eq!(text(format!("\u{feff}{JSON}").as_bytes()).unwrap(), JSON);
        for (unit, big, mark) in
            [2, 4].into_iter().flat_map(|u| [(u, false, false), (u, false, true), (u, true, false), (u, true, true)])
        {
            assert_eq!(text(&encoded(unit, big, mark)).unwrap(), JSON, "{unit} {big} {mark}");
        }
        assert_eq!(text(b"").unwrap(), "");
        assert_eq!(text(b"5").unwrap(), "5");
        assert_eq!(text(b"\x005").unwrap(), "5");
        assert_eq!(text(b"5\x00").unwrap(), "5");
    }

    #[test]
    fn invalid_text_is_refused_with_its_position() {
        let place = |bytes: &[u8]| text(bytes).unwrap_err().to_string();
        assert_eq!(place(b"{\"id\":\"\xff\"}"), "is not valid UTF-8: the fault is at byte 7");
        assert_eq!(place(b"\xff\xfe{\x00\x00\xd8"), "is not valid UTF-16: the fault is at byte 4");
        assert_eq!(place(b"\xff\xfe{\x00}"), "is not valid UTF-16: the fault is at byte 4");
        assert_eq!(place(b"{\0\0\0\0\0\x11\0"), "is not valid UTF-32: the fault is at byte 4");
    }
}
