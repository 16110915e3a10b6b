//! Invalidations that have not been confirmed.
//!
//! Policy: an invalidation is pending until it is acknowledged or until every value that was stored before it has expired. The number of
//! scopes remembered is bounded; past it, every scope counts as pending for that time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::scope::{OwnedScope, Scope};

/// Scopes that are remembered.
const MAX_PENDING_SCOPES: usize = 10_000;

/// The scopes whose invalidation is pending.
#[derive(Debug)]
pub(super) struct PendingInvalidations {
    ttl: Duration,
    /// Whether there may be any: a read pays for no more as long as there are none.
    is_any: AtomicBool,
    state: Mutex<State>,
}

/// Identifies one call of [`PendingInvalidations::record`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(u64);

#[derive(Debug, Default)]
struct State {
    scopes: HashMap<OwnedScope, Pending>,
    /// Until when every scope counts as pending.
    everything_until: Option<Instant>,
    next_mark: u64,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    mark: Mark,
    expires_at: Instant,
}

impl PendingInvalidations {
    /// `ttl` is the longest time after an invalidation in which a value from before it can be found.
    pub(super) fn new(ttl: Duration) -> Self {
        Self { ttl, is_any: AtomicBool::new(false), state: Mutex::default() }
    }

    /// Records an invalidation; [`PendingInvalidations::acknowledge`] takes the mark.
    pub(super) fn record(&self, scopes: &[Scope<'_>], now: Instant) -> Mark {
        let mut state = self.state();
        let mark = Mark(state.next_mark);
        state.next_mark += 1;
        let expires_at = now + self.ttl;
        for scope in scopes {
            let scope = OwnedScope::from(*scope);
            if state.scopes.len() >= MAX_PENDING_SCOPES && !state.scopes.contains_key(&scope) {
                state.everything_until = Some(expires_at);
            } else {
                state.scopes.insert(scope, Pending { mark, expires_at });
            }
        }
        self.is_any.store(true, Ordering::SeqCst);
        mark
    }

    /// Ends the invalidations recorded with these marks. One that was recorded later for a scope remains pending.
    pub(super) fn acknowledge(&self, scopes: &[(OwnedScope, Mark)]) {
        let mut state = self.state();
        for (scope, mark) in scopes {
            if state.scopes.get(scope).is_some_and(|pending| pending.mark == *mark) {
                state.scopes.remove(scope);
            }
        }
        self.update_is_any(&state);
    }

    /// Whether the invalidation of one of the scopes is pending.
    pub(super) fn covers(&self, scopes: &[Scope<'_>], now: Instant) -> bool {
        if !self.is_any.load(Ordering::SeqCst) {
            return false;
        }
        let state = self.state();
        let is_pending = |scope: &Scope<'_>| {
            state.scopes.get(&OwnedScope::from(*scope)).is_some_and(|pending| pending.expires_at > now)
        };
        state.everything_until.is_some_and(|until| until > now) || scopes.iter().any(is_pending)
    }

    /// The scopes whose invalidation is pending, without those that are remembered for too long.
    pub(super) fn pending(&self, now: Instant) -> Vec<(OwnedScope, Mark)> {
        let mut state = self.state();
        state.scopes.retain(|_, pending| pending.expires_at > now);
        state.everything_until = state.everything_until.filter(|until| *until > now);
        self.update_is_any(&state);
        state.scopes.iter().map(|(scope, pending)| (scope.clone(), pending.mark)).collect()
    }

    /// Whether more scopes were invalidated than could be remembered.
    pub(super) fn covers_everything(&self, now: Instant) -> bool {
        self.state().everything_until.is_some_and(|until| until > now)
    }

    fn update_is_any(&self, state: &State) {
        self.is_any.store(!state.scopes.is_empty() || state.everything_until.is_some(), Ordering::SeqCst);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete in itself: a panic leaves none half-done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(20);
    const ONE: Scope<'_> = Scope::member("e", "1");
    const ALL: Scope<'_> = Scope::whole("a");

    #[test]
    fn a_scope_is_pending_until_its_latest_invalidation_is_acknowledged() {
        let (pending, now) = (PendingInvalidations::new(TTL), Instant::now());
        assert!(!pending.covers(&[ALL], now));
        let first = pending.record(&[ONE, ALL], now);
        assert!(pending.covers(&[ONE], now) && pending.covers(&[ALL], now));
        assert!(pending.covers(&[Scope::member("e", "2"), ONE], now), "one of several scopes is enough");
        assert!(!pending.covers(&[Scope::member("e", "2")], now));
        let later = pending.record(&[ONE], now);
        pending.acknowledge(&[(ONE.into(), first), (ALL.into(), first)]);
        assert!(pending.covers(&[ONE], now), "the later invalidation is not confirmed");
        assert!(!pending.covers(&[ALL], now));
        pending.acknowledge(&[(ONE.into(), later)]);
        assert!(!pending.covers(&[ONE], now));
    }

    #[test]
    fn a_pending_invalidation_expires() {
        let (pending, now) = (PendingInvalidations::new(TTL), Instant::now());
        pending.record(&[ONE], now);
        assert!(pending.covers(&[ONE], now + TTL - Duration::from_millis(1)));
        assert!(!pending.covers(&[ONE], now + TTL));
        assert_eq!(pending.pending(now + TTL).len(), 0);
        assert!(!pending.is_any.load(Ordering::SeqCst));
    }

    #[test]
    fn when_too_many_scopes_are_pending_every_scope_is() {
        let (pending, now) = (PendingInvalidations::new(TTL), Instant::now());
        for id in 0..=MAX_PENDING_SCOPES {
            pending.record(&[Scope::member("e", &id.to_string())], now);
        }
        assert!(pending.covers(&[Scope::member("e", "never invalidated")], now));
        assert_eq!(pending.pending(now).len(), MAX_PENDING_SCOPES);
        assert!(pending.covers_everything(now) && !pending.covers_everything(now + TTL));
    }
}
