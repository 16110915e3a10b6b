//! What happens to the cache before a change is acknowledged.
//!
//! Policy: a change ends the generations of its scopes after its commit and before its acknowledgement, so that a read which starts after the
//! acknowledgement sees it. If it is unknown whether the change happened, or its client has gone, the generations end without waiting.

use super::Cache;
use super::scope::Scope;
use super::value::CacheValue;

/// Whether the other processes that use the cache have certainly received a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Confirmation {
    /// Each of them reads the data before it uses another value of the scopes.
    Confirmed,
    /// Redis has not confirmed the change. Each process whose Redis fails as well reads the data; one that still reaches Redis may use old
    /// values until this process has reached it, which is retried in the background.
    Unconfirmed,
}

/// What a change in progress may concern.
#[derive(Debug, Clone, Copy)]
pub enum Concern<'a> {
    /// The values of these scopes.
    Scopes(&'a [Scope<'a>]),
    /// Any value: which ones becomes known with the change.
    Everything,
}

/// A change in progress. If it is dropped, its client has gone or its outcome is unknown; its statement may go on without it, so that the change may
/// still happen, and the cache is invalidated.
#[derive(Debug)]
pub struct ChangeInProgress<'a, V: CacheValue> {
    cache: Option<&'a Cache<V>>,
    concern: Concern<'a>,
}

impl<'a, V: CacheValue> ChangeInProgress<'a, V> {
    /// To be called before the change is sent to the database. Without a cache, nothing has to be done.
    pub fn begin(cache: Option<&'a Cache<V>>, concern: Concern<'a>) -> Self {
        Self { cache, concern }
    }

    /// The change is committed, or its outcome shows the state of the data: ends the generations of the scopes, and waits until no process uses
    /// older values, as far as Redis can be reached.
    pub async fn acknowledge(self, scopes: &[Scope<'_>]) -> Confirmation {
        let confirmation = match self.cache {
            Some(cache) => cache.invalidate(scopes).await,
            None => Confirmation::Confirmed,
        };
        self.disarm();
        confirmation
    }

    /// Ends a change after which nothing is left to be invalidated, for example because it has changed nothing.
    pub fn disarm(mut self) {
        self.cache = None;
    }
}

impl<V: CacheValue> Drop for ChangeInProgress<'_, V> {
    fn drop(&mut self) {
        match (self.cache, self.concern) {
            (Some(cache), Concern::Scopes(scopes)) => cache.invalidate_later(scopes),
            (Some(cache), Concern::Everything) => cache.invalidate_everything(),
            (None, _) => {}
        }
    }
}
