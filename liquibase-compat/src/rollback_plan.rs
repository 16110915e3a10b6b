//! What a rollback would undo. Pure, as planning an update is.

use std::collections::HashSet;

use crate::changelog::Changelog;
use crate::changeset::ChangeSet;
use crate::changeset_id::ChangeSetId;
use crate::error::Error;
use crate::history::{History, HistoryRow};
use crate::options::{Options, TagVersion};
use crate::plan::plan_script_to;
use crate::target::{RollbackTarget, UpdateTarget};

/// One changeset to roll back, with its row.
#[derive(Debug, Clone)]
pub(crate) struct RollbackStep<'a> {
    pub(crate) set: &'a ChangeSet,
    pub(crate) row: &'a HistoryRow,
}

/// What a rollback would undo, newest first.
///
/// # Errors
/// [`Error::Validation`] when the changelog does not match the history, [`Error::UnknownTag`] when no row has the tag.
pub fn plan_rollback(
    changelog: &Changelog,
    history: &History,
    options: &Options,
    target: &RollbackTarget,
) -> Result<Vec<ChangeSetId>, Error> {
    let steps = rollback_steps(changelog, history, options, target)?;
    Ok(steps.iter().map(|step| step.set.id.clone()).collect())
}

pub(crate) fn rollback_steps<'a>(
    changelog: &'a Changelog,
    history: &'a History,
    options: &Options,
    target: &RollbackTarget,
) -> Result<Vec<RollbackStep<'a>>, Error> {
    changelog.check_expressions(options)?;
    plan_script_to(changelog, history, options, &UpdateTarget::All)?;
    let rows = match target {
        RollbackTarget::Count(_) | RollbackTarget::Date(_) | RollbackTarget::ChangeSets(_) => history.rows(),
        RollbackTarget::Tag(tag) => rows_after_tag(history.rows(), tag, options.tag_version)?,
    };
    let is_requested = |row: &HistoryRow| match target {
        RollbackTarget::Count(_) | RollbackTarget::Tag(_) => true,
        RollbackTarget::Date(date) => row.date_executed.as_str() > date.as_str(),
        RollbackTarget::ChangeSets(sets) => sets.iter().any(|id| id.key() == row.key()),
    };
    let mut seen = HashSet::new();
    let steps = rows.iter().rev().filter(|row| is_requested(row)).filter_map(|row| {
        let set = changelog.find(&row.key(), options)?;
        let is_selected = set.filter_reasons(options).is_empty() && seen.insert(row.key());
        is_selected.then_some(RollbackStep { set, row })
    });
    Ok(match target {
        RollbackTarget::Count(count) => steps.take(*count).collect(),
        RollbackTarget::Tag(_) | RollbackTarget::Date(_) | RollbackTarget::ChangeSets(_) => steps.collect(),
    })
}

fn rows_after_tag<'a>(rows: &'a [HistoryRow], tag: &str, version: TagVersion) -> Result<&'a [HistoryRow], Error> {
    let tagged = match version {
        TagVersion::Oldest => rows.iter().position(|row| row.has_tag(tag)),
        TagVersion::Newest => rows.iter().rposition(|row| row.has_tag(tag)),
    };
    let Some(tagged) = tagged else {
        return Err(Error::UnknownTag { tag: tag.to_owned() });
    };
    let only_sets_tag = rows[tagged].description.as_deref() == Some("tagDatabase");
    Ok(&rows[if only_sets_tag { tagged } else { tagged + 1 }..])
}
