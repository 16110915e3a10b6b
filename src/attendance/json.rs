//! JSON as the Python service writes it: compact, and ASCII only.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

/// Escapes everything outside printable ASCII (`\u00fc`), so that answers are equal to those of the Python service byte for byte.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|c: char| !(' '..='~').contains(&c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let mut units = [0; 2];
            let character = rest[at..].chars().next().unwrap_or_default();
            for unit in character.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + character.len_utf8()..];
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}

/// Appends a value as compact ASCII JSON, without a newline.
pub fn append<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let written = value.serialize(&mut serde_json::Serializer::with_formatter(out, Ascii));
    debug_assert!(written.is_ok(), "the serialized types have string keys, and a Vec accepts every byte");
}

/// Appends a text like [`append`], but copies it if nothing has to be escaped, as in most texts.
pub fn append_text(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        append(out, text);
    }
}

/// A value as one line of compact ASCII JSON, newline included.
pub fn line<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    append(&mut out, value);
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn strings_are_escaped_like_in_pythons_json() {
        let text = "ü अ 😀 \"q\" \\ </x>&\t\u{7f}\u{1}";
        let mut alone = Vec::new();
        super::append_text(&mut alone, text);
        assert_eq!([&alone[..], b"\n"].concat(), super::line(text));
        assert_eq!(super::line(text), b"\"\\u00fc \\u0905 \\ud83d\\ude00 \\\"q\\\" \\\\ </x>&\\t\\u007f\\u0001\"\n");
    }
}
