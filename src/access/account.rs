//! Accounts: what a client gives and gets.

use std::fmt;

use jiff::Timestamp;

use super::principal::AccountId;
use super::role::Role;

/// An account to be made.
#[derive(Clone)]
pub struct NewAccount {
    /// Its name, in any case.
    pub username: String,
    /// Its password.
    pub password: String,
    /// Its role.
    pub role: Role,
    /// The employee that it is linked to.
    pub employee: Option<String>,
}

/// What is changed of an account; what is `None` stays.
#[derive(Clone, Default)]
pub struct AccountChange {
    /// The new role.
    pub role: Option<Role>,
    /// The employee that it is linked to from now on; `Some(None)` for none.
    pub employee: Option<Option<String>>,
    /// Whether it can be used.
    pub disabled: Option<bool>,
    /// The new password.
    pub password: Option<String>,
}

/// An account, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountInfo {
    /// Its number.
    pub id: AccountId,
    /// Its name.
    pub username: String,
    /// Its role.
    pub role: Role,
    /// The employee that it is linked to.
    pub employee: Option<String>,
    /// Whether it is disabled.
    pub is_disabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its last login was.
    pub last_login: Option<Timestamp>,
}

/// A part of the list of accounts, by name.
#[derive(Debug, Clone, Default)]
pub struct AccountPage {
    /// The name after which it begins.
    pub after: Option<String>,
    /// The most accounts in it.
    pub limit: usize,
}

/// Passwords stay out of every log.
impl fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewAccount").field("username", &self.username).field("role", &self.role).finish_non_exhaustive()
    }
}

/// Passwords stay out of every log.
impl fmt::Debug for AccountChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountChange")
            .field("role", &self.role)
            .field("employee", &self.employee)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}
