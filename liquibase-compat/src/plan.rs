//! Deciding what to do, without doing it.
//!
//! [`plan`] and [`plan_rollback`] are pure: a changelog, a history and options in, steps out. All validation that needs no
//! database is here.

use std::collections::HashSet;

use crate::changelog::Changelog;
use crate::changeset::{ChangeSet, OnValidationFail};
use crate::changeset_id::{ChangeSetId, ChangeSetKey, MISSING_ID};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::error::{ChecksumMismatch, Error, ValidationError};
use crate::history::{History, HistoryRow};
use crate::options::Options;

/// Why a changeset is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The history does not know it.
    New,
    /// `runAlways`.
    RunAlways,
    /// `runOnChange`, and it changed.
    Changed,
}

/// A changeset that is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The changeset.
    pub changeset: ChangeSetId,
    /// Why.
    pub reason: Reason,
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Run the changeset of that index, or only record it.
    Run { index: usize, reason: Reason, mark_ran: bool },
    /// Write the checksum into the row of the changeset of that index.
    Upgrade { index: usize, checksum: Checksum },
}

/// How far to go forward.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum UpdateTarget {
    /// To the end of the changelog.
    #[default]
    All,
    /// The next so many changesets.
    Count(usize),
    /// Up to and with the changeset that sets the tag, or whose row in the history has it. To the end where there is none.
    Tag(String),
}

/// Why a changeset is left out; of several reasons in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FilterReason {
    /// Its contexts do not fit those of the run.
    Context,
    /// Its labels do not fit the filter.
    Label,
    /// It ran before; told of a changeset that is left out for another reason, by an update without a target.
    AlreadyRan,
    /// Its dbms is not PostgreSQL.
    Dbms,
    /// `ignore="true"`.
    Ignored,
    /// It is behind as many as were asked for.
    AfterCount,
    /// It is behind the tag asked for.
    AfterTag,
}

/// What an update would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub(crate) steps: Vec<Step>,
    pending: Vec<Pending>,
    previously_run: usize,
    filtered_out: usize,
    filtered: Vec<(FilterReason, usize)>,
}

impl Plan {
    /// Whether there is nothing to do, not even a checksum to raise to version 9.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The changesets to run, in order.
    pub fn pending(&self) -> &[Pending] {
        &self.pending
    }

    /// Changesets that ran before and do not run again.
    pub fn previously_run(&self) -> usize {
        self.previously_run
    }

    /// Changesets left out.
    pub fn filtered_out(&self) -> usize {
        self.filtered_out
    }

    /// Why changesets are left out and how many for each reason, in the order the reasons were met. A changeset may have several.
    pub fn filtered(&self) -> &[(FilterReason, usize)] {
        &self.filtered
    }

    fn leave_out(&mut self, reasons: &[FilterReason]) {
        self.filtered_out += 1;
        for reason in reasons {
            match self.filtered.iter_mut().find(|(other, _)| other == reason) {
                Some((_, count)) => *count += 1,
                None => self.filtered.push((*reason, 1)),
            }
        }
    }
}

/// How far a plan may still go.
enum Goal<'a> {
    None,
    Count(usize),
    Tag { tag: &'a str, reached: bool },
}

impl<'a> Goal<'a> {
    fn of(target: &'a UpdateTarget) -> Self {
        match target {
            UpdateTarget::All => Self::None,
            UpdateTarget::Count(count) => Self::Count(*count),
            UpdateTarget::Tag(tag) => Self::Tag { tag, reached: false },
        }
    }

    /// Why a changeset that is due lies behind the goal; none if it does not. Those that are left out anyway do not count.
    fn passed(&mut self, set: &ChangeSet, left_out: bool) -> Option<FilterReason> {
        match self {
            Self::Tag { reached: true, .. } => Some(FilterReason::AfterTag),
            _ if left_out => None,
            Self::None => None,
            Self::Count(0) => Some(FilterReason::AfterCount),
            Self::Count(left) => {
                *left -= 1;
                None
            }
            Self::Tag { tag, reached } => {
                *reached = set.tag() == Some(*tag);
                None
            }
        }
    }

    /// Goes by a changeset that ran before: its row may have the tag.
    fn pass(&mut self, row: Option<&HistoryRow>) {
        if let (Self::Tag { tag, reached }, Some(row)) = (self, row) {
            *reached |= row.has_tag(tag);
        }
    }
}

/// What an update of a database with this history would do.
///
/// # Errors
/// When the changelog must not be run on it: a changeset changed after it was run, occurs twice, or lacks something.
pub fn plan(changelog: &Changelog, history: &History, options: &Options) -> Result<Plan, ValidationError> {
    plan_to(changelog, history, options, &UpdateTarget::All)
}

/// What an update up to `target` would do.
///
/// # Errors
/// As [`plan`]: also when what is wrong lies behind the target.
pub fn plan_to(
    changelog: &Changelog,
    history: &History,
    options: &Options,
    target: &UpdateTarget,
) -> Result<Plan, ValidationError> {
    decide(changelog, history, options, target, should_run)
}

/// The same of those changesets alone that never ran.
///
/// # Errors
/// As [`plan_to`].
pub(crate) fn plan_new_to(
    changelog: &Changelog,
    history: &History,
    options: &Options,
    target: &UpdateTarget,
) -> Result<Plan, ValidationError> {
    decide(changelog, history, options, target, |_, row| row.is_none().then_some(Reason::New))
}

/// What Liquibase leaves out and counts is as recorded in the cases `own-filters-*`.
fn decide(
    changelog: &Changelog,
    history: &History,
    options: &Options,
    target: &UpdateTarget,
    due: impl Fn(&ChangeSet, Option<&HistoryRow>) -> Option<Reason>,
) -> Result<Plan, ValidationError> {
    let mut errors = ValidationError::default();
    let mut plan = Plan::default();
    let mut goal = Goal::of(target);
    let mut seen: HashSet<ChangeSetKey> = HashSet::new();
    let mut passed_over = 0;
    for (index, set) in changelog.changesets.iter().enumerate() {
        let row = history.find_key(&set.key());
        if set.is_visible() && !seen.insert(set.key()) {
            errors.duplicates.push(set.id.clone());
        }
        plan.steps.extend(row.and_then(|row| upgrade(index, set, row)));
        if set.is_passed_over() {
            passed_over += 1;
            continue;
        }
        let mut reasons = set.left_out(options);
        let left_out = !reasons.is_empty();
        let mark_ran = !left_out && !validate(set, row, &mut errors);
        if let Some(reason) = due(set, row) {
            reasons.extend(goal.passed(set, left_out));
            if reasons.is_empty() {
                plan.steps.push(Step::Run { index, reason, mark_ran });
                plan.pending.push(Pending { changeset: set.id.clone(), reason });
            } else {
                plan.leave_out(&reasons);
            }
        } else {
            plan.previously_run += 1;
            goal.pass(row);
            if left_out && *target == UpdateTarget::All {
                reasons.push(FilterReason::AlreadyRan);
                reasons.sort_unstable();
                plan.leave_out(&reasons);
            }
        }
    }
    // Liquibase comes back to those when everything else is counted.
    (0..passed_over).for_each(|_| plan.leave_out(&[FilterReason::Dbms]));
    if errors.is_empty() { Ok(plan) } else { Err(errors) }
}

fn should_run(set: &ChangeSet, row: Option<&HistoryRow>) -> Option<Reason> {
    let Some(row) = row else {
        return Some(Reason::New);
    };
    if set.run_always {
        return Some(Reason::RunAlways);
    }
    // A sum that validation accepts for a validCheckSum has changed all the same.
    let changed = set.run_on_change && row.parsed_checksum().is_some_and(|stored| set.checksum_like(&stored) != stored);
    changed.then_some(Reason::Changed)
}

/// Raises the stored sum to version 9, unless the changeset runs again and gets a new one anyway.
fn upgrade(index: usize, set: &ChangeSet, row: &HistoryRow) -> Option<Step> {
    let current = row.parsed_checksum().is_some_and(|stored| stored.version() >= ChecksumVersion::V9.number());
    if current || should_run(set, Some(row)).is_some() {
        return None;
    }
    Some(Step::Upgrade { index, checksum: set.checksum(ChecksumVersion::V9) })
}

/// Collects what is wrong with a changeset; false if it is to be marked as run because of it.
fn validate(set: &ChangeSet, row: Option<&HistoryRow>, errors: &mut ValidationError) -> bool {
    // What ran and will not run again need not be something that could run here.
    let runs = row.is_none() || set.run_always || set.run_on_change;
    let invalid: Vec<String> = set.changes.iter().flat_map(crate::change::Change::invalid).collect();
    if runs && !invalid.is_empty() {
        if set.on_validation_fail == OnValidationFail::MarkRan {
            return false;
        }
        errors.invalid.extend(invalid.into_iter().map(|message| (message, set.id.clone())));
    }
    if set.id.id.trim().is_empty() || set.id.id == MISSING_ID {
        errors.invalid.push(("ChangeSet Id is empty".to_owned(), set.id.clone()));
    }
    if set.id.author == MISSING_ID && should_run(set, row).is_some() {
        errors.invalid.push(("ChangeSet Author is empty".to_owned(), set.id.clone()));
    }
    if let Some(executor) = set.run_with.as_ref().filter(|_| should_run(set, row).is_some()) {
        errors.executors.push((executor.clone(), set.id.clone()));
    }
    let stored = row.and_then(HistoryRow::parsed_checksum);
    if set.run_always || set.run_on_change || set.accepts(stored.as_ref()) {
        return true;
    }
    if set.on_validation_fail == OnValidationFail::MarkRan {
        return false;
    }
    if let Some(stored) = stored {
        errors.checksums.push(ChecksumMismatch {
            changeset: set.id.clone(),
            current: set.checksum_like(&stored).to_string(),
            stored: stored.to_string(),
        });
    }
    true
}

/// How far to roll back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RollbackTarget {
    /// The newest so many changesets.
    Count(usize),
    /// Everything after the newest row with that tag, in any case; the row itself too if it is nothing but a tag.
    Tag(String),
    /// Everything that was run later than this, written `2026-01-31 10:00:00` in the time zone of the database session.
    Date(String),
    /// Exactly these.
    ChangeSets(Vec<ChangeSetId>),
}

/// One changeset to be rolled back, with its row.
#[derive(Debug, Clone)]
pub(crate) struct RollbackStep<'a> {
    pub(crate) set: &'a ChangeSet,
    pub(crate) row: &'a HistoryRow,
}

/// What a rollback would undo, newest first.
///
/// # Errors
/// When the changelog does not fit the history, or no row has the tag.
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
    plan(changelog, history, options)?;
    let rows = match target {
        RollbackTarget::Count(_) | RollbackTarget::Date(_) | RollbackTarget::ChangeSets(_) => history.rows(),
        RollbackTarget::Tag(tag) => after_tag(history.rows(), tag)?,
    };
    let asked_for = |row: &HistoryRow| match target {
        RollbackTarget::Count(_) | RollbackTarget::Tag(_) => true,
        RollbackTarget::Date(date) => row.date_executed.as_str() > date.as_str(),
        RollbackTarget::ChangeSets(sets) => sets.iter().any(|id| id.key() == row.key()),
    };
    let mut seen = HashSet::new();
    let steps = rows.iter().rev().filter(|row| asked_for(row)).filter_map(|row| {
        let set = changelog.find(&row.key())?;
        let meant = set.left_out(options).is_empty() && seen.insert(row.key());
        meant.then_some(RollbackStep { set, row })
    });
    Ok(match target {
        RollbackTarget::Count(count) => steps.take(*count).collect(),
        RollbackTarget::Tag(_) | RollbackTarget::Date(_) | RollbackTarget::ChangeSets(_) => steps.collect(),
    })
}

fn after_tag<'a>(rows: &'a [HistoryRow], tag: &str) -> Result<&'a [HistoryRow], Error> {
    let wanted = tag.to_lowercase();
    let tagged = |row: &HistoryRow| row.tag.as_deref().is_some_and(|tag| tag.to_lowercase() == wanted);
    let Some(last) = rows.iter().rposition(tagged) else {
        return Err(Error::UnknownTag { tag: tag.to_owned() });
    };
    let only_tag = rows[last].description.as_deref() == Some("tagDatabase");
    Ok(&rows[if only_tag { last } else { last + 1 }..])
}
