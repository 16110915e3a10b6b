//! The interface of the two coherence protocols: how a process determines whether a cached value is still valid.

use std::future::Future;
use std::time::Instant;

use super::commands::SetEntry;
use super::generation::Generation;
use super::scope::Scope;

/// A coherence protocol. `now` is a parameter wherever time matters, so that tests can choose it.
pub(super) trait Coherence {
    /// Whether cached values of the scopes may be used at all.
    fn is_trusted(&self, scopes: &[Scope<'_>], now: Instant) -> bool;

    /// Whether a generation is current, as known to this protocol at some moment after the call.
    fn is_current(&self, generation: &Generation, scopes: &[Scope<'_>]) -> impl Future<Output = bool> + Send;

    /// Reads from Redis. `None` if the cache cannot be used for this read.
    fn fetch(&self, scopes: &[Scope<'_>], key: &str) -> impl Future<Output = Option<Fetched>> + Send;

    /// Makes every value of the scopes invalid. Called after a change was committed and before it is acknowledged; a read that begins
    /// after this has returned must not use a value that was read before the change.
    fn invalidate(&self, scopes: &[Scope<'_>], now: Instant) -> impl Future<Output = ()> + Send;

    /// Whether a change of the scopes, for which [`Coherence::invalidate`] was called after `committed_at`, is known to every process
    /// that trusts its cache.
    fn is_settled(&self, scopes: &[Scope<'_>], committed_at: Instant, now: Instant) -> bool;

    /// Makes every value invalid, for a change by another program. A read that begins after this has returned must not use a value that
    /// was read before it was called. Does not wait.
    fn invalidate_everything(&self);

    /// Makes every value of the scopes invalid, for a change by another process that is committed. A read that begins after this has returned must not
    /// use a value that was read before it was called. Does not wait.
    fn invalidate_announced(&self, scopes: &[Scope<'_>], now: Instant);

    /// For a change that may or may not be committed, now or later, and is not acknowledged. Does not wait.
    fn invalidate_later(&self, scopes: &[Scope<'_>], now: Instant);

    /// Called in intervals, and after every change of the connection.
    fn maintain(&self, is_connected: bool, clock: impl Fn() -> Instant + Send) -> impl Future<Output = ()> + Send;

    /// What a new connection must store before it is used.
    fn rotate_epoch(&self) -> SetEntry;

    /// Called when a new connection has stored that; the attempt began at `began_at`.
    fn connected(&self, began_at: Instant);

    /// Called when the connection was lost, or an attempt that began at `began_at` has failed. After a change of role other processes may still
    /// be connected to the former primary.
    fn disconnected(&self, is_role_change: bool, began_at: Instant, now: Instant);
}

/// What a read found in Redis.
#[derive(Debug)]
pub(super) struct Fetched {
    /// The generation that was current after the read had begun: what is read from the data from now on may be stored under it.
    pub(super) generation: Generation,
    /// What is stored under the key, of whichever generation.
    pub(super) value: Option<Vec<u8>>,
}
