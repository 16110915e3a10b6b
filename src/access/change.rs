//! A transaction that may end credentials.
//!
//! Policy: what a change does to the cache has one order: it begins before the commit, and its generations end between the commit and the acknowledgement. A
//! change that is dropped in between (its client has gone, its outcome is unknown) ends every generation. [`CredentialChange`] holds the
//! connection and the change in the cache together, so that no caller can choose another order.

use std::sync::{Arc, PoisonError};

use tokio::time::Instant;
use tokio::time::error::Elapsed;

use super::Access;
use super::error::Error;
use super::store::Abort;
use super::verified::VerifiedCredential;
use crate::cache::{ChangeInProgress, Confirmation};
use crate::database::Lease;

/// A change of which the cache learns which credentials it ends.
#[derive(Debug)]
pub struct Revocation<'a> {
    access: &'a Access,
    in_progress: ChangeInProgress<'a, Arc<VerifiedCredential>>,
}

impl Revocation<'_> {
    /// The change is committed. Returns when no process uses the credentials with these keys as they were.
    ///
    /// # Errors
    /// [`Error::Unconfirmed`]
    pub async fn acknowledge(self, keys: &[String]) -> Result<(), Error> {
        if let Some(ended) = &self.access.ended {
            ended.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(keys);
        }
        match self.access.credentials.acknowledge(self.in_progress, keys).await {
            Confirmation::Confirmed => Ok(()),
            Confirmation::Unconfirmed => Err(Error::Unconfirmed),
        }
    }
}

/// A transaction that may end credentials, on a connection of its own.
pub(super) struct CredentialChange<'a> {
    /// The connection, on which the transaction has to be begun and committed.
    pub(super) lease: Lease<'a>,
    /// The time by which it must have its result.
    pub(super) deadline: Instant,
    revocation: Revocation<'a>,
}

impl CredentialChange<'_> {
    /// Ends the change with the outcome of its transaction. `keys` returns the keys of the credentials that have ended, or whose permissions have changed.
    ///
    /// # Errors
    /// The error of the transaction, or [`Error::Unconfirmed`].
    pub(super) async fn finish<T>(
        self,
        outcome: Result<Result<T, Abort>, Elapsed>,
        keys: impl FnOnce(&T) -> &[String],
    ) -> Result<T, Error> {
        let (value, confirmation) = self.end(outcome, keys).await?;
        confirmation.map(|()| value)
    }

    /// As [`CredentialChange::finish`], for a change whose client does not need to know whether Redis has confirmed it.
    ///
    /// # Errors
    /// The error of the transaction.
    pub(super) async fn finish_unconfirmed<T>(
        self,
        outcome: Result<Result<T, Abort>, Elapsed>,
        keys: impl FnOnce(&T) -> &[String],
    ) -> Result<T, Error> {
        Ok(self.end(outcome, keys).await?.0)
    }

    async fn end<T>(
        self,
        outcome: Result<Result<T, Abort>, Elapsed>,
        keys: impl FnOnce(&T) -> &[String],
    ) -> Result<(T, Result<(), Error>), Error> {
        let Self { lease, deadline, revocation } = self;
        match revocation.access.store.finish(lease, deadline, outcome).await {
            Ok(value) => {
                let confirmation = revocation.acknowledge(keys(&value)).await;
                Ok((value, confirmation))
            }
            // Dropped, the change ends every generation.
            Err(error) if error.has_unknown_effect() => Err(error),
            Err(error) => {
                revocation.in_progress.disarm();
                Err(error)
            }
        }
    }
}

impl Access {
    /// A change that is made elsewhere, such as the erasure of a person. To be begun before it is sent to the database; if it fails, this is dropped.
    pub fn begin_revocation(&self) -> Revocation<'_> {
        Revocation { access: self, in_progress: self.credentials.begin_change() }
    }

    /// Looks the credentials with these keys up again: a command on the machine has changed them. Returns when no process uses them as they were.
    ///
    /// # Errors
    /// [`Error::Unconfirmed`]
    pub async fn end_credentials(&self, keys: &[String]) -> Result<(), Error> {
        self.begin_revocation().acknowledge(keys).await
    }

    /// The keys of the credentials that a command has ended or changed until now.
    pub fn ended_credentials(&self) -> Vec<String> {
        let ended = self.ended.as_ref().map(|ended| ended.lock().unwrap_or_else(PoisonError::into_inner).clone());
        ended.unwrap_or_default()
    }

    /// A change, once there is a connection for it.
    pub(super) async fn begin_change(&self) -> Result<CredentialChange<'_>, Error> {
        let deadline = self.store.deadline();
        let lease = self.store.lease(deadline).await?;
        Ok(CredentialChange { lease, deadline, revocation: self.begin_revocation() })
    }
}
