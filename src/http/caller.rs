//! Who sent a request, as its credential says.

use std::sync::Arc;

use crate::access::{Permission, Principal};
use crate::attendance::Visibility;

/// Who sent a request.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Not known: there is no access control, or the route is open and the request has no valid credential.
    Anyone,
    /// An account, which may use the route.
    Account(Arc<Principal>),
}

impl Caller {
    /// Which records the caller may see.
    pub fn visibility(&self) -> Visibility {
        match self {
            Self::Anyone => Visibility::All,
            Self::Account(principal) => match (principal.narrowing(), &principal.employee) {
                (None, _) => Visibility::All,
                (Some(_), Some(employee)) => Visibility::Employee(Arc::clone(employee).into()),
                (Some(none), None) => Visibility::Employee(none.into()),
            },
        }
    }

    /// Whether the caller may see from which addresses changes came.
    pub fn sees_addresses(&self) -> bool {
        match self {
            Self::Anyone => true,
            Self::Account(principal) => principal.permits(Permission::Manage),
        }
    }

    /// The account's name, for the history.
    pub fn actor(&self) -> Option<Arc<str>> {
        match self {
            Self::Anyone => None,
            Self::Account(principal) => Some(Arc::clone(&principal.username)),
        }
    }
}
