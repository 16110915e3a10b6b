//! Going forward: update, and recording changesets without running them.
//!
//! A changeset and its row are one transaction; its preconditions are checked in another one, which is rolled back. A failure
//! ends the run with the report of what was done before it.

use tokio_postgres::{Client, GenericClient};

use crate::apply;
use crate::change::Change;
use crate::changelog::Changelog;
use crate::changeset::ChangeSet;
use crate::changeset_id::ChangeSetId;
use crate::checksum::ChecksumVersion;
use crate::error::{Error, ValidationError, postgres_message};
use crate::history::statement::Entry;
use crate::history::table::Tables;
use crate::history::{History, HistoryRow};
use crate::lock::Lock;
use crate::options::{Event, Options};
use crate::plan::{Plan, RollbackTarget, Step, UpdateTarget, plan_new_to, plan_to};
use crate::precondition::{CheckContext, Consequence, Preconditions, Verdict};
use crate::report::{Outcome, Report};
use crate::rollback::rollback;
use crate::session::{check_changelog, deployment_id, prepare, restore_search_path, search_path, set_search_path};

/// A changeset does not wait for the disk: should the machine fail, it is lost together with its row and runs again. The
/// release of the lock row, which ends every run, commits synchronously and takes all before it to the disk.
const BEGIN: &str = "BEGIN; SET LOCAL synchronous_commit = off; ";

/// Brings the database up to date with the changelog.
///
/// The Liquibase tables are made if they are missing. With nothing to do, nothing else is written.
///
/// # Errors
/// [`Error::Validation`] before anything ran; [`Error::ChangeSet`] with the report of what ran before the one that failed.
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
    carry_out(lock, &Asked { changelog, options, target, mode: Mode::Run }).await
}

/// Updates, rolls back what that ran, and updates again: so the rollbacks are known to work. The report is of the last update.
///
/// # Errors
/// As [`update`], and [`Error::RollbackImpossible`] when something cannot be rolled back: then it stays as it is.
pub async fn update_testing_rollback(
    lock: &mut Lock<'_>,
    changelog: &Changelog,
    options: &Options,
) -> Result<Report, Error> {
    let first = update(lock, changelog, options).await?;
    let new = |(id, outcome): &(ChangeSetId, Outcome)| (*outcome == Outcome::Executed).then(|| id.clone());
    let ran: Vec<ChangeSetId> = first.changesets.iter().filter_map(new).collect();
    if ran.is_empty() {
        return Ok(first);
    }
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
    carry_out(lock, &Asked { changelog, options, target, mode: Mode::Record }).await
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

/// What a command was asked to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) changelog: &'a Changelog,
    pub(crate) options: &'a Options,
    pub(crate) target: &'a UpdateTarget,
    pub(crate) mode: Mode,
}

/// What is done with changesets that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They run.
    Run,
    /// Those that never ran are recorded as run.
    Record,
}

impl Asked<'_> {
    /// What is to be done on a database with this history.
    pub(crate) fn plan(&self, history: &History) -> Result<Plan, ValidationError> {
        match self.mode {
            Mode::Run => plan_to(self.changelog, history, self.options, self.target),
            Mode::Record => plan_new_to(self.changelog, history, self.options, self.target),
        }
    }
}

async fn carry_out(lock: &mut Lock<'_>, asked: &Asked<'_>) -> Result<Report, Error> {
    let tables = Tables::locate(&*lock.client()).await?;
    prepare(lock.client(), &tables).await?;
    let (filled, history) = fill_missing_checksums(lock.client(), &tables, asked.changelog).await?;
    check_changelog(lock.client(), &tables, asked.changelog, &history).await?;
    let first = asked.plan(&history)?;
    if first.is_empty() {
        // A process killed between its last changeset and the end has left the row, and nobody else would come by.
        lock.heal_row(&tables).await?;
        return Ok(Report { checksums_upgraded: filled, ..report_of(&first) });
    }
    lock.take_row(&tables).await?;
    let done = run_locked(lock.client(), &tables, asked, filled).await;
    released(lock, &tables, done).await
}

/// Gives the row back, whatever came of the work; the work's own failure is the one that is told.
pub(crate) async fn released(
    lock: &mut Lock<'_>,
    tables: &Tables,
    done: Result<Report, Error>,
) -> Result<Report, Error> {
    match (done, lock.release_row(tables).await) {
        (Ok(report), Ok(())) => Ok(report),
        (Ok(_), Err(error)) => Err(error),
        (Err(failure), Ok(())) => Err(failure),
        (Err(failure), Err(error)) => {
            tracing::warn!(%error, "the migration lock row could not be released; the next run takes it over");
            Err(failure)
        }
    }
}

/// Fills in checksums that were cleared: the content of today is taken for what was run. Gives the history as it is then.
async fn fill_missing_checksums(
    client: &Client,
    tables: &Tables,
    changelog: &Changelog,
) -> Result<(usize, History), Error> {
    let history = tables.read(client).await?;
    let mut filled = 0;
    for row in history.rows().iter().filter(|row| row.checksum.is_none()) {
        if let Some(set) = changelog.find(&row.key()) {
            tables.set_checksum(client, row, &set.checksum(ChecksumVersion::V9)).await?;
            filled += 1;
        }
    }
    let history = if filled == 0 { history } else { tables.read(client).await? };
    Ok((filled, history))
}

/// The history and the plan, after all validation.
pub(crate) async fn validated(
    client: &mut Client,
    tables: &Tables,
    asked: &Asked<'_>,
) -> Result<(Plan, History), Error> {
    let history = tables.read(&*client).await?;
    check_changelog(client, tables, asked.changelog, &history).await?;
    Ok((asked.plan(&history)?, history))
}

fn report_of(plan: &Plan) -> Report {
    Report {
        previously_run: plan.previously_run(),
        filtered_out: plan.filtered_out(),
        filtered: plan.filtered().to_vec(),
        ..Report::default()
    }
}

/// The run proper. Planned anew: another tool may have finished while the row was waited for.
async fn run_locked(client: &mut Client, tables: &Tables, asked: &Asked<'_>, filled: usize) -> Result<Report, Error> {
    let (plan, history) = validated(client, tables, asked).await?;
    let search_path = search_path(client).await?;
    let mut run = Run {
        client,
        tables,
        asked,
        search_path: &search_path,
        next_order: history.next_order(),
        history,
        deployment_id: deployment_id(),
        report: Report { checksums_upgraded: filled, ..report_of(&plan) },
    };
    let done = run.all(&plan.steps).await;
    let report = run.report;
    restore_search_path(client, &search_path).await;
    done.map(|()| report)
}

/// A run under way.
struct Run<'a> {
    client: &'a mut Client,
    tables: &'a Tables,
    asked: &'a Asked<'a>,
    search_path: &'a str,
    history: History,
    next_order: i32,
    deployment_id: String,
    report: Report,
}

impl Run<'_> {
    async fn all(&mut self, steps: &[Step]) -> Result<(), Error> {
        for step in steps {
            match step {
                Step::Upgrade { index, checksum } => {
                    let set = &self.asked.changelog.changesets[*index];
                    if let Some(row) = self.history.find_key(&set.key()) {
                        tracing::info!(changeset = %set.id, "upgrading checksum");
                        self.tables.set_checksum(&*self.client, row, checksum).await?;
                        self.report.checksums_upgraded += 1;
                    }
                }
                Step::Run { index, mark_ran, .. } => {
                    let changelog = self.asked.changelog;
                    self.one(&changelog.changesets[*index], *mark_ran).await?;
                }
            }
        }
        Ok(())
    }

    async fn one(&mut self, set: &ChangeSet, mark_ran: bool) -> Result<(), Error> {
        let outcome = match self.asked.mode {
            Mode::Record => self.record_only(set, "EXECUTED").await,
            Mode::Run => {
                tracing::info!(changeset = %set.id, "running changeset");
                self.asked.options.tell(&Event::Running(&set.id));
                if mark_ran { self.record_only(set, "MARK_RAN").await } else { self.checked(set).await }
            }
        };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(reason) if !set.fail_on_error && !self.client.is_closed() => {
                tracing::warn!(changeset = %set.id, reason, "a changeset failed; going on, as failOnError says");
                self.asked.options.tell(&Event::FailedAndIgnored { changeset: &set.id, reason: &reason });
                Outcome::FailedAndIgnored { reason }
            }
            Err(reason) => {
                let report = Box::new(std::mem::take(&mut self.report));
                return Err(Error::ChangeSet { changeset: set.id.clone(), reason, report });
            }
        };
        if matches!(outcome, Outcome::Executed | Outcome::Reran | Outcome::MarkedRan) {
            self.report.deployment_id = Some(self.deployment_id.clone());
        }
        self.report.changesets.push((set.id.clone(), outcome));
        Ok(())
    }

    /// Checks the preconditions, and does what they say.
    async fn checked(&mut self, set: &ChangeSet) -> Result<Outcome, String> {
        match self.verdict(set).await? {
            Verdict::Holds => self.execute(set).await,
            Verdict::Fails(Consequence::Warn, message) => {
                tracing::warn!(changeset = %set.id, %message, "running despite a failed precondition, as onFail says");
                self.asked.options.tell(&Event::Despite { changeset: &set.id, message: &message });
                self.execute(set).await
            }
            Verdict::Fails(Consequence::MarkRan, message) => {
                tracing::info!(changeset = %set.id, %message, "marked as run because of a precondition");
                self.record_only(set, "MARK_RAN").await
            }
            Verdict::Fails(Consequence::Continue, reason) => {
                tracing::info!(changeset = %set.id, reason, "skipped because of a precondition");
                Ok(Outcome::Skipped { reason })
            }
            Verdict::Fails(Consequence::Halt, message) => Err(halted(&message)),
        }
    }

    async fn verdict(&mut self, set: &ChangeSet) -> Result<Verdict, String> {
        match &set.preconditions {
            None => Ok(Verdict::Holds),
            Some(asked) => verdict(self.client, self.tables, self.search_path, &self.history, set, asked).await,
        }
    }

    /// Runs the changes and records them.
    async fn execute(&mut self, set: &ChangeSet) -> Result<Outcome, String> {
        let path = set_search_path(self.tables, self.search_path);
        let ran_before = self.history.find_key(&set.key());
        let exec_type = if ran_before.is_some() { "RERAN" } else { "EXECUTED" };
        let row = self.entry(exec_type).row(set);
        let record = match ran_before {
            Some(old) => self.tables.rerun_sql(old, &row),
            None => self.tables.insert_sql(&row),
        };
        let outcome = if ran_before.is_some() { Outcome::Reran } else { Outcome::Executed };
        let (begin, end) = if set.run_in_transaction { (BEGIN, "; COMMIT") } else { ("", "") };
        let done = match apply::known(set, &self.tables.schema)? {
            Some(statements) if set.run_in_transaction => {
                apply::at_once(&*self.client, &format!("{begin}{path}"), &statements, &record, end).await
            }
            _ => {
                let begun = self.client.batch_execute(&format!("{begin}{path}")).await;
                begun.map_err(|error| postgres_message(&error))?;
                match apply::changes(&*self.client, set, &self.tables.schema).await {
                    Ok(()) => write_row(&*self.client, &record, end).await,
                    failed => failed,
                }
            }
        };
        if done.is_err() && set.run_in_transaction && !self.client.is_closed() {
            self.client.batch_execute("ROLLBACK").await.map_err(|error| postgres_message(&error))?;
        }
        done?;
        self.recorded(row, outcome == Outcome::Executed);
        set.changes.iter().filter_map(Change::output).for_each(|output| self.asked.options.tell(&output));
        Ok(outcome)
    }

    /// Records a changeset as run. Also one that has a row already: so does Liquibase.
    async fn record_only(&mut self, set: &ChangeSet, exec_type: &'static str) -> Result<Outcome, String> {
        let row = self.entry(exec_type).row(set);
        write_row(&*self.client, &self.tables.insert_sql(&row), "").await?;
        self.recorded(row, true);
        Ok(if exec_type == "MARK_RAN" { Outcome::MarkedRan } else { Outcome::Executed })
    }

    fn entry(&self, exec_type: &'static str) -> Entry<'_> {
        Entry { order: self.next_order, exec_type, deployment_id: &self.deployment_id }
    }

    /// Keeps count of a row that was written.
    fn recorded(&mut self, row: HistoryRow, is_new: bool) {
        self.next_order = self.next_order.saturating_add(1);
        if is_new {
            self.history.add(row);
        }
    }
}

/// Whether the preconditions of a changeset hold on the database as it is; what their SQL does is undone.
pub(crate) async fn verdict(
    client: &mut Client,
    tables: &Tables,
    search_path: &str,
    history: &History,
    set: &ChangeSet,
    preconditions: &Preconditions,
) -> Result<Verdict, String> {
    let failed = |error| postgres_message(&error);
    let transaction = client.transaction().await.map_err(failed)?;
    transaction.batch_execute(&set_search_path(tables, search_path)).await.map_err(failed)?;
    let context = CheckContext {
        transaction: &transaction,
        history,
        schema: &tables.schema,
        quoting: set.quoting,
        file: &set.id.file,
    };
    let verdict = preconditions.check(&context).await;
    transaction.rollback().await.map_err(failed)?;
    Ok(verdict)
}

/// Why a changeset stops the run whose preconditions failed, as Liquibase says it.
pub(crate) fn halted(message: &str) -> String {
    format!("\n          {message}\n  - Caused by: Preconditions Failed")
}

/// Runs the statement that writes the row of a changeset, and what ends its transaction with it.
async fn write_row(client: &impl GenericClient, statement: &str, end: &str) -> Result<(), String> {
    let failed = |error| format!("{} [Failed SQL: (0) {statement}]", postgres_message(&error));
    client.batch_execute(&format!("{statement}{end}")).await.map_err(failed)
}
