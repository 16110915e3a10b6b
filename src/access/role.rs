//! What an account or a token may do.
//!
//! Policy: the roles of people are ordered, and each may do what the one before it may. `metrics` stands apart: it may read the metrics and
//! nothing else, and no other role includes it. A route names a [`Permission`], never a role, so that this file is the one place where roles
//! and permissions meet.

/// What an account or a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reads the records of the employee that the account is linked to, and the calendar.
    Employee,
    /// Also reads all records, histories, sheets, summaries and the directory.
    Reader,
    /// Also creates records.
    Writer,
    /// Also corrects and deletes, changes the directory and the calendar, sees changes with addresses, and issues tokens for metrics.
    Manager,
    /// Also manages accounts and the tokens of others, erases a person, and reads the audit.
    Admin,
    /// Reads the metrics, and nothing else.
    Metrics,
}

/// What a request needs to be allowed to do. Each endpoint of the table of routes has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Needs no credentials.
    Open,
    /// Reads the metrics. Needs no credentials while `auth.metrics` is `open`.
    Metrics,
    /// Manages what belongs to the account itself: its session, its password, its tokens.
    OwnAccount,
    /// Reads records or the calendar. What an employee gets is narrowed to its own records ([`super::Principal::narrowing`]).
    ReadOwn,
    /// Reads the records of all employees, and what is computed from them.
    ReadAll,
    /// Creates records.
    Create,
    /// Corrects and deletes records, changes the directory and the calendar, sees changes with addresses.
    Manage,
    /// Manages accounts, erases a person, reads the audit.
    Administer,
}

impl Role {
    /// All roles, the least powerful first, `metrics` last.
    pub const ALL: [Self; 6] = [Self::Employee, Self::Reader, Self::Writer, Self::Manager, Self::Admin, Self::Metrics];

    /// The roles that an account can have, the least powerful first. `metrics` is for tokens only.
    pub const OF_ACCOUNTS: [Self; 5] = [Self::Employee, Self::Reader, Self::Writer, Self::Manager, Self::Admin];

    /// The word that stands for the role in requests, answers, the database and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Employee => "employee",
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Manager => "manager",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
        }
    }

    /// The role that a word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// The place in the order of the roles of people; none for `metrics`.
    const fn rank(self) -> Option<u8> {
        match self {
            Self::Employee => Some(0),
            Self::Reader => Some(1),
            Self::Writer => Some(2),
            Self::Manager => Some(3),
            Self::Admin => Some(4),
            Self::Metrics => None,
        }
    }

    /// Whether this role may do everything that the other one may.
    pub fn includes(self, other: Self) -> bool {
        match (self.rank(), other.rank()) {
            (Some(own), Some(other)) => own >= other,
            (None, None) => true,
            _ => false,
        }
    }

    /// Whether this role may do what a permission is for. `Open` and, while they are open, the metrics do not ask.
    pub fn permits(self, permission: Permission) -> bool {
        permission.least_role().is_none_or(|least| self.includes(least))
    }

    /// Whether an account of this role may have a token of the other one.
    pub fn may_issue(self, token: Self) -> bool {
        match token {
            Self::Metrics => self.includes(Self::Manager),
            _ => self.includes(token),
        }
    }

    /// What a token of this role may do when its owner's role is `owner`: never more than the owner. None if it may do nothing any more.
    pub fn limited_to(self, owner: Self) -> Option<Self> {
        match (self, owner.includes(self)) {
            (Self::Metrics, _) => owner.may_issue(Self::Metrics).then_some(Self::Metrics),
            (_, true) => Some(self),
            (_, false) => self.includes(owner).then_some(owner),
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Permission {
    /// All permissions.
    pub const ALL: [Self; 8] = [
        Self::Open,
        Self::Metrics,
        Self::OwnAccount,
        Self::ReadOwn,
        Self::ReadAll,
        Self::Create,
        Self::Manage,
        Self::Administer,
    ];

    /// The least powerful role that has it, for the message of a 403; none if it needs no role.
    pub const fn least_role(self) -> Option<Role> {
        match self {
            Self::Open => None,
            Self::Metrics => Some(Role::Metrics),
            Self::OwnAccount | Self::ReadOwn => Some(Role::Employee),
            Self::ReadAll => Some(Role::Reader),
            Self::Create => Some(Role::Writer),
            Self::Manage => Some(Role::Manager),
            Self::Administer => Some(Role::Admin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_the_permissions_of_the_contract() {
        let allowed = |role: Role| -> Vec<Permission> {
            Permission::ALL.into_iter().filter(|permission| role.permits(*permission)).collect()
        };
        use Permission::{Administer, Create, Manage, Metrics, Open, OwnAccount, ReadAll, ReadOwn};
        assert_eq!(allowed(Role::Employee), [Open, OwnAccount, ReadOwn]);
        assert_eq!(allowed(Role::Reader), [Open, OwnAccount, ReadOwn, ReadAll]);
        assert_eq!(allowed(Role::Writer), [Open, OwnAccount, ReadOwn, ReadAll, Create]);
        assert_eq!(allowed(Role::Manager), [Open, OwnAccount, ReadOwn, ReadAll, Create, Manage]);
        assert_eq!(allowed(Role::Admin), [Open, OwnAccount, ReadOwn, ReadAll, Create, Manage, Administer]);
        assert_eq!(allowed(Role::Metrics), [Open, Metrics]);
    }

    #[test]
    fn a_role_is_read_from_its_own_word_only() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        for word in ["", "Admin", "admin ", "root"] {
            assert_eq!(Role::parse(word), None);
        }
    }

    #[test]
    fn a_token_never_exceeds_its_owner() {
        for owner in Role::ALL {
            for token in Role::ALL {
                let limited = token.limited_to(owner);
                for permission in Permission::ALL.into_iter().filter(|permission| *permission != Permission::Metrics) {
                    let is_allowed = limited.is_some_and(|role| role.permits(permission));
                    assert!(
                        !is_allowed || owner.permits(permission) || owner == Role::Metrics,
                        "{owner} {token} {permission:?}"
                    );
                    assert!(!is_allowed || token.permits(permission), "{owner} {token} {permission:?}");
                }
            }
        }
        assert_eq!(Role::Admin.limited_to(Role::Reader), Some(Role::Reader));
        assert_eq!(Role::Reader.limited_to(Role::Admin), Some(Role::Reader));
        assert_eq!(Role::Metrics.limited_to(Role::Manager), Some(Role::Metrics));
        assert_eq!(Role::Metrics.limited_to(Role::Writer), None);
    }

    #[test]
    fn only_managers_and_admins_issue_tokens_for_metrics() {
        let issuers: Vec<Role> = Role::ALL.into_iter().filter(|role| role.may_issue(Role::Metrics)).collect();
        assert_eq!(issuers, [Role::Manager, Role::Admin]);
        assert!(Role::Writer.may_issue(Role::Reader) && !Role::Writer.may_issue(Role::Manager));
    }
}
