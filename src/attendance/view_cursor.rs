//! Where the next page of a view begins.

use serde::{Deserialize, Serialize};

use super::cursor_text;
use super::date::Date;

/// The key after which a page begins. Opaque to clients, but not secret: each part is checked like any other input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ViewCursor {
    /// A text; the null text comes after all others.
    #[serde(rename = "t")]
    Text(Option<String>),
    /// A day; the null day comes after all others.
    #[serde(rename = "d", with = "super::listing::days")]
    Day(Option<Date>),
}

impl ViewCursor {
    /// The form in a URL.
    pub fn encode(&self) -> String {
        cursor_text::encode(self)
    }

    /// Reads the cursor of a text that is not null; `None` for anything else.
    pub fn decode_text(text: &str) -> Option<String> {
        match Self::decode(text)? {
            Self::Text(text) => text,
            Self::Day(_) => None,
        }
    }

    /// Reads the cursor of a day that is not null; `None` for anything else.
    pub fn decode_day(text: &str) -> Option<Date> {
        match Self::decode(text)? {
            Self::Day(day) => day,
            Self::Text(_) => None,
        }
    }

    /// Reads what [`ViewCursor::encode`] wrote; `None` for anything else.
    pub fn decode(text: &str) -> Option<Self> {
        let cursor: Self = cursor_text::decode(text)?;
        let is_valid = match &cursor {
            // PostgreSQL's text cannot contain NUL, and its dates end before those of an `i32` do.
            Self::Text(text) => text.as_deref().is_none_or(|text| !text.contains('\0')),
            Self::Day(day) => day.is_none_or(Date::is_in_range),
        };
        is_valid.then_some(cursor)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn a_cursor_survives_encoding() {
        for cursor in [
            ViewCursor::Text(Some("ü\"'".into())),
            ViewCursor::Text(None),
            ViewCursor::Day(Date::parse("2023-08-01")),
            ViewCursor::Day(Some(Date::INFINITY)),
            ViewCursor::Day(None),
        ] {
            assert_eq!(ViewCursor::decode(&cursor.encode()), Some(cursor));
        }
    }

    #[test]
    fn forged_cursors_are_rejected() {
        for json in [
            "",
            "{}",
            "null",
            r#"{"t":1}"#,
            r#"{"t":"a","d":1}"#,
            r#"{"t":"a\u0000"}"#,
            r#"{"d":-2451546}"#,
            r#"{"d":2145031949}"#,
            r#"{"d":2147483648}"#,
            r#"{"d":1.5}"#,
            r#"{"x":1}"#,
        ] {
            assert_eq!(ViewCursor::decode(&URL_SAFE_NO_PAD.encode(json)), None, "{json}");
        }
        assert_eq!(ViewCursor::decode("%"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_at_all_makes_decoding_panic(text in ".{0,64}") {
            let _ = ViewCursor::decode(&text);
            let _ = ViewCursor::decode(&URL_SAFE_NO_PAD.encode(text));
        }
    }
}
