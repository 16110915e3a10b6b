//! Changes that Redis could not be told of.
//!
//! Policy: reads they concern go to PostgreSQL until Redis has been told, or until every answer stored before
//! the change has outlived its time. The number remembered is bounded; past it, every read goes to PostgreSQL
//! for that time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::generation::Scope;

/// At most this many employees are remembered.
const MOST: usize = 10_000;
/// A reader stores no answer when it took longer than this.
pub(super) const SLOWEST_READER: Duration = Duration::from_secs(5);

/// The employees whose changes Redis does not know.
#[derive(Debug)]
pub(super) struct Untold {
    life: Duration,
    any: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Until when, by employee.
    employees: HashMap<String, Instant>,
    /// Until when for everybody.
    everybody: Option<Instant>,
}

impl Untold {
    /// `ttl` is the time to live of a stored answer, the time it may take to store it included.
    pub(super) fn new(ttl: Duration) -> Self {
        Self { life: ttl + SLOWEST_READER, any: AtomicBool::new(false), state: Mutex::default() }
    }

    /// Notes a change; the returned mark takes it back with [`Untold::told`].
    pub(super) fn note(&self, id: &str) -> Instant {
        let until = Instant::now() + self.life;
        let mut state = self.state();
        if state.employees.len() >= MOST && !state.employees.contains_key(id) {
            state.everybody = Some(until);
        } else {
            state.employees.insert(id.to_owned(), until);
        }
        self.any.store(true, Ordering::SeqCst);
        until
    }

    /// Redis knows the change that was noted with this mark. A later change of the same employee stays noted.
    pub(super) fn told(&self, id: &str, mark: Instant) {
        let mut state = self.state();
        if state.employees.get(id) == Some(&mark) {
            state.employees.remove(id);
        }
        self.refresh(&mut state);
    }

    /// Whether a read must go to PostgreSQL.
    pub(super) fn concerns(&self, scope: Scope<'_>) -> bool {
        if !self.any.load(Ordering::SeqCst) {
            return false;
        }
        let now = Instant::now();
        let state = self.state();
        let employee = |id: &str| state.employees.get(id).is_some_and(|until| *until > now);
        let everybody = state.everybody.is_some_and(|until| until > now);
        everybody
            || match scope {
                Scope::Employee(id) => employee(id),
                Scope::All => state.employees.values().any(|until| *until > now),
            }
    }

    /// What Redis should be told, oldest marks dropped.
    pub(super) fn pending(&self) -> Vec<(String, Instant)> {
        let now = Instant::now();
        let mut state = self.state();
        state.employees.retain(|_, until| *until > now);
        self.refresh(&mut state);
        state.employees.iter().map(|(id, mark)| (id.clone(), *mark)).collect()
    }

    /// Whether more changed than could be remembered.
    pub(super) fn concerns_everybody(&self) -> bool {
        self.state().everybody.is_some()
    }

    fn refresh(&self, state: &mut State) {
        if state.everybody.is_some_and(|until| until <= Instant::now()) {
            state.everybody = None;
        }
        self.any.store(!state.employees.is_empty() || state.everybody.is_some(), Ordering::SeqCst);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_concerns_its_employee_and_every_list_until_told() {
        let untold = Untold::new(Duration::from_secs(20));
        assert!(!untold.concerns(Scope::All));
        let mark = untold.note("1");
        assert!(untold.concerns(Scope::Employee("1")) && untold.concerns(Scope::All));
        assert!(!untold.concerns(Scope::Employee("2")));
        let later = untold.note("1");
        untold.told("1", mark);
        assert!(untold.concerns(Scope::Employee("1")), "the later change is still unknown to Redis");
        untold.told("1", later);
        assert!(!untold.concerns(Scope::Employee("1")) && !untold.concerns(Scope::All));
    }

    #[test]
    fn more_than_can_be_remembered_concerns_everybody() {
        let untold = Untold::new(Duration::from_secs(20));
        for id in 0..=MOST {
            untold.note(&id.to_string());
        }
        assert!(untold.concerns(Scope::Employee("never seen")));
        assert_eq!(untold.pending().len(), MOST);
    }
}
