//! Tokens: what a client gives and gets.

use jiff::Timestamp;

use super::credential::IssuedCredential;
use super::role::Role;

/// The tokens that an account may have.
pub const MAX_TOKENS: i64 = 1000;
/// The longest name of a token, in characters.
pub const MAX_TOKEN_NAME: usize = 100;

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What its owner calls it.
    pub name: String,
    /// What it may do; never more than its owner.
    pub role: Role,
    /// When it ends; never, without.
    pub expires_at: Option<Timestamp>,
}

/// A token, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// Its number.
    pub id: i64,
    /// What its owner calls it.
    pub name: String,
    /// The name of the account that owns it.
    pub owner: String,
    /// The role that it was made with. It may do less if its owner may.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used: Option<Timestamp>,
}

/// A token that was made.
#[derive(Debug, Clone)]
pub struct CreatedToken {
    /// The credential, which is shown once.
    pub token: IssuedCredential,
    /// The token.
    pub info: TokenInfo,
}

/// A part of the list of tokens, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenPage {
    /// Whose tokens.
    pub scope: TokenScope,
    /// The number of the token after which it begins.
    pub after: Option<i64>,
    /// The most tokens in it.
    pub limit: usize,
}

/// Which tokens are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenScope {
    /// Those of the account itself.
    Own,
    /// Those of all accounts.
    All,
}
