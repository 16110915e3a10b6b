//! JSON as the Python service writes it: compact and ASCII only, or compact in UTF-8.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

use crate::config;

/// The characters of JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Charset {
    /// Printable ASCII; everything else is escaped, as the Python service does it.
    Ascii,
    /// All of Unicode, in UTF-8; only what JSON requires is escaped.
    Utf8,
}

impl Charset {
    /// The charset of a server's answers.
    pub fn of(api: &config::Api) -> Self {
        if api.ascii { Self::Ascii } else { Self::Utf8 }
    }
}

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

/// Appends a value as compact JSON, without a newline.
pub fn append<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T, charset: Charset) {
    let written = match charset {
        Charset::Ascii => value.serialize(&mut serde_json::Serializer::with_formatter(out, Ascii)),
        Charset::Utf8 => value.serialize(&mut serde_json::Serializer::new(out)),
    };
    debug_assert!(written.is_ok(), "the serialized types have string keys, and a Vec accepts every byte");
}

/// Appends a text like [`append`], but copies it if nothing has to be escaped, as in most texts.
pub fn append_text(out: &mut Vec<u8>, text: &str, charset: Charset) {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        append(out, text, charset);
    }
}

/// Appends a text like [`append_text`], or `null`.
pub fn append_optional(out: &mut Vec<u8>, text: Option<&str>, charset: Charset) {
    match text {
        Some(text) => append_text(out, text, charset),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends a number.
pub fn append_number(out: &mut Vec<u8>, number: u64) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{number}");
}

/// A value as one line of compact JSON, newline included.
pub fn line<T: Serialize + ?Sized>(value: &T, charset: Charset) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    append(&mut out, value, charset);
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "ü अ 😀 \"q\" \\ </x>&\t\u{7f}\u{1}";

    fn text(charset: Charset) -> String {
        let mut alone = Vec::new();
        append_text(&mut alone, TEXT, charset);
        assert_eq!([&alone[..], b"\n"].concat(), line(TEXT, charset));
        String::from_utf8(alone).unwrap()
    }

    #[test]
    fn strings_are_escaped_like_in_pythons_json() {
        let expected = "\"\\u00fc \\u0905 \\ud83d\\ude00 \\\"q\\\" \\\\ </x>&\\t\\u007f\\u0001\"";
        assert_eq!(text(Charset::Ascii), expected);
    }

    #[test]
    fn in_utf_8_only_what_json_requires_is_escaped() {
        assert_eq!(text(Charset::Utf8), "\"ü अ 😀 \\\"q\\\" \\\\ </x>&\\t\u{7f}\\u0001\"");
    }
}
