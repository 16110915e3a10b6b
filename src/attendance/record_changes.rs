//! What can be done with a record that exists: correct it, delete it, read its history; and to erase a person.
//!
//! Policy: a change is acknowledged like a create (`acknowledgement.rs`). A correction that changes nothing is acknowledged, too, and leaves no
//! entry in the history. What a client requires of the record is compared with the record that the change replaces.

use std::pin::pin;
use std::sync::Arc;

use tokio::time::Instant;

use super::acknowledgement::acknowledge;
use super::answer::{Answer, CacheStatus, Content};
use super::change_store::CurrentRecord;
use super::correction::{Correction, Deletion};
use super::date::Date;
use super::error::Error;
use super::origin::Origin;
use super::precondition::Precondition;
use super::prepared::{LISTS, employee};
use super::record_change::{Erasure, RecordChange, with_creations};
use super::service::Attendance;
use super::view::DIRECTORY;
use super::visibility::Visibility;

impl Attendance {
    /// Corrects a record. Returns what it is now, when that is durable and every read will see it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Changed`] if the precondition does not hold, [`Error::Closed`]. After [`Error::Unavailable`] and
    /// [`Error::Rejected`] the record may have been corrected, or may be later.
    pub async fn correct(
        &self,
        correction: &Correction,
        precondition: Option<&Precondition>,
        origin: &Origin,
    ) -> Result<Content, Error> {
        self.rules.check_day(correction.date)?;
        self.store.check_storage()?;
        let scopes = [employee(&correction.id), LISTS];
        let change = pin!(self.try_correct(correction, precondition, origin));
        let (content, is_changed) = acknowledge(self.cache.as_deref(), &scopes, change).await?;
        if is_changed {
            self.metrics.records_corrected.inc();
        }
        Ok(content)
    }

    async fn try_correct(
        &self,
        correction: &Correction,
        precondition: Option<&Precondition>,
        origin: &Origin,
    ) -> Result<(Content, bool), Error> {
        let deadline = self.store.deadline();
        loop {
            let current = self.required(&correction.id, correction.date, precondition, deadline).await?;
            let is_unchanged = current.equals(correction);
            if is_unchanged || self.store.correct(&current, correction, origin, deadline).await? {
                return Ok((current.corrected_content(correction, self.format), !is_unchanged));
            }
        }
    }

    /// Deletes a record. Returns when that is durable and every read will see it.
    ///
    /// # Errors
    /// As for [`Attendance::correct`].
    pub async fn delete(
        &self,
        deletion: &Deletion,
        precondition: Option<&Precondition>,
        origin: &Origin,
    ) -> Result<(), Error> {
        self.rules.check_day(deletion.date)?;
        self.store.check_storage()?;
        let scopes = [employee(&deletion.id), LISTS];
        let change = pin!(self.try_delete(deletion, precondition, origin));
        acknowledge(self.cache.as_deref(), &scopes, change).await?;
        self.metrics.records_deleted.inc();
        Ok(())
    }

    async fn try_delete(
        &self,
        deletion: &Deletion,
        precondition: Option<&Precondition>,
        origin: &Origin,
    ) -> Result<(), Error> {
        let deadline = self.store.deadline();
        loop {
            let current = self.required(&deletion.id, deletion.date, precondition, deadline).await?;
            if self.store.delete(&current, deletion, origin, deadline).await? {
                return Ok(());
            }
        }
    }

    /// The record as it is, if it is in the state that is required.
    async fn required(
        &self,
        id: &str,
        day: Date,
        precondition: Option<&Precondition>,
        deadline: Instant,
    ) -> Result<CurrentRecord, Error> {
        let current = self.store.current(id, day, deadline).await?.ok_or(Error::NotFound)?;
        if let Some(precondition) = precondition {
            let content = current.content(self.format);
            if !precondition.admits(&content) {
                return Err(Error::Changed(content.etag));
            }
        }
        Ok(current)
    }

    /// Erases a person: its records, their history, its row in the directory, and what accounts and the audit say of it. The rules about closed days do not
    /// apply. Returns when that is durable and no read will see any of it; the credentials of the accounts are up to the caller.
    ///
    /// # Errors
    /// After [`Error::Unavailable`] and [`Error::Rejected`] the person may have been erased, or may be later.
    pub async fn erase(&self, id: &str, origin: &Origin, account: Option<i64>) -> Result<Erasure, Error> {
        self.store.check_storage()?;
        let scopes = [employee(id), LISTS, DIRECTORY];
        let change = pin!(self.store.erase(id, origin, account, self.store.deadline()));
        let erasure = acknowledge(self.cache.as_deref(), &scopes, change).await?;
        self.metrics.records_erased.inc_by(u64::try_from(erasure.counts.records).unwrap_or_default());
        Ok(erasure)
    }

    /// The history of a record, oldest first; `None` if there never was such a record, or the caller may not see it. `has_addresses` says whether the
    /// caller may see from which addresses the changes came.
    ///
    /// # Errors
    /// When PostgreSQL fails.
    pub async fn history(
        &self,
        id: &str,
        day: Date,
        visibility: &Visibility,
        has_addresses: bool,
    ) -> Result<Option<Answer>, Error> {
        if !visibility.includes(id) {
            return Ok(None);
        }
        let mut entries = self.store.history(id, day, self.store.deadline()).await?;
        if entries.is_empty() {
            return Ok(None);
        }
        if !has_addresses {
            entries.iter_mut().for_each(RecordChange::remove_address);
        }
        let mut body = Vec::with_capacity(256 * (entries.len() + 1));
        body.push(b'[');
        for (position, entry) in with_creations(entries).iter().enumerate() {
            if position > 0 {
                body.push(b',');
            }
            entry.write_json(self.format, false, &mut body);
        }
        body.extend_from_slice(b"]\n");
        Ok(Some(Answer { content: Arc::new(Content::new(body)), cached: CacheStatus::Bypass }))
    }
}
