//! Why an operation on accounts, sessions or tokens failed.
//!
//! Policy: one variant for each answer that a client or an administrator can get. An unknown account, a wrong password and a disabled account are one
//! variant, because the caller must not learn which it was.

use std::time::Duration;

use super::password::PasswordProblem;
use super::role::Role;
use super::system_error::SystemError;
use super::username::UsernameProblem;
use crate::database::{BatchError, ErrorClass, QueryError, UnavailableError};

/// Why an operation failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No account has this name and password, or it is disabled.
    #[error("the username or the password is wrong, or the account is disabled")]
    InvalidCredentials,
    /// Too many logins have failed.
    #[error("too many logins have failed; try again in {} s", .0.as_millis().div_ceil(1000))]
    Throttled(Duration),
    /// The limit of passwords that are checked at the same time is reached; a later attempt may succeed.
    #[error("too many passwords are being checked at the moment")]
    Busy,
    /// A change of the password names another current password than the account has.
    #[error("the current password is another one")]
    WrongPassword,
    /// The password is not allowed.
    #[error("the password {0}")]
    Password(#[from] PasswordProblem),
    /// The username is not allowed.
    #[error("the username {0}")]
    Username(#[from] UsernameProblem),
    /// The employee id, the name of a token, or another text is empty or too long.
    #[error("`{field}` {problem}")]
    Field {
        /// The member of the request.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An account of this name exists.
    #[error("there is an account `{0}` already")]
    UsernameTaken(String),
    /// There is no account of this name.
    #[error("there is no account `{0}`")]
    UnknownAccount(String),
    /// The account has no such session.
    #[error("there is no such session")]
    UnknownSession,
    /// There is no such token, or it belongs to another account.
    #[error("there is no such token")]
    UnknownToken,
    /// The last account that can manage the others would be gone.
    #[error("`{0}` is the last admin that is not disabled: make another account an admin first")]
    LastAdmin(String),
    /// An account cannot have this role.
    #[error("the role `{0}` is for tokens only")]
    TokenRole(Role),
    /// A new account with the role `employee` names no employee.
    #[error("the role `employee` needs the id of an employee (employee_id)")]
    EmployeeMissing,
    /// The account is linked to no employee, and it or its token would have the role `employee`, which reads the records of one.
    #[error("the role `employee` needs an account that is linked to an employee: set its employee_id")]
    EmployeeUnlinked,
    /// The token that asks for another one was made with a token, that one with another, and so on, up to the limit.
    #[error(
        "the token that asks was made with a token, that one with another, and so on: ask with one of the first, or with a session"
    )]
    TokenTooDeep,
    /// The owner of the token may not issue one of that role.
    #[error("an account with the role `{owner}` cannot have a token with the role `{token}`")]
    RoleExceeded {
        /// The role of the account.
        owner: Role,
        /// The role of the token.
        token: Role,
    },
    /// The account has as many tokens as it may have.
    #[error("the account has {0} tokens, and may not have more: revoke one first")]
    TooManyTokens(i64),
    /// A token cannot be made for this account.
    #[error("the account `{0}` is disabled")]
    AccountDisabled(String),
    /// The token would be valid for longer than the token with which it was asked for.
    #[error("a token cannot make one that is valid for longer than itself")]
    OutlivesToken,
    /// The token would have expired already.
    #[error("expires_at is not in the future")]
    Expired,
    /// The change is committed, but Redis has not confirmed it to the other instances that use it. It is retried.
    #[error(
        "the change is stored, but Redis has not confirmed it: another instance may still accept the old state for a moment; it is being retried"
    )]
    Unconfirmed,
    /// PostgreSQL could not be reached, or did not answer in time. The change may have happened.
    #[error("the database is not available: {0}")]
    Unavailable(#[from] UnavailableError),
    /// PostgreSQL rejected a statement: it is wrong, or a table is not as expected.
    #[error("the database refused a statement: {0}")]
    Rejected(#[source] QueryError),
    /// The operating system gives no random numbers, or no thread to hash with.
    #[error("a secret cannot be made: {0}")]
    System(#[source] SystemError),
}

impl Error {
    /// Whether the change that was asked for may have happened, or may happen later.
    pub(super) fn has_unknown_effect(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Rejected(_))
    }
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        match error.class() {
            ErrorClass::Unavailable => Self::Unavailable(error.into()),
            ErrorClass::Constraint | ErrorClass::Rejected => Self::Rejected(error),
        }
    }
}

impl From<BatchError> for Error {
    fn from(error: BatchError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<SystemError> for Error {
    fn from(error: SystemError) -> Self {
        Self::System(error)
    }
}
