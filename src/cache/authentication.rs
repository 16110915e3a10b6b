//! Signatures of what is stored in Redis, for values that decide about rights.
//!
//! Policy: a party that can write to a shared Redis must not be able to make a value. So each is stored with an HMAC-SHA-256 over its key in Redis, its
//! generation, the moment of its read, and its content, under a key that Redis does not hold. A value that was stored under another key or generation
//! cannot be moved; one that is stored again later is refused by its age.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Bytes of a signature.
const SIGNATURE_LEN: usize = 32;

/// The key of the signatures.
#[derive(Clone)]
pub struct AuthenticationKey([u8; 32]);

impl AuthenticationKey {
    /// A key, which all processes that share a Redis must have in common.
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Puts the signature before what is stored under a key.
    pub(super) fn sign(&self, key: &str, stored: &[u8]) -> Vec<u8> {
        let mut signed = Vec::with_capacity(SIGNATURE_LEN + stored.len());
        signed.extend_from_slice(&self.mac(key, stored).finalize().into_bytes());
        signed.extend_from_slice(stored);
        signed
    }

    /// What was stored under a key, without the signature; `None` if the signature is another one.
    pub(super) fn verify(&self, key: &str, mut signed: Vec<u8>) -> Option<Vec<u8>> {
        let (signature, stored) = signed.split_at_checked(SIGNATURE_LEN)?;
        // Takes as long for each signature.
        self.mac(key, stored).verify_slice(signature).ok()?;
        Some(signed.split_off(SIGNATURE_LEN))
    }

    fn mac(&self, key: &str, stored: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of each length");
        mac.update(&(key.len() as u64).to_be_bytes());
        mac.update(key.as_bytes());
        mac.update(stored);
        mac
    }
}

impl std::fmt::Debug for AuthenticationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthenticationKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unchanged_value_under_its_own_key_is_accepted() {
        let key = AuthenticationKey::new([7; 32]);
        let signed = key.sign("a", b"stored");
        assert_eq!(key.verify("a", signed.clone()).as_deref(), Some(&b"stored"[..]));
        assert!(key.verify("b", signed.clone()).is_none());
        assert!(AuthenticationKey::new([8; 32]).verify("a", signed.clone()).is_none());
        for position in 0..signed.len() {
            let mut changed = signed.clone();
            changed[position] ^= 1;
            assert!(key.verify("a", changed).is_none(), "{position}");
        }
        for len in [0, SIGNATURE_LEN - 1, SIGNATURE_LEN, signed.len() - 1] {
            assert!(key.verify("a", signed[..len].to_vec()).is_none(), "{len}");
        }
        // The border between key and content is a part of what is signed.
        assert!(key.verify("as", [&key.sign("a", b"stored")[..SIGNATURE_LEN], b"tored"].concat()).is_none());
    }
}
