//! What happens to the cache before a change of records is acknowledged.
//!
//! Policy: that of `crate::cache::ChangeInProgress`. An answer that shows the state of the database (there is no such record; it is in the way; it has
//! another entity tag) counts as an acknowledgement of the change by another client that made it so, which may not have come as far.

use std::pin::Pin;
use std::sync::Arc;

use super::answer::Content;
use super::error::{Effect, Error};
use crate::cache::{Cache, ChangeInProgress, Concern, Scope};

/// Makes a change, and ends the generations of its scopes before it returns the outcome. The change is pinned by the caller, because an async function has
/// room for each of its arguments twice.
pub(super) async fn acknowledge<T>(
    cache: Option<&Cache<Arc<Content>>>,
    scopes: &[Scope<'_>],
    change: Pin<&mut impl Future<Output = Result<T, Error>>>,
) -> Result<T, Error> {
    let in_progress = ChangeInProgress::begin(cache, Concern::Scopes(scopes));
    let outcome = change.await;
    match outcome.as_ref().map_or_else(Error::effect, |_| Effect::Known) {
        // What Redis has not confirmed is retried (`cache/shared.rs`).
        Effect::Known => {
            let _ = in_progress.acknowledge(scopes).await;
        }
        Effect::None => in_progress.disarm(),
        // The client has waited long enough.
        Effect::Unknown => drop(in_progress),
    }
    outcome
}
