//! Forward commands: update, and recording changesets as run without running them.
//!
//! This file prepares a run; `run.rs` does it.

use futures_util::future::try_join;
use tokio_postgres::Client;

use crate::changelog::Changelog;
use crate::changeset_id::ChangeSetId;
use crate::checksum::ChecksumVersion;
use crate::command_request::{CommandRequest, Mode};
use crate::error::Error;
use crate::history::History;
use crate::history::tables::Tables;
use crate::lock::{Lock, is_row_free};
use crate::options::Options;
use crate::plan::{Plan, plan_to};
use crate::report::{Outcome, Report};
use crate::rollback::rollback;
use crate::run::{report_of, run_locked};
use crate::session::{Purpose, check_changelog, prepare, release_row_after};
use crate::target::{RollbackTarget, UpdateTarget};

/// Brings the database up to date with the changelog.
///
/// The Liquibase tables are created if they are missing. If there is nothing to do, nothing else is written.
///
/// ```no_run
/// use liquibase_compat::{Changelog, DirectorySource, Lock, LockOptions, Options, update};
///
/// # async fn example(mut client: tokio_postgres::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let options = Options::default();
/// let changelog = Changelog::load(&DirectorySource::new("migrations")?, "db.changelog-master.xml", &options)?;
/// let mut lock = Lock::acquire(&mut client, &LockOptions::default()).await?;
/// let outcome = update(&mut lock, &changelog, &options).await;
/// lock.release().await?;
/// println!("{} changesets ran", outcome?.run_count());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Validation`] before anything ran; [`Error::ChangeSet`] with the report of what ran before the failed changeset.
pub async fn update(lock: &mut Lock<'_>, changelog: &Changelog, options: &Options) -> Result<Report, Error> {
    update_to(lock, changelog, options, &UpdateTarget::All).await
}

/// Brings the database up to date as far as `target`.
///
/// # Errors
/// As [`update`].
pub async fn update_to(
    lock: &mut Lock<'_>,
    changelog: &Changelog,
    options: &Options,
    target: &UpdateTarget,
) -> Result<Report, Error> {
    execute(lock, &CommandRequest { changelog, options, target, mode: Mode::Run }).await
}

/// Updates, rolls back what ran, and updates again, which proves that the rollbacks work. The report is that of the last update; `updated` gets that of the first
/// one, if there is anything to roll back.
///
/// # Errors
/// As [`update`], and [`Error::RollbackImpossible`] when a changeset cannot be rolled back; it then stays applied.
pub async fn update_testing_rollback(
    lock: &mut Lock<'_>,
    changelog: &Changelog,
    options: &Options,
    updated: impl FnOnce(&Report),
) -> Result<Report, Error> {
    let first = update(lock, changelog, options).await?;
    let new = |(id, outcome): &(ChangeSetId, Outcome)| (*outcome == Outcome::Executed).then(|| id.clone());
    let ran: Vec<ChangeSetId> = first.changesets.iter().filter_map(new).collect();
    if ran.is_empty() {
        return Ok(first);
    }
    updated(&first);
    rollback(lock, changelog, options, &RollbackTarget::ChangeSets(ran)).await?;
    update(lock, changelog, options).await
}

/// Records changesets that never ran as run, up to `target`, without running them.
///
/// # Errors
/// [`Error::Validation`] before anything is recorded.
pub async fn changelog_sync(
    lock: &mut Lock<'_>,
    changelog: &Changelog,
    options: &Options,
    target: &UpdateTarget,
) -> Result<Report, Error> {
    execute(lock, &CommandRequest { changelog, options, target, mode: Mode::Record }).await
}

/// Records the next changeset as run without running it.
///
/// # Errors
/// [`Error::Validation`] before anything is recorded.
pub async fn mark_next_changeset_ran(
    lock: &mut Lock<'_>,
    changelog: &Changelog,
    options: &Options,
) -> Result<Report, Error> {
    changelog_sync(lock, changelog, options, &UpdateTarget::Count(1)).await
}

/// The report of an update up to `target` that has nothing to do; `None` if it may have something to do, which [`update_to`] finds out.
///
/// It only reads and takes no lock, as in Liquibase. `None` also stands for everything that needs the lock: tables that are missing or
/// older, checksums to fill in or to upgrade, preconditions of the changelog, a row that a process of this crate left locked, and a
/// changelog that validation refuses.
///
/// # Errors
/// When the connection fails.
pub async fn check_up_to_date(
    client: &Client,
    changelog: &Changelog,
    options: &Options,
    target: &UpdateTarget,
) -> Result<Option<Report>, Error> {
    if !changelog.preconditions.is_empty() || changelog.check_expressions(options).is_err() {
        return Ok(None);
    }
    let tables = Tables::locate(client, &options.locations).await?;
    let Some(columns) = tables.current_columns(client).await? else { return Ok(None) };
    let (history, is_free) = try_join(tables.read_for_plan(client, &columns), is_row_free(client, &tables)).await?;
    if !is_free || history.rows().iter().any(|row| row.checksum.is_none()) {
        return Ok(None);
    }
    let plan = plan_to(changelog, &history, options, target).ok().filter(Plan::is_empty);
    Ok(plan.map(|plan| report_of(&plan)))
}

async fn execute(lock: &mut Lock<'_>, request: &CommandRequest<'_>) -> Result<Report, Error> {
    let tables = Tables::locate(&*lock.client(), &request.options.locations).await?;
    prepare(lock.client(), &tables).await?;
    let (filled, history) = fill_missing_checksums(lock.client(), &tables, request).await?;
    check_changelog(lock.client(), &tables, request.changelog, &history, Purpose::Run).await?;
    request.changelog.check_expressions(request.options)?;
    let plan = request.plan(&history, Purpose::Run)?;
    if plan.is_empty() {
        // A process that was killed after its last changeset left the row locked, and no later run would take it over.
        lock.release_stale_row(&tables).await?;
        return Ok(Report { checksums_upgraded: filled, ..report_of(&plan) });
    }
    lock.take_row(&tables).await?;
    let outcome = run_locked(lock, &tables, request, filled).await;
    release_row_after(lock, &tables, outcome).await
}

/// Fills in checksums that were cleared with those of the current changelog. Returns their number and the history afterwards.
async fn fill_missing_checksums(
    client: &Client,
    tables: &Tables,
    request: &CommandRequest<'_>,
) -> Result<(usize, History), Error> {
    let history = tables.read(client).await?;
    let mut filled = 0;
    for row in history.rows().iter().filter(|row| row.checksum.is_none()) {
        if let Some(set) = request.changelog.find(&row.key(), request.options) {
            tables.set_checksum(client, row, &set.checksum(ChecksumVersion::V9)).await?;
            filled += 1;
        }
    }
    let history = if filled == 0 { history } else { tables.read(client).await? };
    Ok((filled, history))
}
