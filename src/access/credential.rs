//! The text that a client shows to be recognised: a session's or a token's.
//!
//! Policy: `att_s_` or `att_t_`, then 256 random bits and a checksum (CRC-32 of everything before it), both in base64url without padding: 55 characters. The prefix
//! and the checksum let scanners of source code find a credential that was published by mistake, and let this process refuse a mistyped
//! one without a look-up. The checksum is not a secret: it can be computed by every program. PostgreSQL and Redis get only the SHA-256 of the text, which
//! needs no salt, because 256 random bits cannot be guessed. A text is never logged; nothing here implements `Display`, and `Debug` hides it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::system_error::SystemError;

/// Random bytes of a credential.
const SECRET_LEN: usize = 32;
/// Characters of the prefix.
const PREFIX_LEN: usize = 6;
/// Characters of the random bytes.
const SECRET_TEXT_LEN: usize = 43;
/// Characters of the checksum.
const CHECKSUM_TEXT_LEN: usize = 6;
/// Characters of a credential.
pub const CREDENTIAL_LEN: usize = PREFIX_LEN + SECRET_TEXT_LEN + CHECKSUM_TEXT_LEN;
/// Characters of the key under which a credential is looked up.
const KEY_LEN: usize = 64;

/// What a credential belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// A login.
    Session,
    /// A machine.
    Token,
}

impl CredentialKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Session => "att_s_",
            Self::Token => "att_t_",
        }
    }
}

/// A credential that a request showed, as it is looked up. It holds the digest only. Making it allocates nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credential {
    kind: CredentialKind,
    /// The digest in hexadecimal digits.
    key: [u8; KEY_LEN],
}

impl Credential {
    /// Reads the text of a credential; `None` if it is none, or was mistyped.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: &[u8; CREDENTIAL_LEN] = text.try_into().ok()?;
        let kind = [CredentialKind::Session, CredentialKind::Token]
            .into_iter()
            .find(|kind| text.starts_with(kind.prefix().as_bytes()))?;
        let (checked, checksum) = text.split_at(PREFIX_LEN + SECRET_TEXT_LEN);
        // Room for what the decoder estimates.
        let mut secret = [0; SECRET_LEN + 4];
        let length = URL_SAFE_NO_PAD.decode_slice(&checked[PREFIX_LEN..], &mut secret).ok()?;
        (length == SECRET_LEN && checksum == checksum_of(checked)).then(|| Self::of(kind, text))
    }

    fn of(kind: CredentialKind, text: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut key = [0; KEY_LEN];
        for (byte, digits) in Sha256::digest(text).iter().zip(key.chunks_exact_mut(2)) {
            digits[0] = DIGITS[usize::from(byte >> 4)];
            digits[1] = DIGITS[usize::from(byte & 0xf)];
        }
        Self { kind, key }
    }

    /// What it belongs to, as its prefix says.
    pub fn kind(&self) -> CredentialKind {
        self.kind
    }

    /// The SHA-256 in hexadecimal digits, under which PostgreSQL and Redis have the credential.
    pub(super) fn key(&self) -> &str {
        std::str::from_utf8(&self.key).expect("hexadecimal digits are ASCII")
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The text of a new credential, which is shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedCredential {
    text: String,
    credential: Credential,
}

impl IssuedCredential {
    /// Makes a credential from fresh random bits.
    ///
    /// # Errors
    /// When the operating system gives none.
    pub(super) fn issue(kind: CredentialKind) -> Result<Self, SystemError> {
        let mut secret = [0; SECRET_LEN];
        getrandom::fill(&mut secret)?;
        let mut text = String::with_capacity(CREDENTIAL_LEN);
        text.push_str(kind.prefix());
        URL_SAFE_NO_PAD.encode_string(secret, &mut text);
        let checksum = checksum_of(text.as_bytes());
        text.push_str(std::str::from_utf8(&checksum).expect("base64url is ASCII"));
        let credential = Credential::of(kind, text.as_bytes());
        Ok(Self { text, credential })
    }

    /// The text, for the one answer that shows it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// As it is stored.
    pub(super) fn credential(&self) -> &Credential {
        &self.credential
    }
}

impl std::fmt::Debug for IssuedCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.credential.fmt(f)
    }
}

fn checksum_of(checked: &[u8]) -> [u8; CHECKSUM_TEXT_LEN] {
    let mut text = [0; CHECKSUM_TEXT_LEN];
    let length = URL_SAFE_NO_PAD.encode_slice(crc32fast::hash(checked).to_be_bytes(), &mut text);
    debug_assert_eq!(length, Ok(CHECKSUM_TEXT_LEN), "four bytes are six characters of base64");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issued_credential_is_recognised_by_its_digest() {
        for kind in [CredentialKind::Session, CredentialKind::Token] {
            let issued = IssuedCredential::issue(kind).unwrap();
            assert_eq!(issued.expose().len(), CREDENTIAL_LEN);
            let read = Credential::parse(issued.expose().as_bytes()).unwrap();
            assert_eq!((&read, read.kind()), (issued.credential(), kind));
            let digest: String = Sha256::digest(issued.expose()).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(read.key(), digest);
        }
    }

    #[test]
    fn each_single_wrong_character_is_refused() {
        let text = IssuedCredential::issue(CredentialKind::Token).unwrap().expose().to_owned();
        for position in 0..text.len() {
            for wrong in [b'A', b'_', b'.', b'=', 0, 0xff] {
                let mut changed = text.clone().into_bytes();
                if changed[position] != wrong {
                    changed[position] = wrong;
                    assert!(Credential::parse(&changed).is_none(), "{position} {wrong}");
                }
            }
        }
    }

    #[test]
    fn what_is_shorter_or_longer_is_refused() {
        let text = IssuedCredential::issue(CredentialKind::Session).unwrap().expose().to_owned();
        for changed in ["", "att_s_", &text[1..], &text[..text.len() - 1], &format!("{text}A"), &format!(" {text}")] {
            assert!(Credential::parse(changed.as_bytes()).is_none(), "{changed}");
        }
    }

    #[test]
    fn the_secret_is_in_no_debug_output() {
        let issued = IssuedCredential::issue(CredentialKind::Token).unwrap();
        let credential = Credential::parse(issued.expose().as_bytes()).unwrap();
        for shown in [format!("{issued:?}"), format!("{credential:?}")] {
            assert!(!shown.contains(&issued.expose()[PREFIX_LEN..]) && !shown.contains(credential.key()), "{shown}");
        }
    }
}
