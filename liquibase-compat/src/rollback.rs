//! Rolls back changesets, newest first.
//!
//! The rollback of a changeset and the removal of its row are one transaction. The run ends at the first changeset that cannot be
//! rolled back; those before it stay rolled back.

use crate::apply::{notify_output, with_rollback_types};
use crate::changelog::Changelog;
use crate::changeset_error::RollbackError;
use crate::error::Error;
use crate::event::Event;
use crate::history::tables::Tables;
use crate::lock::Lock;
use crate::options::Options;
use crate::report::{Outcome, Report};
use crate::rollback_plan::{RollbackStep, rollback_steps};
use crate::session::{
    Purpose, check_changelog, prepare, release_row_after, restore_search_path, run_statements, search_path,
    set_search_path_sql,
};
use crate::target::RollbackTarget;

/// Rolls back the newest changesets of the changelog, at most `count`.
///
/// # Errors
/// [`Error::RollbackImpossible`] with the report of what was rolled back before the one that could not be.
pub async fn rollback_count(
    lock: &mut Lock<'_>,
    changelog: &Changelog,
    options: &Options,
    count: usize,
) -> Result<Report, Error> {
    rollback(lock, changelog, options, &RollbackTarget::Count(count)).await
}

/// Rolls back everything that ran after `tag` was set.
///
/// # Errors
/// [`Error::UnknownTag`], or [`Error::RollbackImpossible`] with the report of what was rolled back.
pub async fn rollback_to_tag(
    lock: &mut Lock<'_>,
    changelog: &Changelog,
    options: &Options,
    tag: &str,
) -> Result<Report, Error> {
    rollback(lock, changelog, options, &RollbackTarget::Tag(tag.to_owned())).await
}

/// Rolls back the changesets that `target` names, newest first.
///
/// # Errors
/// [`Error::UnknownTag`], or [`Error::RollbackImpossible`] with the report of what was rolled back before.
pub async fn rollback(
    lock: &mut Lock<'_>,
    changelog: &Changelog,
    options: &Options,
    target: &RollbackTarget,
) -> Result<Report, Error> {
    let tables = Tables::locate(&*lock.client(), &options.locations).await?;
    prepare(lock.client(), &tables).await?;
    lock.take_row(&tables).await?;
    let outcome = rollback_locked(lock, &tables, changelog, options, target).await;
    release_row_after(lock, &tables, outcome).await
}

async fn rollback_locked(
    lock: &mut Lock<'_>,
    tables: &Tables,
    changelog: &Changelog,
    options: &Options,
    target: &RollbackTarget,
) -> Result<Report, Error> {
    let history = tables.read(&*lock.client()).await?;
    check_changelog(lock.client(), tables, changelog, &history, Purpose::Run).await?;
    let steps = rollback_steps(changelog, &history, options, target)?;
    let original = search_path(&*lock.client()).await?;
    let mut report = Report::default();
    for step in steps {
        tracing::info!(changeset = %step.set.id, "rolling back changeset");
        options.notify(&Event::RollingBack(&step.set.id));
        let changeset = step.set.id.clone();
        if let Err(source) = roll_back(lock, tables, changelog, options, &step, &original).await {
            restore_search_path(lock, &original).await;
            return Err(Error::RollbackImpossible { changeset, source: Box::new(source), report: Box::new(report) });
        }
        report.changesets.push((changeset, Outcome::RolledBack));
    }
    restore_search_path(lock, &original).await;
    Ok(report)
}

async fn roll_back(
    lock: &mut Lock<'_>,
    tables: &Tables,
    changelog: &Changelog,
    options: &Options,
    step: &RollbackStep<'_>,
    original_path: &str,
) -> Result<(), RollbackError> {
    let in_transaction = step.set.run_in_transaction;
    let mut statements = Vec::new();
    if in_transaction || lock.owns_session() {
        statements.push(set_search_path_sql(tables, original_path, in_transaction));
    }
    let client = lock.client();
    let dialect = step.set.dialect(&tables.schema);
    let set = with_rollback_types(&*client, step.set, &dialect).await?;
    set.rollback_changes(|key| changelog.find(key, options)).for_each(|change| notify_output(options, change));
    statements.extend(set.rollback_statements(&dialect, |key| changelog.find(key, options))?);
    if in_transaction {
        let transaction = client.transaction().await?;
        run_statements(&transaction, &statements, true).await?;
        run_statements(&transaction, &[tables.delete_sql(step.row)], true).await?;
        transaction.commit().await?;
    } else {
        run_statements(&*client, &statements, false).await?;
        run_statements(&*client, &[tables.delete_sql(step.row)], false).await?;
    }
    Ok(step.set.check_rollback_files()?)
}
