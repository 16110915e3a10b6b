//! Looking without touching: nothing here writes, not even the two Liquibase tables. A database without them counts as empty.

use std::collections::HashSet;

use tokio_postgres::Client;

use crate::changelog::Changelog;
use crate::changeset_id::{ChangeSetId, ChangeSetKey};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::error::Error;
use crate::history::HistoryRow;
use crate::history::table::Tables;
use crate::options::Options;
use crate::plan::{Pending, plan};
use crate::session::check_changelog;

/// What an update would run.
///
/// # Errors
/// [`Error::Validation`] when the changelog must not be run on this database.
pub async fn status(client: &Client, changelog: &Changelog, options: &Options) -> Result<Vec<Pending>, Error> {
    let tables = Tables::locate(client).await?;
    let history = tables.read(client).await?;
    Ok(plan(changelog, &history, options)?.pending().to_vec())
}

/// Whether the changelog may be run on this database, its own preconditions among the rest.
///
/// # Errors
/// [`Error::Validation`] with everything that is wrong.
pub async fn validate(client: &mut Client, changelog: &Changelog, options: &Options) -> Result<(), Error> {
    let tables = Tables::locate(&*client).await?;
    let history = tables.read(&*client).await?;
    check_changelog(client, &tables, changelog, &history).await?;
    plan(changelog, &history, options)?;
    Ok(())
}

/// The rows of the database's history, oldest first; none if it has none.
///
/// # Errors
/// When the table cannot be read.
pub async fn history(client: &Client) -> Result<Vec<HistoryRow>, Error> {
    let tables = Tables::locate(client).await?;
    Ok(tables.read(client).await?.rows().to_vec())
}

/// Rows of the history that no changeset of the changelog, as these options select it, belongs to.
///
/// # Errors
/// When the table cannot be read.
pub async fn unexpected_changesets(
    client: &Client,
    changelog: &Changelog,
    options: &Options,
) -> Result<Vec<ChangeSetId>, Error> {
    let expected: HashSet<ChangeSetKey> = changelog
        .changesets
        .iter()
        .filter(|set| set.left_out(options).is_empty())
        .map(crate::changeset::ChangeSet::key)
        .collect();
    let unexpected = |row: HistoryRow| {
        (!expected.contains(&row.key())).then_some(ChangeSetId { file: row.file, id: row.id, author: row.author })
    };
    Ok(history(client).await?.into_iter().filter_map(unexpected).collect())
}

/// Whether some changeset of the history has the tag, in any case.
///
/// # Errors
/// When the table cannot be read.
pub async fn tag_exists(client: &Client, tag: &str) -> Result<bool, Error> {
    let tables = Tables::locate(client).await?;
    Ok(tables.read(client).await?.has_tag(tag))
}

/// The checksum of a changeset as it is now: in the version of its stored one, where the history has it, else version 9.
///
/// # Errors
/// [`Error::UnknownChangeSet`] when the changelog does not have it.
pub async fn calculate_checksum(client: &Client, changelog: &Changelog, id: &ChangeSetId) -> Result<Checksum, Error> {
    let key = id.key();
    let set = changelog.find(&key).ok_or_else(|| Error::UnknownChangeSet { changeset: id.clone() })?;
    let tables = Tables::locate(client).await?;
    let history = tables.read(client).await?;
    let stored = history.find_key(&key).and_then(HistoryRow::parsed_checksum);
    Ok(stored.map_or_else(|| set.checksum(ChecksumVersion::V9), |stored| set.checksum_like(&stored)))
}

/// Who holds the row of DATABASECHANGELOGLOCK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLock {
    /// LOCKEDBY.
    pub holder: String,
    /// LOCKGRANTED, as `Jan 2, 2026, 3:04:05 AM`.
    pub since: String,
}

/// The lock that is held; none if it is free.
///
/// # Errors
/// When the table cannot be read.
pub async fn list_locks(client: &Client) -> Result<Option<HeldLock>, Error> {
    let failed = Error::database("reading databasechangeloglock");
    let tables = Tables::locate(client).await?;
    let (_, exists) = tables.exist(client).await?;
    if !exists {
        return Ok(None);
    }
    let sql = format!(
        "SELECT COALESCE(lockedby, 'UNKNOWN'), COALESCE(to_char(lockgranted, 'Mon FMDD, YYYY, FMHH12:MI:SS AM'), \
         'an unknown time') FROM {} WHERE id = 1 AND locked",
        tables.lock
    );
    let row = client.query_opt(&sql, &[]).await.map_err(&failed)?;
    Ok(row.map(|row| HeldLock { holder: row.get(0), since: row.get(1) }))
}
