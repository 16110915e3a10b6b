//! Who a request comes from.

use std::net::IpAddr;
use std::sync::Arc;

use super::role::{Permission, Role};

/// The number of an account. It is never given to another account, also after the account was removed.
pub type AccountId = i64;

/// Who a request comes from, as its credential says. Made by [`super::Access`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The account.
    pub account: AccountId,
    /// The account's name, for the history of records and for answers.
    pub username: Arc<str>,
    /// What the request may do: the role of the account, or that of its token, whichever is less.
    pub role: Role,
    /// The employee that the account is linked to.
    pub employee: Option<Arc<str>>,
    /// The session or token.
    pub credential: CredentialId,
}

/// Names a session or a token without revealing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CredentialId {
    /// The number of a session.
    Session(i64),
    /// The number of a token.
    Token(i64),
}

impl Principal {
    /// Whether the request may do what the permission is for. Without an employee, the role `employee` has no records that it might read, and reads
    /// nothing.
    pub fn permits(&self, permission: Permission) -> bool {
        self.role.permits(permission) && !(permission == Permission::ReadOwn && self.is_unlinked())
    }

    /// Whether the request may read the records of one employee only, and the account is linked to none.
    pub fn is_unlinked(&self) -> bool {
        self.role == Role::Employee && self.employee.is_none()
    }

    /// The employee whose records alone the request may read; none if it may read those of all. A principal that may read nothing
    /// ([`Principal::permits`]) is narrowed to an empty id besides.
    pub fn narrowing(&self) -> Option<&str> {
        match self.role {
            Role::Employee | Role::Metrics => Some(self.employee.as_deref().unwrap_or_default()),
            Role::Reader | Role::Writer | Role::Manager | Role::Admin => None,
        }
    }

    /// The session, if the credential is one.
    pub fn session(&self) -> Option<i64> {
        match self.credential {
            CredentialId::Session(id) => Some(id),
            CredentialId::Token(_) => None,
        }
    }
}

/// Who makes a change to accounts, sessions or tokens, for the audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    /// The account; none for a command on the machine.
    pub account: Option<AccountId>,
    /// The address of the client; none for a command on the machine.
    pub address: Option<IpAddr>,
}

impl Actor {
    /// A command that an administrator of the machine runs.
    pub const COMMAND: Self = Self { account: None, address: None };

    /// The client of a request.
    pub fn of(principal: &Principal, address: IpAddr) -> Self {
        Self { account: Some(principal.account), address: Some(address.to_canonical()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(role: Role, employee: Option<&str>) -> Principal {
        let employee = employee.map(Arc::from);
        Principal { account: 1, username: "a".into(), role, employee, credential: CredentialId::Token(1) }
    }

    #[test]
    fn without_an_employee_the_role_employee_reads_nothing() {
        for permission in Permission::ALL {
            let is_of_account = matches!(permission, Permission::Open | Permission::OwnAccount);
            assert_eq!(principal(Role::Employee, None).permits(permission), is_of_account, "{permission:?}");
            for role in Role::ALL.into_iter().filter(|role| *role != Role::Employee) {
                assert_eq!(
                    principal(role, None).permits(permission),
                    role.permits(permission),
                    "{role} {permission:?}"
                );
            }
            let linked = principal(Role::Employee, Some("7"));
            assert_eq!(linked.permits(permission), Role::Employee.permits(permission), "{permission:?}");
        }
    }

    #[test]
    fn only_the_role_employee_is_narrowed_and_without_an_employee_to_nothing() {
        for role in Role::ALL {
            for employee in [None, Some("7")] {
                let principal = principal(role, employee);
                let narrowing = principal.narrowing().map(str::to_owned);
                assert_eq!(narrowing.is_none(), role.permits(Permission::ReadAll), "{role}");
                assert!(narrowing.is_none_or(|narrowing| narrowing == employee.unwrap_or_default()));
            }
        }
    }
}
