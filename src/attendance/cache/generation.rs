//! Which state of the records an answer was read under.
//!
//! Policy: an answer is valid only while the generation of its scope is the one that was current before PostgreSQL was
//! asked. Where this process is the only one that uses the Redis, it counts generations itself: a create costs the cache
//! two additions. Employees share a fixed number of counters; two that meet in one cost each other a miss, never a
//! stale answer.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters for employees: 128 KiB.
const COUNTERS: usize = 16_384;

/// Whose change makes an answer invalid.
#[derive(Debug, Clone, Copy)]
pub(in crate::attendance) enum Scope<'a> {
    /// One employee's.
    Employee(&'a str),
    /// Anybody's.
    All,
}

/// A state of the records of a scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::attendance) enum Generation {
    /// Counted by this process.
    Private(u64),
    /// Kept in a Redis that others share: the epoch's part and the scope's.
    Shared(Arc<str>),
}

/// The generations of a process that shares its cache with nobody.
#[derive(Debug)]
pub(super) struct Counters {
    employees: Box<[AtomicU64]>,
    lists: AtomicU64,
    hasher: RandomState,
}

impl Counters {
    pub(super) fn new() -> Self {
        Self {
            employees: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect(),
            lists: AtomicU64::new(0),
            hasher: RandomState::new(),
        }
    }

    /// The generation now. To be taken before PostgreSQL is asked.
    pub(super) fn current(&self, scope: Scope<'_>) -> Generation {
        Generation::Private(self.counter(scope).load(Ordering::SeqCst))
    }

    /// Ends the generations a change of the employee touches. To be called after its commit, before its acknowledgement.
    pub(super) fn changed(&self, id: &str) {
        self.counter(Scope::Employee(id)).fetch_add(1, Ordering::SeqCst);
        self.counter(Scope::All).fetch_add(1, Ordering::SeqCst);
    }

    /// Ends every generation.
    pub(super) fn all_changed(&self) {
        for counter in self.employees.iter().chain([&self.lists]) {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counter(&self, scope: Scope<'_>) -> &AtomicU64 {
        match scope {
            Scope::All => &self.lists,
            Scope::Employee(id) => &self.employees[self.hasher.hash_one(id) as usize % COUNTERS],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_ends_the_generations_of_its_employee_and_of_all_lists() {
        let counters = Counters::new();
        let now = |scope| counters.current(scope);
        let (one, all) = (now(Scope::Employee("1")), now(Scope::All));
        assert_eq!(now(Scope::Employee("1")), one);
        counters.changed("1");
        assert_ne!((now(Scope::Employee("1")), now(Scope::All)), (one, all));
        let (other, all) = (now(Scope::Employee("other")), now(Scope::All));
        counters.all_changed();
        assert_ne!(now(Scope::Employee("other")), other);
        assert_ne!(now(Scope::All), all);
    }

    #[test]
    fn a_reader_that_began_before_a_change_leaves_nothing_that_is_valid_after_it() {
        let counters = Counters::new();
        let readers = counters.current(Scope::Employee("1")); // ... then it reads the old row
        counters.changed("1"); // ... and stores it under the generation it began with
        assert_ne!(counters.current(Scope::Employee("1")), readers);
    }
}
