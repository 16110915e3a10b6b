//! What an update would do.
//!
//! Planning is pure: it takes a changelog, a history and options, and returns steps. It also contains all validation that needs
//! no database.

use std::collections::{HashMap, HashSet};

use crate::change::Change;
use crate::changelog::Changelog;
use crate::changeset::{ChangeSet, OnValidationFail};
use crate::changeset_id::{ChangeSetId, ChangeSetKey, MISSING_ID};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::filter::FilterReason;
use crate::history::{History, HistoryRow};
use crate::options::Options;
use crate::target::UpdateTarget;
use crate::validation_error::{ChecksumMismatch, ValidationError};
use crate::validation_problem::ValidationProblem;

/// Why a changeset runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunReason {
    /// The history does not contain it.
    New,
    /// It has `runAlways="true"`.
    RunAlways,
    /// It has `runOnChange="true"`, and its checksum changed.
    Changed,
}

/// A changeset that an update would run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingChangeSet {
    /// The changeset.
    pub changeset: ChangeSetId,
    /// Why it runs.
    pub reason: RunReason,
}

/// One step of an update. The index is that of the changeset in its changelog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Run the changeset; with `mark_ran`, only record it as run.
    Run { index: usize, mark_ran: bool },
    /// Write the checksum into the changeset's row.
    UpgradeChecksum { index: usize, checksum: Checksum },
}

/// What an update would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub(crate) steps: Vec<Step>,
    pending: Vec<PendingChangeSet>,
    previously_run: usize,
    filtered_out: usize,
    filter_counts: Vec<(FilterReason, usize)>,
}

impl Plan {
    /// Whether there is nothing to do, not even a checksum to upgrade to version 9.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The changesets to run, in order.
    pub fn pending(&self) -> &[PendingChangeSet] {
        &self.pending
    }

    /// How many changesets ran before and do not run again.
    pub fn previously_run(&self) -> usize {
        self.previously_run
    }

    /// How many changesets are filtered out.
    pub fn filtered_out(&self) -> usize {
        self.filtered_out
    }

    /// How many changesets are filtered out for each reason, in the order in which the reasons first occurred. A changeset that
    /// has several reasons counts for each.
    pub fn filter_counts(&self) -> &[(FilterReason, usize)] {
        &self.filter_counts
    }

    fn filter_out(&mut self, reasons: &[FilterReason]) {
        self.filtered_out += 1;
        for reason in reasons {
            match self.filter_counts.iter_mut().find(|(other, _)| other == reason) {
                Some((_, count)) => *count += 1,
                None => self.filter_counts.push((*reason, 1)),
            }
        }
    }

    fn count(&mut self, decisions: Decisions) {
        for Decision { is_previously_run, reasons } in decisions.in_order {
            self.previously_run += usize::from(is_previously_run);
            if !reasons.is_empty() {
                self.filter_out(&reasons);
            }
        }
    }
}

/// What was decided about a changeset.
struct Decision {
    is_previously_run: bool,
    /// Why it is filtered out; empty if it is not.
    reasons: Vec<FilterReason>,
}

/// The decisions as Liquibase counts them: by identity, so that of several changesets with one identity the last counts.
#[derive(Default)]
struct Decisions {
    in_order: Vec<Decision>,
    by_key: HashMap<ChangeSetKey, usize>,
}

impl Decisions {
    fn add(&mut self, key: ChangeSetKey, decision: Decision) {
        match self.by_key.get(&key) {
            Some(index) => self.in_order[*index] = decision,
            None => {
                self.by_key.insert(key, self.in_order.len());
                self.in_order.push(decision);
            }
        }
    }
}

/// How much of a plan's target remains.
enum Remaining<'a> {
    Unlimited,
    Count(usize),
    UpToTag { tag: &'a str, is_reached: bool },
}

impl<'a> Remaining<'a> {
    fn of(target: &'a UpdateTarget) -> Self {
        match target {
            UpdateTarget::All => Self::Unlimited,
            UpdateTarget::Count(count) => Self::Count(*count),
            UpdateTarget::Tag(tag) => Self::UpToTag { tag, is_reached: false },
        }
    }

    /// Why a changeset that is due lies beyond the target; `None` if it does not. A changeset that is filtered out for another
    /// reason does not count.
    fn take(&mut self, set: &ChangeSet, is_filtered_out: bool) -> Option<FilterReason> {
        match self {
            Self::UpToTag { is_reached: true, .. } => Some(FilterReason::AfterTag),
            _ if is_filtered_out => None,
            Self::Unlimited => None,
            Self::Count(0) => Some(FilterReason::AfterCount),
            Self::Count(left) => {
                *left -= 1;
                None
            }
            Self::UpToTag { tag, is_reached } => {
                *is_reached = set.tag() == Some(*tag);
                None
            }
        }
    }

    /// Passes a changeset that ran before: its row may have the tag.
    fn pass(&mut self, row: Option<&HistoryRow>) {
        if let (Self::UpToTag { tag, is_reached }, Some(row)) = (self, row) {
            *is_reached |= row.has_tag(tag);
        }
    }
}

/// What an update of a database with this history would do.
///
/// ```
/// use liquibase_compat::{Changelog, EmbeddedSource, History, Options, RunReason, plan};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let source = EmbeddedSource::of_texts(&[(
///     "log.xml",
///     r#"<databaseChangeLog><changeSet id="1" author="me"><sql>select 1</sql></changeSet></databaseChangeLog>"#,
/// )]);
/// let changelog = Changelog::load(&source, "log.xml", &Options::default())?;
/// let plan = plan(&changelog, &History::default(), &Options::default())?;
/// assert_eq!(plan.pending()[0].changeset.to_string(), "log.xml::1::me");
/// assert_eq!(plan.pending()[0].reason, RunReason::New);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When the changelog must not run on this database: a changeset changed after it ran, occurs twice, or lacks something.
pub fn plan(changelog: &Changelog, history: &History, options: &Options) -> Result<Plan, ValidationError> {
    plan_to(changelog, history, options, &UpdateTarget::All)
}

/// What an update up to `target` would do.
///
/// # Errors
/// As [`plan`], even if the invalid changeset lies beyond the target.
pub fn plan_to(
    changelog: &Changelog,
    history: &History,
    options: &Options,
    target: &UpdateTarget,
) -> Result<Plan, ValidationError> {
    plan_due(changelog, history, options, target, Execution::Run, run_reason)
}

/// As [`plan_to`], for a script, in which a program to run is a comment.
///
/// # Errors
/// As [`plan_to`].
pub(crate) fn plan_script_to(
    changelog: &Changelog,
    history: &History,
    options: &Options,
    target: &UpdateTarget,
) -> Result<Plan, ValidationError> {
    plan_due(changelog, history, options, target, Execution::None, run_reason)
}

/// A plan that contains only changesets that never ran.
///
/// # Errors
/// As [`plan_to`].
pub(crate) fn plan_new_to(
    changelog: &Changelog,
    history: &History,
    options: &Options,
    target: &UpdateTarget,
) -> Result<Plan, ValidationError> {
    plan_due(changelog, history, options, target, Execution::None, |_, row| row.is_none().then_some(RunReason::New))
}

/// What is filtered out, and how it is counted, follows Liquibase; it is recorded in the cases `own-filters-*`.
fn plan_due(
    changelog: &Changelog,
    history: &History,
    options: &Options,
    target: &UpdateTarget,
    execution: Execution,
    due: impl Fn(&ChangeSet, Option<&HistoryRow>) -> Option<RunReason>,
) -> Result<Plan, ValidationError> {
    let mut errors = ValidationError::default();
    let mut plan = Plan::default();
    let mut remaining = Remaining::of(target);
    let mut seen: HashSet<ChangeSetKey> = HashSet::new();
    let mut for_other_databases = 0;
    let mut decisions = Decisions::default();
    for (index, set) in changelog.changesets.iter().enumerate() {
        let key = set.key();
        let row = history.find_key(&key);
        let mut reasons = set.filter_reasons(options);
        let is_filtered_out = !reasons.is_empty();
        // Changesets of which at most one takes part in the run may have one identity.
        if !is_filtered_out && !seen.insert(key.clone()) && !options.allow_duplicate_ids {
            errors.duplicates.push(set.id.clone());
        }
        if std::ptr::eq(set, changelog.find(&key, options).unwrap_or(set)) {
            plan.steps.extend(row.and_then(|row| checksum_upgrade(index, set, row)));
        }
        if set.is_dropped_by_dbms() {
            for_other_databases += 1;
            continue;
        }
        let mark_ran = !is_filtered_out && validate(set, row, execution, &mut errors) == Validity::MarkRan;
        let due = due(set, row);
        if let Some(reason) = due {
            reasons.extend(remaining.take(set, is_filtered_out));
            if reasons.is_empty() {
                plan.steps.push(Step::Run { index, mark_ran });
                plan.pending.push(PendingChangeSet { changeset: set.id.clone(), reason });
            }
        } else {
            remaining.pass(row);
            if is_filtered_out && *target == UpdateTarget::All {
                reasons.push(FilterReason::AlreadyRan);
                reasons.sort_unstable();
            } else {
                reasons.clear();
            }
        }
        decisions.add(key, Decision { is_previously_run: due.is_none(), reasons });
    }
    plan.count(decisions);
    // Liquibase counts changesets for other databases after all others.
    (0..for_other_databases).for_each(|_| plan.filter_out(&[FilterReason::Dbms]));
    if errors.is_empty() { Ok(plan) } else { Err(errors) }
}

fn run_reason(set: &ChangeSet, row: Option<&HistoryRow>) -> Option<RunReason> {
    let Some(row) = row else {
        return Some(RunReason::New);
    };
    if set.run_always {
        return Some(RunReason::RunAlways);
    }
    // A checksum that validation accepts because of validCheckSum still counts as changed here.
    let changed = set.run_on_change && row.parsed_checksum().is_some_and(|stored| set.checksum_like(&stored) != stored);
    changed.then_some(RunReason::Changed)
}

/// Upgrades the stored checksum to version 9, unless the changeset runs again and gets a new one anyway.
fn checksum_upgrade(index: usize, set: &ChangeSet, row: &HistoryRow) -> Option<Step> {
    let is_current = row.parsed_checksum().is_some_and(|stored| stored.version() >= ChecksumVersion::V9.number());
    if is_current || run_reason(set, Some(row)).is_some() {
        return None;
    }
    Some(Step::UpgradeChecksum { index, checksum: set.checksum(ChecksumVersion::V9) })
}

/// Whether the command runs the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Execution {
    Run,
    /// It only records them or writes a script.
    None,
}

/// What validation of one changeset leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Validity {
    /// It runs, or the errors that were found refuse the whole run.
    Unchanged,
    /// It is invalid, and `onValidationFail` says that it is then marked as run.
    MarkRan,
}

/// Collects the errors of one changeset.
fn validate(set: &ChangeSet, row: Option<&HistoryRow>, execution: Execution, errors: &mut ValidationError) -> Validity {
    // A changeset that ran and will not run again does not have to be able to run here.
    let may_run = row.is_none() || set.run_always || set.run_on_change;
    let checked = if may_run { set.changes.as_slice() } else { &[] };
    let mut invalid: Vec<ValidationProblem> = checked.iter().flat_map(Change::problems).collect();
    if execution == Execution::Run {
        let programs = checked.iter().filter(|change| change.runs_program());
        invalid.extend(programs.map(|_| ValidationProblem::ExecuteCommand));
    }
    if !invalid.is_empty() {
        // As in Liquibase, an error about a type ends the run at once, whatever `onValidationFail` says.
        let ends_run = invalid.iter().any(|problem| matches!(problem, ValidationProblem::DataType(_)));
        if set.on_validation_fail == OnValidationFail::MarkRan && !ends_run {
            return Validity::MarkRan;
        }
        errors.invalid.extend(invalid.into_iter().map(|problem| (problem, set.id.clone())));
    }
    if set.id.id.trim().is_empty() || set.id.id == MISSING_ID {
        errors.invalid.push((ValidationProblem::NoId, set.id.clone()));
    }
    if set.id.author == MISSING_ID && run_reason(set, row).is_some() {
        errors.invalid.push((ValidationProblem::NoAuthor, set.id.clone()));
    }
    if let Some(executor) = set.run_with.as_ref().filter(|_| run_reason(set, row).is_some()) {
        errors.executors.push((executor.clone(), set.id.clone()));
    }
    let stored = row.and_then(HistoryRow::parsed_checksum);
    if set.run_always || set.run_on_change || set.accepts_checksum(stored.as_ref()) {
        return Validity::Unchanged;
    }
    if let Some(stored) = stored {
        errors.checksums.push(ChecksumMismatch {
            changeset: set.id.clone(),
            current: set.checksum_like(&stored).to_string(),
            stored: stored.to_string(),
        });
    }
    Validity::Unchanged
}
