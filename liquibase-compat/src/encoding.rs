//! Decodes texts as Java does: the names of encodings, byte order marks, and malformed bytes.
//!
//! A byte order mark is never part of a text. A text in an encoding of Unicode must not have the mark of another one. Malformed bytes
//! become U+FFFD, except where a function says otherwise.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::file_content::FileError;

/// The character for bytes that have no meaning.
const REPLACEMENT: char = '\u{fffd}';

/// An encoding of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    Utf8,
    /// UTF-16 with the more significant byte first, unless a mark says otherwise.
    Utf16,
    Utf16Le,
    Utf16Be,
    Utf32,
    Utf32Le,
    Utf32Be,
    Ascii,
    Latin1,
    /// An encoding that is not one of Unicode.
    Other(&'static Encoding),
}

/// The byte order marks, the longer one first where one begins as another does.
const MARKS: &[(&[u8], Charset)] = &[
    (b"\xff\xfe\0\0", Charset::Utf32Le),
    (b"\0\0\xfe\xff", Charset::Utf32Be),
    (b"\xef\xbb\xbf", Charset::Utf8),
    (b"\xff\xfe", Charset::Utf16Le),
    (b"\xfe\xff", Charset::Utf16Be),
];

/// The names of encodings for which Java and the Encoding Standard differ, in small letters.
const JAVA_NAMES: &[(Charset, &[&str])] = &[
    (Charset::Utf8, &["utf-8", "utf8"]),
    (Charset::Utf16, &["utf-16", "utf_16", "utf16", "unicode", "unicodebig"]),
    (Charset::Utf16Le, &["utf-16le", "utf_16le", "x-utf-16le", "unicodelittleunmarked"]),
    (Charset::Utf16Be, &["utf-16be", "utf_16be", "x-utf-16be", "iso-10646-ucs-2", "unicodebigunmarked"]),
    (Charset::Utf32, &["utf-32", "utf_32", "utf32"]),
    (Charset::Utf32Le, &["utf-32le", "utf_32le", "x-utf-32le"]),
    (Charset::Utf32Be, &["utf-32be", "utf_32be", "x-utf-32be"]),
    (Charset::Ascii, &["us-ascii", "ascii", "ascii7", "646", "iso646-us", "ansi_x3.4-1968", "cp367", "ibm367", "us"]),
    (
        Charset::Latin1,
        &[
            "iso-8859-1",
            "iso8859-1",
            "iso8859_1",
            "iso_8859-1",
            "iso_8859_1",
            "8859_1",
            "latin1",
            "l1",
            "cp819",
            "ibm819",
            "ibm-819",
            "819",
            "csisolatin1",
            "iso-ir-100",
        ],
    ),
];

impl Charset {
    /// The encoding of this name.
    fn named(label: &str) -> Option<Self> {
        let label = label.to_ascii_lowercase();
        if let Some((charset, _)) = JAVA_NAMES.iter().find(|(_, names)| names.contains(&label.as_str())) {
            return Some(*charset);
        }
        // The Encoding Standard ignores blanks around a name, and names ISO 8859 with a hyphen only.
        let is_name = !label.contains(|c: char| c.is_ascii_whitespace());
        let label = label.strip_prefix("iso8859_").map_or(label.clone(), |number| format!("iso-8859-{number}"));
        Encoding::for_label(label.as_bytes()).filter(|_| is_name).map(Self::Other)
    }

    /// Its name in Java.
    fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16 => "UTF-16",
            Self::Utf16Le => "UTF-16LE",
            Self::Utf16Be => "UTF-16BE",
            Self::Utf32 => "UTF-32",
            Self::Utf32Le => "UTF-32LE",
            Self::Utf32Be => "UTF-32BE",
            Self::Ascii => "US-ASCII",
            Self::Latin1 => "ISO-8859-1",
            Self::Other(encoding) => encoding.name(),
        }
    }

    const fn is_unicode(self) -> bool {
        !matches!(self, Self::Ascii | Self::Latin1 | Self::Other(_))
    }

    /// Decodes a text without a mark.
    fn decode(self, bytes: &[u8]) -> String {
        let by = |encoding: &'static Encoding| encoding.decode_without_bom_handling(bytes).0.into_owned();
        match self {
            Self::Utf8 => by(UTF_8),
            Self::Utf16Le => by(UTF_16LE),
            Self::Utf16 | Self::Utf16Be => by(UTF_16BE),
            Self::Utf32 | Self::Utf32Be => utf32(bytes, u32::from_be_bytes),
            Self::Utf32Le => utf32(bytes, u32::from_le_bytes),
            Self::Ascii => {
                bytes.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { REPLACEMENT }).collect()
            }
            Self::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
            Self::Other(encoding) => by(encoding),
        }
    }

    /// As [`decode`](Self::decode); `None` if bytes have no meaning.
    fn decode_strictly(self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::Utf8 => std::str::from_utf8(bytes).ok().map(str::to_owned),
            Self::Ascii => bytes.is_ascii().then(|| self.decode(bytes)),
            _ => Some(self.decode(bytes)).filter(|text| !text.contains(REPLACEMENT)),
        }
    }
}

fn utf32(bytes: &[u8], number: fn([u8; 4]) -> u32) -> String {
    let (units, rest) = bytes.as_chunks::<4>();
    let decoded = units.iter().map(|unit| char::from_u32(number(*unit)).unwrap_or(REPLACEMENT));
    decoded.chain((!rest.is_empty()).then_some(REPLACEMENT)).collect()
}

/// The encoding of the mark at the beginning, and the bytes behind it.
fn split_mark(bytes: &[u8]) -> (Option<Charset>, &[u8]) {
    let found = MARKS.iter().find_map(|(mark, charset)| Some((*charset, bytes.strip_prefix(*mark)?)));
    found.map_or((None, bytes), |(charset, rest)| (Some(charset), rest))
}

/// Decodes a file that a change names, of which the changelog states the encoding.
///
/// # Errors
/// When the encoding is unknown, or the file has the mark of another encoding of Unicode.
pub(crate) fn decode_stated(bytes: &[u8], label: &str) -> Result<String, FileError> {
    let charset = Charset::named(label).ok_or_else(|| FileError::UnknownEncoding { label: label.to_owned() })?;
    let (mark, rest) = split_mark(bytes);
    match mark {
        Some(found) if charset.is_unicode() && found != charset => {
            Err(FileError::ByteOrderMark { expected: charset.name(), found: found.name() })
        }
        _ => Ok(charset.decode(rest)),
    }
}

/// Decodes a file of SQL or CSV of which no encoding is stated: by its mark, or else as UTF-8.
pub(crate) fn decode_marked(bytes: &[u8]) -> String {
    let (mark, rest) = split_mark(bytes);
    mark.unwrap_or(Charset::Utf8).decode(rest)
}

/// Decodes a file of YAML or JSON: by its mark, which must not be one of UTF-32, or else as UTF-8. `None` if bytes have no meaning.
pub(crate) fn decode_yaml(bytes: &[u8]) -> Option<String> {
    let (mark, rest) = split_mark(bytes);
    match mark.unwrap_or(Charset::Utf8) {
        charset @ (Charset::Utf8 | Charset::Utf16Le | Charset::Utf16Be) => charset.decode_strictly(rest),
        _ => None,
    }
}

/// Why an XML file cannot be decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum XmlEncodingError {
    /// Its declaration names an unknown encoding.
    Unknown(String),
    /// It is not in the encoding that it declares, or without a declaration not in UTF-8.
    Other(String),
}

/// Decodes an XML file: in the encoding that it declares, or else as UTF-8. Its mark says nothing, because Liquibase removes it.
///
/// # Errors
/// When it declares another encoding, or bytes have no meaning.
pub(crate) fn decode_xml(bytes: &[u8]) -> Result<String, XmlEncodingError> {
    let (_, rest) = split_mark(bytes);
    let family = match rest {
        [b'<', 0, b'?', 0, ..] => Charset::Utf16Le,
        [0, b'<', 0, b'?', ..] => Charset::Utf16Be,
        _ => Charset::Utf8,
    };
    let head = family.decode(&rest[..rest.len().min(MAX_DECLARATION)]);
    let Some(label) = declared_encoding(&head) else {
        return Charset::Utf8.decode_strictly(rest).ok_or(XmlEncodingError::Other("UTF-8".to_owned()));
    };
    let declared = Charset::named(label).ok_or_else(|| XmlEncodingError::Unknown(label.to_owned()))?;
    let other = || XmlEncodingError::Other(declared.name().to_owned());
    let is_wide = !matches!(declared, Charset::Utf8) && declared.is_unicode();
    let charset = match (family, declared) {
        (Charset::Utf8, _) if is_wide => return Err(other()),
        (Charset::Utf8, _) => declared,
        (_, Charset::Utf16) => family,
        (family, declared) if family == declared => family,
        _ => return Err(other()),
    };
    charset.decode_strictly(rest).ok_or_else(other)
}

/// The limit of bytes of an XML declaration.
const MAX_DECLARATION: usize = 1000;

/// The encoding in an XML declaration.
fn declared_encoding(text: &str) -> Option<&str> {
    let (declaration, _) = text.strip_prefix("<?xml")?.split_once("?>")?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value[1..].split_once(quote).map(|(label, _)| label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16le(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn a_mark_of_another_encoding_of_unicode_is_refused() {
        let marked = [b"\xff\xfe".as_slice(), &utf16le("x")].concat();
        assert_eq!(decode_stated(&marked, "UTF-16LE").unwrap(), "x");
        for label in ["UTF-8", "UTF-16", "utf-16be", "UTF-32"] {
            assert!(decode_stated(&marked, label).unwrap_err().to_string().contains("'UTF-16LE'"), "{label}");
        }
        assert_eq!(decode_stated(b"\xef\xbb\xbf\xe9", "latin1").unwrap(), "é");
    }

    #[test]
    fn names_are_those_of_java() {
        for (label, bytes, text) in [
            ("ISO-8859-1", b"\x80".as_slice(), "\u{80}"),
            ("cp1252", b"\x80", "€"),
            ("US-ASCII", b"a\x80", "a\u{fffd}"),
            ("UTF-16", b"\0x", "x"),
            ("UTF-32", b"\0\0\0x", "x"),
            ("UTF-32LE", b"x\0\0\0\0", "x\u{fffd}"),
            ("ISO8859_15", b"\xa4", "€"),
        ] {
            assert_eq!(decode_stated(bytes, label).unwrap(), text, "{label}");
        }
        for label in ["none", "UTF-8 ", ""] {
            assert!(decode_stated(b"", label).is_err(), "{label}");
        }
    }

    #[test]
    fn an_xml_file_is_in_the_encoding_that_it_declares() {
        let declared = |label: &str| format!("<?xml version='1.0' encoding='{label}'?><a>é</a>");
        for label in ["UTF-16", "UTF-16LE"] {
            assert!(decode_xml(&utf16le(&declared(label))).unwrap().ends_with("<a>é</a>"));
        }
        let latin: Vec<u8> = declared("ISO-8859-1").chars().map(|c| c as u8).collect();
        assert!(decode_xml(&latin).unwrap().ends_with("<a>é</a>"));
        assert_eq!(decode_xml(declared("no").as_bytes()), Err(XmlEncodingError::Unknown("no".to_owned())));
        for bytes in [utf16le(&declared("UTF-8")), declared("UTF-16").into_bytes()] {
            assert!(matches!(decode_xml(&bytes), Err(XmlEncodingError::Other(_))), "{bytes:?}");
        }
        assert!(decode_xml(declared("US-ASCII").as_bytes()).is_err());
    }
}
