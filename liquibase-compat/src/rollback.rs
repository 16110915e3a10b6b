//! Undoing changesets, newest first.
//!
//! A changeset's rollback and the removal of its row are one transaction. The run ends at the first changeset that cannot be
//! undone; those before it stay undone.

use tokio_postgres::Client;

use crate::changelog::Changelog;
use crate::error::{Error, postgres_message};
use crate::history::table::Tables;
use crate::lock::Lock;
use crate::options::{Event, Options};
use crate::plan::{RollbackStep, RollbackTarget, rollback_steps};
use crate::report::{Outcome, Report};
use crate::session::{check_changelog, prepare, restore_search_path, run_statements, search_path, set_search_path};
use crate::update::released;

/// Undoes the newest `count` changesets of the changelog.
///
/// # Errors
/// [`Error::RollbackImpossible`] with the report of what was undone before the one that could not be.
pub async fn rollback_count(
    lock: &mut Lock<'_>,
    changelog: &Changelog,
    options: &Options,
    count: usize,
) -> Result<Report, Error> {
    rollback(lock, changelog, options, &RollbackTarget::Count(count)).await
}

/// Undoes everything that was run after `tag` was set.
///
/// # Errors
/// [`Error::UnknownTag`], or [`Error::RollbackImpossible`] with the report of what was undone.
pub async fn rollback_to_tag(
    lock: &mut Lock<'_>,
    changelog: &Changelog,
    options: &Options,
    tag: &str,
) -> Result<Report, Error> {
    rollback(lock, changelog, options, &RollbackTarget::Tag(tag.to_owned())).await
}

/// Undoes what `target` names, newest first.
///
/// # Errors
/// [`Error::UnknownTag`], or [`Error::RollbackImpossible`] with the report of what was undone before.
pub async fn rollback(
    lock: &mut Lock<'_>,
    changelog: &Changelog,
    options: &Options,
    target: &RollbackTarget,
) -> Result<Report, Error> {
    let tables = Tables::locate(&*lock.client()).await?;
    prepare(lock.client(), &tables).await?;
    lock.take_row(&tables).await?;
    let done = rollback_locked(lock.client(), &tables, changelog, options, target).await;
    released(lock, &tables, done).await
}

async fn rollback_locked(
    client: &mut Client,
    tables: &Tables,
    changelog: &Changelog,
    options: &Options,
    target: &RollbackTarget,
) -> Result<Report, Error> {
    let history = tables.read(&*client).await?;
    check_changelog(client, tables, changelog, &history).await?;
    let steps = rollback_steps(changelog, &history, options, target)?;
    let original = search_path(&*client).await?;
    let mut report = Report::default();
    let mut failure = None;
    for step in steps {
        tracing::info!(changeset = %step.set.id, "rolling back changeset");
        options.tell(&Event::RollingBack(&step.set.id));
        if let Err(reason) = undo(client, tables, changelog, &step, &original).await {
            failure = Some((step.set.id.clone(), reason));
            break;
        }
        report.changesets.push((step.set.id.clone(), Outcome::RolledBack));
    }
    restore_search_path(client, &original).await;
    match failure {
        None => Ok(report),
        Some((changeset, reason)) => Err(Error::RollbackImpossible { changeset, reason, report: Box::new(report) }),
    }
}

async fn undo(
    client: &mut Client,
    tables: &Tables,
    changelog: &Changelog,
    step: &RollbackStep<'_>,
    original_path: &str,
) -> Result<(), String> {
    let told = |error: tokio_postgres::Error| postgres_message(&error);
    let mut statements = vec![set_search_path(tables, original_path)];
    statements.extend(step.set.rollback_statements(&tables.schema, |key| changelog.find(key))?);
    if step.set.run_in_transaction {
        let transaction = client.transaction().await.map_err(told)?;
        run_statements(&transaction, &statements).await?;
        transaction.batch_execute(&tables.delete_sql(step.row)).await.map_err(told)?;
        return transaction.commit().await.map_err(told);
    }
    run_statements(&*client, &statements).await?;
    client.batch_execute(&tables.delete_sql(step.row)).await.map_err(told)
}
