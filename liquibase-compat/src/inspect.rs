//! Commands that only read. They do not even create the two Liquibase tables; a database without them has an empty history.

use std::collections::HashSet;

use tokio_postgres::Client;

use crate::changelog::Changelog;
use crate::changeset_id::{ChangeSetId, ChangeSetKey};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::error::Error;
use crate::history::HistoryRow;
use crate::history::tables::Tables;
use crate::options::Options;
use crate::plan::{PendingChangeSet, plan};
use crate::session::{Purpose, check_changelog};

/// The changesets that an update would run.
///
/// # Errors
/// [`Error::Validation`] when the changelog must not run on this database.
pub async fn status(client: &Client, changelog: &Changelog, options: &Options) -> Result<Vec<PendingChangeSet>, Error> {
    let tables = Tables::locate(client, &options.locations).await?;
    let history = tables.read(client).await?;
    Ok(plan(changelog, &history, options)?.pending().to_vec())
}

/// Checks that the changelog may run on this database, including its preconditions.
///
/// # Errors
/// [`Error::Validation`] with everything that validation found.
pub async fn validate(client: &mut Client, changelog: &Changelog, options: &Options) -> Result<(), Error> {
    let tables = Tables::locate(&*client, &options.locations).await?;
    let history = tables.read(&*client).await?;
    check_changelog(client, &tables, changelog, &history, Purpose::Run).await?;
    changelog.check_expressions(options)?;
    plan(changelog, &history, options)?;
    Ok(())
}

/// The rows of the history, oldest first; empty if the database has no history.
///
/// # Errors
/// When the table cannot be read.
pub async fn history(client: &Client, options: &Options) -> Result<Vec<HistoryRow>, Error> {
    let tables = Tables::locate(client, &options.locations).await?;
    Ok(tables.read(client).await?.rows().to_vec())
}

/// The changesets of the history that the changelog, filtered by these options, does not contain.
///
/// # Errors
/// When the table cannot be read.
pub async fn unexpected_changesets(
    client: &Client,
    changelog: &Changelog,
    options: &Options,
) -> Result<Vec<ChangeSetId>, Error> {
    changelog.check_expressions(options)?;
    let expected: HashSet<ChangeSetKey> = changelog
        .changesets
        .iter()
        .filter(|set| set.filter_reasons(options).is_empty())
        .map(crate::changeset::ChangeSet::key)
        .collect();
    let unexpected = |row: HistoryRow| {
        (!expected.contains(&row.key())).then_some(ChangeSetId { file: row.file, id: row.id, author: row.author })
    };
    Ok(history(client, options).await?.into_iter().filter_map(unexpected).collect())
}

/// Whether a row of the history has the tag, compared without case.
///
/// # Errors
/// When the table cannot be read.
pub async fn tag_exists(client: &Client, tag: &str, options: &Options) -> Result<bool, Error> {
    let tables = Tables::locate(client, &options.locations).await?;
    Ok(tables.read(client).await?.has_tag(tag))
}

/// The checksum of a changeset as it is now, in the version of the stored one. If the history does not contain the changeset, the
/// version is 9.
///
/// # Errors
/// [`Error::UnknownChangeSet`] when the changelog does not contain it.
pub async fn calculate_checksum(
    client: &Client,
    changelog: &Changelog,
    id: &ChangeSetId,
    options: &Options,
) -> Result<Checksum, Error> {
    let key = id.key();
    let set = changelog.find(&key, options).ok_or_else(|| Error::UnknownChangeSet { changeset: id.clone() })?;
    let tables = Tables::locate(client, &options.locations).await?;
    let history = tables.read(client).await?;
    let stored = history.find_key(&key).and_then(HistoryRow::parsed_checksum);
    Ok(stored.map_or_else(|| set.checksum(ChecksumVersion::V9), |stored| set.checksum_like(&stored)))
}

/// The holder of the row of DATABASECHANGELOGLOCK.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldLock {
    /// LOCKEDBY.
    pub holder: String,
    /// LOCKGRANTED, as `Jan 2, 2026, 3:04:05 AM`.
    pub since: String,
}

/// The lock of DATABASECHANGELOGLOCK; `None` if it is free.
///
/// # Errors
/// When the table cannot be read.
pub async fn list_locks(client: &Client, options: &Options) -> Result<Option<HeldLock>, Error> {
    let failed = Error::database("reading databasechangeloglock");
    let tables = Tables::locate(client, &options.locations).await?;
    let (_, exists) = tables.exist(client).await?;
    if !exists {
        return Ok(None);
    }
    let sql = format!(
        "SELECT COALESCE(lockedby, 'UNKNOWN'), COALESCE(to_char(lockgranted, 'Mon FMDD, YYYY, FMHH12:MI:SS AM'), \
         'an unknown time') FROM {} WHERE id = 1 AND locked",
        tables.lock
    );
    let row = client.query_typed_opt(&sql, &[]).await.map_err(&failed)?;
    Ok(row.map(|row| HeldLock { holder: row.get(0), since: row.get(1) }))
}
