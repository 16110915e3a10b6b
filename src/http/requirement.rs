//! What an endpoint requires of its callers: a column of the table of routes.

use crate::access::Permission;

/// What an endpoint requires of its callers if there is access control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirement {
    /// What the caller must be allowed to do.
    pub permission: Permission,
    /// Whether the answer to an account differs although the endpoint is open.
    pub knows_accounts: bool,
}
