//! Checksums, versions 9 (since Liquibase 4.22) and 8 (3.5 to 4.21).
//!
//! The checksum of a changeset is computed from those of its changes, and the checksum of a change from a text of its fields. The change
//! type decides which text; this file computes the checksum of a text.

use std::collections::BTreeSet;
use std::fmt;

use md5::{Digest, Md5};
use unicode_normalization::UnicodeNormalization;

use crate::fields::{FieldValue, Fields};

/// The rules by which a checksum is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ChecksumVersion {
    /// Liquibase 3.5 to 4.21.
    V8,
    /// Liquibase 4.22 and later.
    V9,
}

impl ChecksumVersion {
    /// The number before the colon.
    pub const fn number(self) -> u32 {
        match self {
            Self::V8 => 8,
            Self::V9 => 9,
        }
    }
}

/// A checksum as it is stored: `9:` and 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Checksum {
    version: u32,
    digest: String,
}

impl Checksum {
    /// Parses a checksum from the history or the changelog. Text without a version is version 1, as in Liquibase.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let of = |version, digest: &str| Self { version, digest: digest.to_owned() };
        match text.split_once(':') {
            Some((version, digest))
                if !digest.is_empty() && digest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'*') =>
            {
                version.parse().map_or_else(|_| of(1, text), |version| of(version, digest))
            }
            _ => of(1, text),
        }
    }

    /// The number before the colon.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Whether it matches every checksum (`1:any`, `any`, `1:all`, `1:*`).
    pub(crate) fn is_any(&self) -> bool {
        self.version == 1 && ["any", "all", "*"].iter().any(|word| self.digest.eq_ignore_ascii_case(word))
    }

    /// The rules to compare this checksum with. For versions before 8 these are the rules of 8.
    pub(crate) fn rules(&self) -> ChecksumVersion {
        if self.version >= ChecksumVersion::V9.number() { ChecksumVersion::V9 } else { ChecksumVersion::V8 }
    }

    /// Replaces the version number and keeps the digest.
    pub(crate) fn numbered(self, version: u32) -> Self {
        Self { version, ..self }
    }

    /// The checksum of a text, after line ends are unified and characters are composed to NFC.
    pub(crate) fn of_text(version: ChecksumVersion, text: &str) -> Self {
        if text.is_ascii() && !text.contains('\r') {
            return Self::of_bytes(version, text.as_bytes());
        }
        let unified = text.replace("\r\n", "\n").replace('\r', "\n").replace('\u{fffd}', "");
        Self::of_bytes(version, unified.nfc().collect::<String>().as_bytes())
    }

    /// The checksum of bytes, which are not changed.
    pub(crate) fn of_bytes(version: ChecksumVersion, bytes: &[u8]) -> Self {
        let mut digest = String::with_capacity(32);
        for byte in Md5::digest(bytes) {
            digest.push(char::from(HEX[usize::from(byte >> 4)]));
            digest.push(char::from(HEX[usize::from(byte & 15)]));
        }
        Self { version: version.number(), digest }
    }
}

const HEX: [u8; 16] = *b"0123456789abcdef";

impl fmt::Display for Checksum {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.version, self.digest)
    }
}

/// Liquibase's serialisation of a change, from which its checksum is computed: `name:[ ... ]`, without the `excluded` fields at any depth.
pub(crate) fn serialise(name: &str, fields: &Fields, excluded: &[&str]) -> String {
    format!("{name}:{}", fields_text(fields, excluded, 1))
}

/// The lines are a sorted set: the order of attributes does not matter, and equal lines occur once.
fn fields_text(fields: &Fields, excluded: &[&str], level: usize) -> String {
    let indent = " ".repeat(4 * level);
    let mut lines = BTreeSet::new();
    for (name, value) in fields.values.iter().filter(|(name, _)| !excluded.contains(name)) {
        lines.insert(match value {
            FieldValue::Text(text) => format!("{indent}{name}=\"{text}\""),
            FieldValue::Flag(flag) => format!("{indent}{name}=\"{flag}\""),
            FieldValue::List(list) => format!("{indent}{name}={}", list_text(list, excluded, level)),
            // Liquibase writes a nested element without its name, which sorts it before all other lines.
            FieldValue::Nested(nested) => {
                format!("{indent}{}", fields_text(nested, excluded, level + 1))
            }
        });
    }
    let close = " ".repeat(4 * (level - 1));
    if lines.is_empty() {
        return format!("[{close}]");
    }
    format!("[\n{}\n{close}]", lines.into_iter().collect::<Vec<_>>().join("\n"))
}

fn list_text(list: &[Fields], excluded: &[&str], level: usize) -> String {
    if list.is_empty() {
        return "[]".to_owned();
    }
    let indent = " ".repeat(4 * (level + 1));
    let items: Vec<String> =
        list.iter().map(|item| format!("{indent}{}", fields_text(item, excluded, level + 2))).collect();
    format!("[\n{}\n{}]", items.join(",\n"), " ".repeat(4 * level))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_checksums_are_parsed_leniently() {
        for (text, version, shown) in
            [("9:ab12", 9, "9:ab12"), ("7:abc", 7, "7:abc"), ("any", 1, "1:any"), ("1:*", 1, "1:*")]
        {
            let sum = Checksum::parse(text);
            assert_eq!((sum.version(), sum.to_string().as_str()), (version, shown));
        }
        assert!(Checksum::parse("ANY").is_any() && Checksum::parse("1:all").is_any());
        assert!(!Checksum::parse("9:any").is_any());
    }

    #[test]
    fn text_is_composed_and_bytes_are_not() {
        let sum = |text| Checksum::of_text(ChecksumVersion::V9, text);
        assert_eq!(sum("caf\u{e9}"), sum("cafe\u{301}"));
        assert_eq!(sum("a\r\nb"), sum("a\nb"));
        let bytes = |text: &str| Checksum::of_bytes(ChecksumVersion::V9, text.as_bytes());
        assert_ne!(bytes("caf\u{e9}"), bytes("cafe\u{301}"));
    }

    #[test]
    fn attribute_order_does_not_change_the_checksum() {
        let text = |value: &str| FieldValue::Text(value.to_owned());
        let one = Fields { values: vec![("a", text("1")), ("b", text("2"))], ..Fields::default() };
        let other = Fields { values: vec![("b", text("2")), ("a", text("1"))], ..Fields::default() };
        assert_eq!(serialise("x", &one, &[]), serialise("x", &other, &[]));
        assert_eq!(serialise("x", &one, &["a", "b"]), "x:[]");
    }
}
