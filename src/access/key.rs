//! The secret key of access control, which only PostgreSQL holds.
//!
//! Policy: it is made once, by whichever process is first, and never leaves the database but to the instances. Two keys are derived from it: one
//! signs what is stored in Redis, one hides names that have no account.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::error::Error;
use super::store::Store;
use super::system_error::SystemError;
use crate::cache::AuthenticationKey;
use crate::database::QueryError;

/// The key.
#[derive(Clone)]
pub struct AccessKey([u8; 32]);

impl AccessKey {
    /// Reads the key, and makes it if there is none.
    pub(super) async fn read_or_make(store: &Store) -> Result<Self, Error> {
        if let Some(key) = read(store).await? {
            return Ok(key);
        }
        let mut new = [0; 32];
        getrandom::fill(&mut new).map_err(SystemError::from)?;
        let new = &new[..];
        let insert = "INSERT INTO attendance_api.access_key (key) VALUES ($1) ON CONFLICT DO NOTHING";
        store.change(insert, &[(&new, tokio_postgres::types::Type::BYTEA)]).await?;
        read(store).await?.ok_or(Error::System(SystemError::NoKey))
    }

    /// The key of what is stored in Redis.
    pub fn for_cache(&self) -> AuthenticationKey {
        AuthenticationKey::new(self.derive(b"redis"))
    }

    /// The key that hides names.
    pub(super) fn for_names(&self) -> NameKey {
        NameKey(self.derive(b"names"))
    }

    fn derive(&self, purpose: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of each length");
        mac.update(purpose);
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessKey")
    }
}

/// The key that hides names.
pub(super) struct NameKey([u8; 32]);

impl NameKey {
    /// The bytes, to compute with.
    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for NameKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NameKey")
    }
}

async fn read(store: &Store) -> Result<Option<AccessKey>, Error> {
    let rows = store.read("SELECT key FROM attendance_api.access_key", &[]).await?;
    let key: Option<&[u8]> = rows.first().map(|row| row.try_get(0)).transpose().map_err(QueryError::statement)?;
    Ok(key.and_then(|key| key.try_into().ok()).map(AccessKey))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_in_debug_output() {
        let key = AccessKey([7; 32]);
        let shown = format!("{key:?} {:?} {:?}", key.for_cache(), key.for_names());
        assert_eq!(shown, "AccessKey AuthenticationKey NameKey");
        assert_ne!(key.for_names().as_bytes(), &key.derive(b"redis"), "each purpose has a key of its own");
    }
}
