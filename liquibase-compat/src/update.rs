//! Forward commands: update, and recording changesets as run without running them.
//!
//! A changeset and its row are one transaction. Its preconditions are checked in another transaction, which is rolled back. An error
//! ends the run, and carries the report of what was done before it.

use tokio_postgres::{Client, GenericClient};

use crate::apply;
use crate::change::Change;
use crate::changelog::Changelog;
use crate::changeset::ChangeSet;
use crate::changeset_error::ChangeSetError;
use crate::changeset_id::ChangeSetId;
use crate::checksum::ChecksumVersion;
use crate::error::Error;
use crate::event::Event;
use crate::history::History;
use crate::history::recorder::{ExecType, Recorder};
use crate::history::tables::Tables;
use crate::lock::Lock;
use crate::options::Options;
use crate::plan::{Plan, Step, plan_new_to, plan_to};
use crate::postgres_error::{PostgresError, StatementError};
use crate::precondition::check::{CheckContext, Verdict};
use crate::precondition::{Consequence, Preconditions};
use crate::report::{Outcome, Report};
use crate::rollback::rollback;
use crate::session::{
    Purpose, check_changelog, deployment_id, prepare, release_row_after, restore_search_path, search_path,
    set_search_path_sql,
};
use crate::target::{RollbackTarget, UpdateTarget};
use crate::validation_error::ValidationError;

/// A changeset does not wait for the disk: if the machine crashes, the changeset is lost together with its row, and runs again. The
/// release of the lock row, which ends every run, commits synchronously and so makes all earlier transactions durable.
const BEGIN: &str = "BEGIN; SET LOCAL synchronous_commit = off; ";

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

/// Updates, rolls back what ran, and updates again, which proves that the rollbacks work. The report is that of the last update.
///
/// # Errors
/// As [`update`], and [`Error::RollbackImpossible`] when a changeset cannot be rolled back; it then stays applied.
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

/// A forward command and its arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CommandRequest<'a> {
    pub(crate) changelog: &'a Changelog,
    pub(crate) options: &'a Options,
    pub(crate) target: &'a UpdateTarget,
    pub(crate) mode: Mode,
}

/// What a forward command does with the changesets that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Run them.
    Run,
    /// Record those that never ran as run.
    Record,
}

impl CommandRequest<'_> {
    /// What the command would do on a database with this history.
    pub(crate) fn plan(&self, history: &History) -> Result<Plan, ValidationError> {
        match self.mode {
            Mode::Run => plan_to(self.changelog, history, self.options, self.target),
            Mode::Record => plan_new_to(self.changelog, history, self.options, self.target),
        }
    }
}

async fn execute(lock: &mut Lock<'_>, request: &CommandRequest<'_>) -> Result<Report, Error> {
    let tables = Tables::locate(&*lock.client(), &request.options.locations).await?;
    prepare(lock.client(), &tables).await?;
    let (filled, history) = fill_missing_checksums(lock.client(), &tables, request).await?;
    check_changelog(lock.client(), &tables, request.changelog, &history, Purpose::Run).await?;
    let plan = request.plan(&history)?;
    if plan.is_empty() {
        // A process that was killed after its last changeset left the row locked, and no later run would take it over.
        lock.release_stale_row(&tables).await?;
        return Ok(Report { checksums_upgraded: filled, ..report_of(&plan) });
    }
    lock.take_row(&tables).await?;
    let outcome = run_locked(lock.client(), &tables, request, filled).await;
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

/// The plan and the history, after all validation.
pub(crate) async fn validated_plan(
    client: &mut Client,
    tables: &Tables,
    request: &CommandRequest<'_>,
    purpose: Purpose,
) -> Result<(Plan, History), Error> {
    let history = tables.read(&*client).await?;
    check_changelog(client, tables, request.changelog, &history, purpose).await?;
    Ok((request.plan(&history)?, history))
}

fn report_of(plan: &Plan) -> Report {
    Report {
        previously_run: plan.previously_run(),
        filtered_out: plan.filtered_out(),
        filter_counts: plan.filter_counts().to_vec(),
        ..Report::default()
    }
}

/// Runs the command while the lock row is held. It plans again, because another program may have run changesets while this one
/// waited for the row.
async fn run_locked(
    client: &mut Client,
    tables: &Tables,
    request: &CommandRequest<'_>,
    filled: usize,
) -> Result<Report, Error> {
    let (plan, history) = validated_plan(client, tables, request, Purpose::Run).await?;
    let search_path = search_path(client).await?;
    let mut run = Run {
        client,
        tables,
        request,
        search_path: &search_path,
        recorder: Recorder::new(history, deployment_id()),
        report: Report { checksums_upgraded: filled, ..report_of(&plan) },
    };
    let outcome = run.run_steps(&plan.steps).await;
    let report = run.report;
    restore_search_path(client, &search_path).await;
    outcome.map(|()| report)
}

/// A run in progress.
struct Run<'a> {
    client: &'a mut Client,
    tables: &'a Tables,
    request: &'a CommandRequest<'a>,
    search_path: &'a str,
    recorder: Recorder,
    report: Report,
}

impl Run<'_> {
    async fn run_steps(&mut self, steps: &[Step]) -> Result<(), Error> {
        for step in steps {
            match step {
                Step::UpgradeChecksum { index, checksum } => {
                    let set = &self.request.changelog.changesets[*index];
                    if let Some(row) = self.recorder.history().find_key(&set.key()) {
                        tracing::info!(changeset = %set.id, "upgrading checksum");
                        self.tables.set_checksum(&*self.client, row, checksum).await?;
                        self.report.checksums_upgraded += 1;
                    }
                }
                Step::Run { index, mark_ran } => {
                    let changelog = self.request.changelog;
                    self.run_changeset(&changelog.changesets[*index], *mark_ran).await?;
                }
            }
        }
        Ok(())
    }

    async fn run_changeset(&mut self, set: &ChangeSet, mark_ran: bool) -> Result<(), Error> {
        let outcome = match self.request.mode {
            Mode::Record => self.record_only(set, ExecType::Executed).await,
            Mode::Run => {
                tracing::info!(changeset = %set.id, "running changeset");
                self.request.options.notify(&Event::Running(&set.id));
                if mark_ran { self.record_only(set, ExecType::MarkRan).await } else { self.check_and_run(set).await }
            }
        };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) if !set.fail_on_error && !self.client.is_closed() => {
                let reason = error.to_string();
                tracing::warn!(changeset = %set.id, reason, "a changeset failed; going on, as failOnError says");
                self.request.options.notify(&Event::FailedAndIgnored { changeset: &set.id, reason: &reason });
                Outcome::FailedAndIgnored { reason }
            }
            Err(source) => {
                let report = Box::new(std::mem::take(&mut self.report));
                return Err(Error::ChangeSet { changeset: set.id.clone(), source: Box::new(source), report });
            }
        };
        if matches!(outcome, Outcome::Executed | Outcome::Reran | Outcome::MarkedRan) {
            self.report.deployment_id = Some(self.recorder.deployment_id().to_owned());
        }
        self.report.changesets.push((set.id.clone(), outcome));
        Ok(())
    }

    /// Checks the preconditions, and runs the changeset unless they prevent it.
    async fn check_and_run(&mut self, set: &ChangeSet) -> Result<Outcome, ChangeSetError> {
        match self.verdict(set).await? {
            Verdict::Holds => self.run_changes(set).await,
            Verdict::Fails(Consequence::Warn, error) => {
                let message = error.to_string();
                tracing::warn!(changeset = %set.id, %message, "running despite a failed precondition, as onFail says");
                self.request.options.notify(&Event::PreconditionWarning { changeset: &set.id, message: &message });
                self.run_changes(set).await
            }
            Verdict::Fails(Consequence::MarkRan, message) => {
                tracing::info!(changeset = %set.id, %message, "marked as run because of a precondition");
                self.record_only(set, ExecType::MarkRan).await
            }
            Verdict::Fails(Consequence::Continue, error) => {
                let reason = error.to_string();
                tracing::info!(changeset = %set.id, reason, "skipped because of a precondition");
                Ok(Outcome::Skipped { reason })
            }
            Verdict::Fails(Consequence::Halt, error) => Err(ChangeSetError::Precondition(Box::new(error))),
        }
    }

    async fn verdict(&mut self, set: &ChangeSet) -> Result<Verdict, PostgresError> {
        match &set.preconditions {
            None => Ok(Verdict::Holds),
            Some(preconditions) => {
                let history = self.recorder.history();
                check_preconditions(self.client, self.tables, self.search_path, history, set, preconditions).await
            }
        }
    }

    /// Runs the changes, and writes the row in the same transaction.
    async fn run_changes(&mut self, set: &ChangeSet) -> Result<Outcome, ChangeSetError> {
        let path = set_search_path_sql(self.tables, self.search_path);
        let old = self.recorder.history().find_key(&set.key());
        let is_new = old.is_none();
        let exec_type = if is_new { ExecType::Executed } else { ExecType::Reran };
        let row = self.recorder.next_row(set.row_content(), exec_type);
        let record = match old {
            Some(old) => self.tables.rerun_sql(old, &row),
            None => self.tables.insert_sql(&row),
        };
        let (begin, end) = if set.run_in_transaction { (BEGIN, "; COMMIT") } else { ("", "") };
        let outcome = match apply::static_statements(set, &self.tables.schema)? {
            Some(statements) if set.run_in_transaction => {
                apply::run_pipelined(&*self.client, &format!("{begin}{path}"), &statements, &record, end).await
            }
            _ => {
                self.client.batch_execute(&format!("{begin}{path}")).await?;
                match apply::run_changes(&*self.client, set, &self.tables.schema).await {
                    Ok(()) => write_row(&*self.client, &record, end).await,
                    failed => failed,
                }
            }
        };
        if outcome.is_err() && set.run_in_transaction && !self.client.is_closed() {
            self.client.batch_execute("ROLLBACK").await?;
        }
        outcome?;
        self.recorder.recorded(row, is_new);
        set.changes.iter().filter_map(Change::output).for_each(|output| self.request.options.notify(&output));
        Ok(if is_new { Outcome::Executed } else { Outcome::Reran })
    }

    /// Records a changeset as run. If it already has a row, it gets another one, as in Liquibase.
    async fn record_only(&mut self, set: &ChangeSet, exec_type: ExecType) -> Result<Outcome, ChangeSetError> {
        let row = self.recorder.next_row(set.row_content(), exec_type);
        write_row(&*self.client, &self.tables.insert_sql(&row), "").await?;
        self.recorder.recorded(row, true);
        Ok(if exec_type == ExecType::MarkRan { Outcome::MarkedRan } else { Outcome::Executed })
    }
}

/// Checks the preconditions of a changeset on the database as it is. Changes by their SQL are rolled back.
pub(crate) async fn check_preconditions(
    client: &mut Client,
    tables: &Tables,
    search_path: &str,
    history: &History,
    set: &ChangeSet,
    preconditions: &Preconditions,
) -> Result<Verdict, PostgresError> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(&set_search_path_sql(tables, search_path)).await?;
    let context = CheckContext {
        transaction: &transaction,
        history,
        schema: &tables.schema,
        quoting: set.quoting,
        file: &set.id.file,
    };
    let verdict = preconditions.check(&context).await;
    transaction.rollback().await?;
    Ok(verdict)
}

/// Runs the statement that writes the row of a changeset, together with the end of the transaction.
async fn write_row(client: &impl GenericClient, statement: &str, end: &str) -> Result<(), ChangeSetError> {
    let failed = |error| ChangeSetError::HistoryRow(StatementError::new(statement, error));
    client.batch_execute(&format!("{statement}{end}")).await.map_err(failed)
}
