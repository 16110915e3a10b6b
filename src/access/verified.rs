//! What a credential stands for, as it is cached.
//!
//! Policy: an entry is never older than the life of a cached value (20 s at most), and Redis holds it signed (`cache/authentication.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::principal::{CredentialId, Principal};
use super::role::Role;
use crate::cache::CacheValue;

/// The memory of an entry beside its texts: the two shared structs.
const OVERHEAD: usize = 192;
/// The last use is written at most this often, in milliseconds.
pub(super) const TOUCH_INTERVAL: i64 = 60_000;

/// What a credential stands for.
#[derive(Debug)]
pub struct VerifiedCredential {
    pub(super) principal: Arc<Principal>,
    /// When it ends at the latest, in milliseconds since 1970.
    pub(super) expires_at: i64,
    /// The last use that is known to be stored or about to be, in milliseconds since 1970.
    touched_at: AtomicI64,
}

impl VerifiedCredential {
    pub(super) fn new(principal: Principal, expires_at: Option<i64>, last_use: i64) -> Self {
        Self {
            principal: Arc::new(principal),
            expires_at: expires_at.unwrap_or(i64::MAX),
            touched_at: AtomicI64::new(last_use),
        }
    }

    /// Whether a use at this moment has to be written. Of several uses, one gets the answer yes. The clock of this process may be behind PostgreSQL's (the machine
    /// was suspended): a use that is far in the future counts as old, so that a session in use does not become idle.
    pub(super) fn touch(&self, now: i64) -> bool {
        let last = self.touched_at.load(Ordering::Relaxed);
        now.abs_diff(last) >= TOUCH_INTERVAL.unsigned_abs()
            && self.touched_at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// The form in Redis.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    account: i64,
    username: &'a str,
    role: &'a str,
    employee: Option<std::borrow::Cow<'a, str>>,
    is_session: bool,
    id: i64,
    expires_at: i64,
    touched_at: i64,
}

impl CacheValue for Arc<VerifiedCredential> {
    fn size(&self) -> usize {
        self.principal.username.len() + self.principal.employee.as_ref().map_or(0, |employee| employee.len())
    }

    fn overhead(&self, _: &str) -> usize {
        OVERHEAD
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let Principal { account, username, role, employee, credential } = &*self.principal;
        let (is_session, id) = match credential {
            CredentialId::Session(id) => (true, *id),
            CredentialId::Token(id) => (false, *id),
        };
        let stored = Stored {
            account: *account,
            username,
            role: role.as_str(),
            employee: employee.as_deref().map(Into::into),
            is_session,
            id,
            expires_at: self.expires_at,
            touched_at: self.touched_at.load(Ordering::Relaxed),
        };
        // Numbers and texts always have a form in JSON, and a Vec takes all bytes.
        let _ = serde_json::to_writer(out, &stored);
    }

    fn decode(encoded: Bytes) -> Option<Self> {
        let stored: Stored<'_> = serde_json::from_slice(&encoded).ok()?;
        let credential = match stored.is_session {
            true => CredentialId::Session(stored.id),
            false => CredentialId::Token(stored.id),
        };
        let principal = Principal {
            account: stored.account,
            username: stored.username.into(),
            role: Role::parse(stored.role)?,
            employee: stored.employee.as_deref().map(Into::into),
            credential,
        };
        Some(Self::new(VerifiedCredential {
            principal: Arc::new(principal),
            expires_at: stored.expires_at,
            touched_at: AtomicI64::new(stored.touched_at),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(employee: Option<&str>, credential: CredentialId) -> Arc<VerifiedCredential> {
        let employee = employee.map(Arc::from);
        let principal = Principal { account: 7, username: "ada".into(), role: Role::Writer, employee, credential };
        Arc::new(VerifiedCredential::new(principal, Some(5), 3))
    }

    #[test]
    fn what_redis_returns_is_what_was_stored() {
        for value in [verified(None, CredentialId::Session(1)), verified(Some("e\"\u{fc}\\1"), CredentialId::Token(2))]
        {
            let mut encoded = Vec::new();
            value.encode(&mut encoded);
            let decoded = <Arc<VerifiedCredential>>::decode(encoded.into()).unwrap();
            assert_eq!((&decoded.principal, decoded.expires_at), (&value.principal, value.expires_at));
            assert!(!decoded.touch(3 + TOUCH_INTERVAL - 1) && decoded.touch(3 + TOUCH_INTERVAL));
        }
        for broken in ["", "{}", "null", "[]", "{\"account\":1}"] {
            assert!(<Arc<VerifiedCredential>>::decode(broken.as_bytes().into()).is_none(), "{broken}");
        }
    }

    #[test]
    fn a_use_is_written_once_a_minute() {
        let value = verified(None, CredentialId::Session(1));
        let mut written = 0;
        for second in 0..600 {
            written += i64::from(value.touch(3 + second * 1000));
        }
        assert_eq!(written, 9);
    }

    #[test]
    fn a_use_is_written_by_a_process_whose_clock_is_behind() {
        let value = verified(None, CredentialId::Session(1));
        assert!(!value.touch(3 - TOUCH_INTERVAL + 1));
        assert!(value.touch(3 - TOUCH_INTERVAL));
        assert!(!value.touch(3 - TOUCH_INTERVAL), "it is known to be about to be written");
    }
}
