//! Announcements by PostgreSQL of changes of accounts, sessions and tokens.
//!
//! Policy: triggers announce each credential that ends, or whose permissions change, in the transaction of the change, whichever program makes it
//! (`migrations/appliance/V2__access.sql`). So the changes of a command on the machine, and those of an instance with a Redis of its own, are received as well.
//! As for records, cached credentials are used only while it is proven that announcements arrive.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lookup::{CredentialCache, invalidate_announced};
use crate::database::notifications::{ChangeListener, Subscription};

/// The channel of the triggers.
const CHANNEL: &str = "attendance_api_access";
/// Announces a change of everything.
const EVERYTHING: &str = "*";
/// The triggers that announce.
const TRIGGERS: i64 = 7;

/// The channel on which changes are announced, and how to find out whether they are.
pub fn subscription() -> Subscription {
    let is_announced_sql = format!(
        "(SELECT pg_catalog.count(*) OPERATOR(pg_catalog.=) {TRIGGERS} FROM pg_catalog.pg_trigger WHERE tgenabled OPERATOR(pg_catalog.=) 'A' \
         AND tgname OPERATOR(pg_catalog.~~) 'attendance\\_api\\_announce\\_%' AND tgrelid OPERATOR(pg_catalog.=) ANY (ARRAY[\
         pg_catalog.to_regclass('attendance_api.accounts'), pg_catalog.to_regclass('attendance_api.sessions'), \
         pg_catalog.to_regclass('attendance_api.tokens')]::pg_catalog.oid[]))"
    );
    Subscription { channel: CHANNEL, is_announced_sql }
}

/// Passes announcements on to the cache of credentials.
#[derive(Debug)]
pub struct CredentialChanges {
    cache: Arc<CredentialCache>,
    proof_ttl: Duration,
}

impl CredentialChanges {
    /// `proof_ttl` is how long after the beginning of a proof cached credentials are used.
    pub fn new(cache: Arc<CredentialCache>, proof_ttl: Duration) -> Self {
        Self { cache, proof_ttl }
    }
}

impl ChangeListener for CredentialChanges {
    fn announced(&self, _: &str, payload: &str) -> bool {
        match payload {
            EVERYTHING => self.cache.invalidate_everything(),
            key => invalidate_announced(&self.cache, key),
        }
        // The end of a credential must not be late.
        false
    }

    fn listening(&self) {
        self.cache.invalidate_everything();
    }

    fn proven(&self, moment: Instant) {
        self.cache.trust_until(moment + self.proof_ttl);
    }
}
