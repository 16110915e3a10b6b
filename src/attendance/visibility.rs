//! Which records a caller may see.
//!
//! Policy: what a caller may not see is left out by the statement, never afterwards, and the key of a cached answer has the employee to whom the answer
//! is narrowed. So no narrowed answer can reach another caller, and no other answer an employee. A read that is not narrowed has the statement and
//! the key that it has without access control.

use std::sync::Arc;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// Which records a caller may see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Visibility {
    /// All of them.
    #[default]
    All,
    /// Those of one employee.
    Employee(EmployeeId),
}

/// The id of an employee, shared by the requests of its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmployeeId(Arc<str>);

impl From<Arc<str>> for EmployeeId {
    fn from(id: Arc<str>) -> Self {
        Self(id)
    }
}

impl From<&str> for EmployeeId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl ToSql for EmployeeId {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        (&*self.0).to_sql(kind, out)
    }

    fn accepts(kind: &Type) -> bool {
        <&str as ToSql>::accepts(kind)
    }

    to_sql_checked!();
}

impl Visibility {
    /// Whether the caller may see the records of an employee.
    pub(super) fn includes(&self, id: &str) -> bool {
        self.employee().is_none_or(|employee| *employee.0 == *id)
    }

    /// The employee to whom reads are narrowed.
    pub(super) fn employee(&self) -> Option<&EmployeeId> {
        match self {
            Self::All => None,
            Self::Employee(id) => Some(id),
        }
    }

    /// The cache key of a narrowed answer, from that of the answer which is not narrowed. No key of such an answer begins with `n:`.
    pub(super) fn narrow_key(&self, key: String) -> String {
        match self {
            Self::All => key,
            Self::Employee(EmployeeId(id)) => format!("n:{}={id}:{key}", id.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrowed_key_has_the_employee_and_is_no_other_key() {
        let of = |id: &str| Visibility::Employee(id.into());
        let key = |visibility: &Visibility, key: &str| visibility.narrow_key(key.to_owned());
        assert_eq!(key(&Visibility::All, "l:Iso"), "l:Iso");
        assert_eq!(key(&of("1"), "l:Iso"), "n:1=1:l:Iso");
        assert_ne!(key(&of("1"), "l:Iso"), key(&of("2"), "l:Iso"));
        // Neither an id nor a key can pretend to be a part of the other.
        assert_ne!(key(&of("1:l"), "Iso"), key(&of("1"), "l:Iso"));
    }

    #[test]
    fn an_employee_is_visible_to_itself_only() {
        let own = Visibility::Employee("a".into());
        assert!(own.includes("a") && !own.includes("A") && !own.includes(""));
        assert!(Visibility::All.includes("a") && Visibility::All.includes(""));
    }
}
