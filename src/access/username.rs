//! What a username may be.
//!
//! Policy: 1 to 64 of the letters a to z, digits, and `. _ - @ +`, beginning with a letter or digit. Capital letters are accepted and mean the small ones, so that
//! `Ada` and `ada` are one account. Other letters are refused: so no two names look alike, and no name depends on a version of Unicode, as it
//! would by the rules of PRECIS (RFC 8265), which allow letters of different scripts in one name.

/// The longest name.
const MAX_LEN: usize = 64;

/// Why a text is no username.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UsernameProblem {
    /// It is empty.
    #[error("must not be empty")]
    Empty,
    /// It is too long.
    #[error("must not be longer than {MAX_LEN} characters")]
    TooLong,
    /// It contains something else.
    #[error("may contain only letters a to z, digits, and . _ - @ +")]
    Character,
    /// It begins with a sign.
    #[error("must begin with a letter or a digit")]
    Start,
}

/// The name as it is stored and compared.
///
/// # Errors
/// When the text is no username.
pub(super) fn canonical(text: &str) -> Result<String, UsernameProblem> {
    let first = text.bytes().next().ok_or(UsernameProblem::Empty)?;
    if text.len() > MAX_LEN && text.chars().count() > MAX_LEN {
        return Err(UsernameProblem::TooLong);
    }
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte)) {
        return Err(UsernameProblem::Character);
    }
    if !first.is_ascii_alphanumeric() {
        return Err(UsernameProblem::Start);
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_stored_in_small_letters() {
        for (text, stored) in [
            ("ada", "ada"),
            ("Ada.Lovelace", "ada.lovelace"),
            ("A-1_b+c@example.org", "a-1_b+c@example.org"),
            ("7", "7"),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(stored));
        }
        assert!(canonical(&"a".repeat(MAX_LEN)).is_ok());
    }

    #[test]
    fn spaces_look_alikes_and_control_characters_are_refused() {
        // A Cyrillic letter, a full-width one, a ligature, a zero-width space, a letter with an accent.
        for text in [
            "a b",
            " ada",
            "ada ",
            "\u{430}da",
            "\u{ff41}da",
            "\u{fb01}",
            "ada\u{200b}",
            "ad\u{e4}",
            "a\0",
            "a\n",
            "a/b",
            "a:b",
        ] {
            assert_eq!(canonical(text), Err(UsernameProblem::Character), "{text:?}");
        }
        assert_eq!(canonical(""), Err(UsernameProblem::Empty));
        assert_eq!(canonical("-a"), Err(UsernameProblem::Start));
        assert_eq!(canonical(&"a".repeat(MAX_LEN + 1)), Err(UsernameProblem::TooLong));
        assert_eq!(canonical(&"\u{e4}".repeat(MAX_LEN + 1)), Err(UsernameProblem::TooLong));
    }
}
