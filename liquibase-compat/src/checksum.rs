//! Checksums, versions 9 (since Liquibase 4.22) and 8 (3.5 to 4.21).
//!
//! A changeset's sum is made of its changes' sums, and a change's sum of a text of its fields. Where that text comes from is
//! said by the change type; how a text becomes a sum is said here.

use std::collections::BTreeSet;
use std::fmt;

use md5::{Digest, Md5};
use unicode_normalization::UnicodeNormalization;

use crate::field::{Object, Value};

/// The rules a checksum is made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Reads a stored or hand-written checksum. What has no version counts as version 1, as in Liquibase.
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

    /// Whether it stands for every checksum (`1:any`, `any`, `1:all`, `1:*`).
    pub(crate) fn is_any(&self) -> bool {
        self.version == 1 && ["any", "all", "*"].iter().any(|word| self.digest.eq_ignore_ascii_case(word))
    }

    /// The rules this checksum was made by; older ones than 8 are tried with the rules of 8.
    pub(crate) fn rules(&self) -> ChecksumVersion {
        if self.version >= ChecksumVersion::V9.number() { ChecksumVersion::V9 } else { ChecksumVersion::V8 }
    }

    /// The same digest under another version number.
    pub(crate) fn numbered(self, version: u32) -> Self {
        Self { version, ..self }
    }

    /// The sum of a text: line ends unified, composed to NFC.
    pub(crate) fn of_text(version: ChecksumVersion, text: &str) -> Self {
        let unified = text.replace("\r\n", "\n").replace('\r', "\n").replace('\u{fffd}', "");
        Self::of_bytes(version, unified.nfc().collect::<String>().as_bytes())
    }

    /// The sum of bytes as they are.
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

/// The text a generic change is summed over: `name:[ ... ]`, without the `excluded` fields at any depth.
pub(crate) fn serialise(name: &str, object: &Object, excluded: &[&str]) -> String {
    format!("{name}:{}", object_text(object, excluded, 1))
}

/// Lines are a sorted set: the order of attributes does not count, and equal lines are one.
fn object_text(object: &Object, excluded: &[&str], level: usize) -> String {
    let indent = " ".repeat(4 * level);
    let mut lines = BTreeSet::new();
    for (name, value) in object.fields.iter().filter(|(name, _)| !excluded.contains(name)) {
        lines.insert(match value {
            Value::Text(text) => format!("{indent}{name}=\"{text}\""),
            Value::Flag(flag) => format!("{indent}{name}=\"{flag}\""),
            Value::List(list) => format!("{indent}{name}={}", list_text(list, excluded, level)),
            // A nested object goes without its name, and so before all others.
            Value::Nested(nested) => {
                format!("{indent}{}", object_text(nested, excluded, level + 1))
            }
        });
    }
    let close = " ".repeat(4 * (level - 1));
    if lines.is_empty() {
        return format!("[{close}]");
    }
    format!("[\n{}\n{close}]", lines.into_iter().collect::<Vec<_>>().join("\n"))
}

fn list_text(list: &[Object], excluded: &[&str], level: usize) -> String {
    if list.is_empty() {
        return "[]".to_owned();
    }
    let indent = " ".repeat(4 * (level + 1));
    let items: Vec<String> =
        list.iter().map(|item| format!("{indent}{}", object_text(item, excluded, level + 2))).collect();
    format!("[\n{}\n{}]", items.join(",\n"), " ".repeat(4 * level))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_texts_are_read_leniently() {
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
    fn texts_are_composed_and_bytes_are_not() {
        let sum = |text| Checksum::of_text(ChecksumVersion::V9, text);
        assert_eq!(sum("caf\u{e9}"), sum("cafe\u{301}"));
        assert_eq!(sum("a\r\nb"), sum("a\nb"));
        let bytes = |text: &str| Checksum::of_bytes(ChecksumVersion::V9, text.as_bytes());
        assert_ne!(bytes("caf\u{e9}"), bytes("cafe\u{301}"));
    }

    #[test]
    fn attribute_order_does_not_count() {
        let text = |value: &str| Value::Text(value.to_owned());
        let one = Object { fields: vec![("a", text("1")), ("b", text("2"))], ..Object::default() };
        let other = Object { fields: vec![("b", text("2")), ("a", text("1"))], ..Object::default() };
        assert_eq!(serialise("x", &one, &[]), serialise("x", &other, &[]));
        assert_eq!(serialise("x", &one, &["a", "b"]), "x:[]");
    }
}
