//! Sessions: what a client gives and gets.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::credential::IssuedCredential;
use super::principal::Principal;

/// The sessions that an account may have; the oldest ends when there is one more.
pub const MAX_SESSIONS: i64 = 100;
/// The part of a `User-Agent` that is kept, in characters.
pub(super) const MAX_USER_AGENT: usize = 200;

/// An attempt to log in.
#[derive(Clone, Copy)]
pub struct LoginRequest<'a> {
    /// The name, in any case.
    pub username: &'a str,
    /// The password.
    pub password: &'a str,
    /// The address of the client.
    pub address: IpAddr,
    /// What the client calls itself.
    pub user_agent: Option<&'a str>,
}

/// A session that has begun.
#[derive(Debug, Clone)]
pub struct Login {
    /// The credential, which is shown once.
    pub token: IssuedCredential,
    /// When the session ends at the latest.
    pub expires_at: Timestamp,
    /// The account.
    pub principal: Arc<Principal>,
}

/// A session, as it is shown to its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its number.
    pub id: i64,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_seen: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// The address from which it began.
    pub address: String,
    /// What the client called itself.
    pub user_agent: Option<String>,
    /// Whether it is the one that asks.
    pub is_current: bool,
}

/// Passwords stay out of every log.
impl fmt::Debug for LoginRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRequest").field("address", &self.address).finish_non_exhaustive()
    }
}
