//! What a password may be, and its hash.
//!
//! Policy: a password has 12 to 256 characters, counted after Unicode normalization (NFC), so that it is the same one on every keyboard. No character is
//! forbidden, and no kind of character is required. Passwords that are guessed first are refused: zxcvbn estimates the number of guesses from lists of common
//! passwords, words and names, and from repetitions, sequences, dates, rows of the keyboard and the username. The database stores the PHC text of argon2id
//! with 19 MiB, two passes and one lane (the OWASP recommendation). It names these parameters, so that a later version may use others.

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version};
use unicode_normalization::UnicodeNormalization as _;

use super::system_error::SystemError;

/// The shortest password, in characters.
const MIN_PASSWORD: usize = 12;
/// The longest password, in characters.
const MAX_PASSWORD: usize = 256;
/// No password is longer than this before its normalization, in bytes.
const MAX_BYTES: usize = 16 << 10;
/// Guesses that a password must withstand, as a power of ten: more than the throttle permits one client in a thousand years.
const MIN_GUESSES_LOG10: f64 = 8.0;
/// Memory of the hash function in KiB, and its passes and lanes.
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Random bytes of a salt.
const SALT_LEN: usize = 16;

/// The hash to compare with if there is no account. It has the parameters of every other hash, so that the comparison takes as long, and is that of no known
/// password.
pub(super) const NO_PASSWORD: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$YXR0ZW5kYW5jZS1hcGkxMg$T6aCQNZAC/NqVY5Jq1YFnSgqIr1F9xtKrsFEwJYh6kY";

/// Why a password is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordProblem {
    /// It is too short.
    #[error("must have at least {MIN_PASSWORD} characters")]
    TooShort,
    /// It is too long.
    #[error("must have at most {MAX_PASSWORD} characters")]
    TooLong,
    /// It is among those that are guessed first.
    #[error("is among those that are guessed first: choose a longer or a less common one")]
    Common,
}

/// Checks the length of a password that is to be set.
///
/// # Errors
/// When it is not allowed.
pub(super) fn check_length(password: &str) -> Result<(), PasswordProblem> {
    if password.len() > MAX_BYTES {
        return Err(PasswordProblem::TooLong);
    }
    match normalized(password).chars().count() {
        0..MIN_PASSWORD => Err(PasswordProblem::TooShort),
        MIN_PASSWORD..=MAX_PASSWORD => Ok(()),
        _ => Err(PasswordProblem::TooLong),
    }
}

/// Checks that a password of an allowed length is not among those that are guessed first. It takes milliseconds.
///
/// # Errors
/// When it is.
pub(super) fn check_strength(password: &str, username: &str) -> Result<(), PasswordProblem> {
    let estimate = zxcvbn::zxcvbn(&normalized(password), &[username, "attendance"]);
    if estimate.guesses_log10() < MIN_GUESSES_LOG10 {
        return Err(PasswordProblem::Common);
    }
    Ok(())
}

/// The hash of a password, with a salt of its own.
///
/// # Errors
/// When the operating system has no random numbers or no memory.
pub(super) fn hash(password: &str) -> Result<String, SystemError> {
    let mut salt = [0; SALT_LEN];
    getrandom::fill(&mut salt)?;
    let hash: PasswordHash = function()?.hash_password_with_salt(normalized(password).as_bytes(), &salt)?;
    Ok(hash.to_string())
}

/// Whether a password is the one of a hash. It takes as long for each password that could be one.
///
/// # Errors
/// When the hash is none, or the system has no memory.
pub(super) fn is_of(password: &str, hash: &str) -> Result<bool, SystemError> {
    let normal = if password.len() > MAX_BYTES { String::new() } else { normalized(password) };
    match function()?.verify_password(normal.as_bytes(), hash) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn function() -> Result<Argon2<'static>, SystemError> {
    let parameters = Params::new(MEMORY, PASSES, LANES, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters))
}

fn normalized(password: &str) -> String {
    password.nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_counted_in_characters_after_normalization() {
        let check = check_length;
        assert_eq!(check(""), Err(PasswordProblem::TooShort));
        assert_eq!(check("kV7#pQ2!xZ9"), Err(PasswordProblem::TooShort));
        assert_eq!(check("kV7#pQ2!xZ9m"), Ok(()));
        // Eleven characters, of which one is written as two.
        assert_eq!(check("kV7#pQ2!xZa\u{308}"), Err(PasswordProblem::TooShort));
        let long: String = (0..256).map(|number| char::from_u32(0x4e00 + number * 17 % 5000).unwrap()).collect();
        assert_eq!(check(&long), Ok(()));
        assert_eq!(check(&format!("{long}x")), Err(PasswordProblem::TooLong));
        assert_eq!(check(&"x".repeat(1 << 20)), Err(PasswordProblem::TooLong));
    }

    #[test]
    fn passwords_that_are_guessed_first_are_refused() {
        for password in [
            "password1234",
            "PasswordPassword",
            "qwertyuiop12",
            "123456789012",
            "aaaaaaaaaaaaaaaa",
            "abcabcabcabcabc",
            "iloveyou1234",
            "ada.lovelace1",
            "\0\0\0\0\0\0\0\0\0\0\0\0",
        ] {
            assert_eq!(check_strength(password, "ada.lovelace"), Err(PasswordProblem::Common), "{password}");
        }
        for password in [
            "blauer-elefant-tanzt",
            "correct horse battery staple",
            "\u{43f}\u{440}\u{438}\u{432}\u{435}\u{442} \u{434}\u{440}\u{443}\u{433} 7",
        ] {
            assert_eq!(check_strength(password, "ada.lovelace"), Ok(()), "{password}");
        }
    }

    #[test]
    fn both_forms_of_a_letter_are_one_password() {
        let hash = hash("gr\u{fc}ner elefant").unwrap();
        assert!(is_of("gru\u{308}ner elefant", &hash).unwrap());
        assert!(!is_of("gruner elefant", &hash).unwrap());
    }

    #[test]
    fn two_hashes_of_one_password_differ() {
        let (one, other) = (hash("a good password").unwrap(), hash("a good password").unwrap());
        assert_ne!(one, other);
        assert!(is_of("a good password", &one).unwrap() && is_of("a good password", &other).unwrap());
    }

    #[test]
    fn the_hash_without_an_account_has_the_parameters_of_every_other_and_matches_nothing() {
        let parameters = |hash: &str| hash.rsplitn(3, '$').last().unwrap().to_owned();
        assert_eq!(parameters(NO_PASSWORD), parameters(&hash("a good password").unwrap()));
        for password in ["", "a good password", &"x".repeat(1 << 20), "\0"] {
            assert!(!is_of(password, NO_PASSWORD).unwrap());
        }
    }
}
