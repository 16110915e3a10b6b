//! What happened to accounts and by whom.
//!
//! Policy: an entry is written in the transaction of the change that it is about, and not changed afterwards: the role of the requests may insert and
//! read, and a trigger refuses changes and deletions to every role. There are two exceptions, each by a function of the database (`V2__access.sql`): an
//! erasure puts a mark in the place of the employee's id and of the names of tokens, and entries end after `auth.audit_keep`, which is 30 days at least.
//! Entries refer to accounts by number, so that an account can be removed, and show the name that the account has now, if it still exists. They contain
//! neither passwords nor credentials, nor the names that were tried without an account.

use std::fmt;

use jiff::Timestamp;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditAction {
    /// A login.
    Login,
    /// A login that failed.
    LoginFailed,
    /// Logins that were refused without looking at the password, because too many had failed: one entry for each address and minute.
    LoginThrottled,
    /// The end of a session by its client.
    Logout,
    /// The end of a session by another one of its account.
    SessionEnded,
    /// A password was changed or set.
    PasswordChanged,
    /// An account was made.
    AccountCreated,
    /// The role or the employee of an account was changed.
    AccountChanged,
    /// An account was disabled.
    AccountDisabled,
    /// An account was enabled.
    AccountEnabled,
    /// An account was removed.
    AccountRemoved,
    /// A token was made.
    TokenCreated,
    /// A token was revoked.
    TokenRevoked,
    /// A person was erased.
    PersonErased,
    /// The settings of access are others than those of the last entry about them.
    SettingsChanged,
}

impl AuditAction {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Login,
        Self::LoginFailed,
        Self::LoginThrottled,
        Self::Logout,
        Self::SessionEnded,
        Self::PasswordChanged,
        Self::AccountCreated,
        Self::AccountChanged,
        Self::AccountDisabled,
        Self::AccountEnabled,
        Self::AccountRemoved,
        Self::TokenCreated,
        Self::TokenRevoked,
        Self::PersonErased,
        Self::SettingsChanged,
    ];

    /// The word that stands for it in requests, answers and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::LoginFailed => "login_failed",
            Self::LoginThrottled => "login_throttled",
            Self::Logout => "logout",
            Self::SessionEnded => "session_ended",
            Self::PasswordChanged => "password_changed",
            Self::AccountCreated => "account_created",
            Self::AccountChanged => "account_changed",
            Self::AccountDisabled => "account_disabled",
            Self::AccountEnabled => "account_enabled",
            Self::AccountRemoved => "account_removed",
            Self::TokenCreated => "token_created",
            Self::TokenRevoked => "token_revoked",
            Self::PersonErased => "person_erased",
            Self::SettingsChanged => "settings_changed",
        }
    }

    /// The action that a word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }
}

impl fmt::Display for AuditAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which entries are read, newest first.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// From this moment on.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub to: Option<Timestamp>,
    /// By the account of this name.
    pub by: Option<String>,
    /// Of this kind.
    pub action: Option<AuditAction>,
    /// The most entries.
    pub limit: usize,
    /// After the entry of this number, that is, older ones.
    pub after: Option<i64>,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number, which grows.
    pub id: i64,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    pub action: String,
    /// The number of the account that did it; none for a command on the machine, or if it is not known.
    pub by: Option<i64>,
    /// The name that this account has now; none if it was removed.
    pub by_name: Option<String>,
    /// The number of the account that it happened to.
    pub account: Option<i64>,
    /// The name that this account has now; none if it was removed.
    pub account_name: Option<String>,
    /// The address of the client.
    pub address: Option<String>,
    /// Details as a JSON object, such as the new role; `{}` without.
    pub details: String,
}

/// A part of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries, newest first.
    pub entries: Vec<AuditEntry>,
    /// What to pass as `after` for the next part; none if there is no more.
    pub next: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_a_word_of_its_own() {
        for action in AuditAction::ALL {
            assert_eq!(AuditAction::parse(action.as_str()), Some(action));
        }
        assert_eq!(AuditAction::parse("Login"), None);
    }
}
