//! Runs the changesets of a forward command.
//!
//! A changeset and its row are one transaction. Its preconditions are checked before it; those that may have side effects, in another
//! transaction, which is rolled back. An error ends the run, and carries the report of what was done before it.
//!
//! Consecutive changesets whose SQL is known in advance are sent without waiting for each other (`Run::ahead`), and behind them the check of the
//! preconditions of the next one, which sees what they have done. The session then makes sure
//! that none runs after one that failed: an error leaves the transaction open and failed, in which PostgreSQL refuses every further statement,
//! also the BEGIN and the COMMIT of the changesets behind it, until the ROLLBACK that is sent when the error has arrived. What could fail at
//! the COMMIT itself, a deferred constraint, is checked before the row is written. A check behind a changeset that failed is made again.

use futures_util::future::{join, join3};
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use tokio_postgres::{Client, GenericClient};

use crate::apply;
use crate::changeset::ChangeSet;
use crate::changeset_error::ChangeSetError;
use crate::command_request::{CommandRequest, Mode, validated_plan};
use crate::error::Error;
use crate::event::Event;
use crate::history::recorder::{ExecType, Recorder};
use crate::history::tables::Tables;
use crate::history::{History, HistoryRow};
use crate::lock::Lock;
use crate::plan::{Plan, Step};
use crate::postgres_error::{PostgresError, StatementError};
use crate::precondition::check::{CheckContext, Verdict};
use crate::precondition::lookup::PreparedLookups;
use crate::precondition::{Condition, Consequence, Preconditions};
use crate::report::{Outcome, Report};
use crate::session::{Purpose, deployment_id, restore_search_path, search_path, set_search_path_sql, setting};

/// A changeset does not wait for the disk: if the machine crashes, the changeset is lost together with its row, and runs again. The
/// release of the lock row, which ends every run, commits synchronously and so makes all earlier transactions durable.
const BEGIN: &str = "BEGIN; SET LOCAL synchronous_commit = off; ";
/// The end of its transaction, behind the statement that writes the row.
const END: &str = "; COMMIT";
/// The largest number of changesets that are sent without waiting for the first of them.
const MAX_AHEAD: usize = 16;

/// The report of a run that has done nothing yet.
pub(crate) fn report_of(plan: &Plan) -> Report {
    Report {
        previously_run: plan.previously_run(),
        filtered_out: plan.filtered_out(),
        filter_counts: plan.filter_counts().to_vec(),
        ..Report::default()
    }
}

/// Runs the command while the lock row is held. It plans again, because another program may have run changesets while this one
/// waited for the row.
pub(crate) async fn run_locked(
    lock: &mut Lock<'_>,
    tables: &Tables,
    request: &CommandRequest<'_>,
    filled: usize,
) -> Result<Report, Error> {
    let (plan, history) = validated_plan(lock.client(), tables, request, Purpose::Run).await?;
    let search_path = search_path(&*lock.client()).await?;
    let owns_session = lock.owns_session();
    // A serializable transaction can fail at its COMMIT, and then the next one would run.
    let is_serializable = setting(&*lock.client(), "default_transaction_isolation").await? == "serializable";
    let mut run = Run {
        owns_session,
        client: lock.client(),
        tables,
        request,
        search_path: &search_path,
        may_run_ahead: owns_session && !is_serializable,
        prepared: PreparedLookups::default(),
        recorder: Recorder::new(history, deployment_id()),
        report: Report { checksums_upgraded: filled, ..report_of(&plan) },
    };
    let outcome = run.run_steps(&plan.steps).await;
    let report = run.report;
    restore_search_path(lock, &search_path).await;
    outcome.map(|()| report)
}

/// A run in progress.
struct Run<'a> {
    client: &'a mut Client,
    /// Whether settings of the session stay with the connection.
    owns_session: bool,
    tables: &'a Tables,
    request: &'a CommandRequest<'a>,
    search_path: &'a str,
    may_run_ahead: bool,
    prepared: PreparedLookups,
    recorder: Recorder,
    report: Report,
}

/// A changeset that is about to run, and its row.
struct Attempt<'a> {
    set: &'a ChangeSet,
    row: HistoryRow,
    is_new: bool,
    exec_type: ExecType,
    /// The statement that writes the row.
    record: String,
}

/// An attempt that can be sent as it is.
struct Ahead<'a> {
    attempt: Attempt<'a>,
    statements: Vec<String>,
}

/// What preconditions say, or why they could not be checked.
type Checked = Result<Verdict, PostgresError>;

/// The response to what was sent without waiting.
enum Response {
    Attempt(Result<(), ChangeSetError>),
    Check(Checked),
}

impl<'a> Run<'a> {
    async fn run_steps(&mut self, steps: &[Step]) -> Result<(), Error> {
        let mut rest = steps;
        // Of the preconditions of the first step.
        let mut checked: Option<Checked> = None;
        while let Some(step) = rest.first() {
            if checked.is_none()
                && let Some(preconditions) = self.preconditions_ahead(step)
            {
                checked = Some(self.check_ahead(preconditions).await);
            }
            let ahead = self.ahead(rest, checked.as_ref());
            let next = rest.get(ahead.len()).and_then(|step| self.preconditions_ahead(step));
            // One alone gains nothing, unless a check follows; that it is marked has been logged already.
            let is_marked = |first: &Ahead<'_>| first.attempt.exec_type == ExecType::MarkRan;
            let is_sent_ahead =
                ahead.len() > 1 || ahead.first().is_some_and(|first| next.is_some() || is_marked(first));
            let done = if is_sent_ahead {
                let (done, next_checked) = self.run_ahead(&ahead, next).await?;
                checked = next_checked;
                done
            } else {
                self.run_step(step, checked.take()).await?;
                1
            };
            rest = &rest[done..];
        }
        Ok(())
    }

    async fn run_step(&mut self, step: &Step, checked: Option<Checked>) -> Result<(), Error> {
        match step {
            Step::UpgradeChecksum { index, checksum } => {
                let set = &self.request.changelog.changesets[*index];
                if let Some(row) = self.recorder.history().find_key(&set.key()) {
                    tracing::info!(changeset = %set.id, "upgrading checksum");
                    self.tables.set_checksum(&*self.client, row, checksum).await?;
                    self.report.checksums_upgraded += 1;
                }
                Ok(())
            }
            Step::Run { index, mark_ran } => {
                self.run_changeset(&self.request.changelog.changesets[*index], *mark_ran, checked).await
            }
        }
    }

    async fn run_changeset(
        &mut self,
        set: &'a ChangeSet,
        mark_ran: bool,
        checked: Option<Checked>,
    ) -> Result<(), Error> {
        let outcome = match self.request.mode {
            Mode::Record => self.record_only(set, ExecType::Executed).await,
            Mode::Run => {
                announce(self.request, set);
                if mark_ran {
                    self.record_only(set, ExecType::MarkRan).await
                } else {
                    self.check_and_run(set, checked).await
                }
            }
        };
        self.conclude(set, outcome)
    }

    /// Reports the outcome of a changeset. An error that does not end the run is an outcome, too.
    fn conclude(&mut self, set: &ChangeSet, outcome: Result<Outcome, ChangeSetError>) -> Result<(), Error> {
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

    fn can_run_ahead(&self) -> bool {
        self.may_run_ahead && self.request.mode == Mode::Run
    }

    /// The preconditions of a step, if they can be checked behind changesets whose outcome is not known yet: they must not depend on the rows of
    /// these, nor end the transaction of one that failed.
    fn preconditions_ahead(&self, step: &Step) -> Option<(&'a ChangeSet, &'a Preconditions)> {
        let Step::Run { index, mark_ran: false } = step else { return None };
        let set = &self.request.changelog.changesets[*index];
        let is_independent = |condition: &Condition| match condition {
            Condition::ChangeSetExecuted(_) => false,
            Condition::Sql { sql, .. } => !apply::may_end_transaction(sql),
            _ => true,
        };
        let preconditions = set.preconditions.as_ref().filter(|_| self.can_run_ahead())?;
        preconditions.all_leaves(is_independent).then_some((set, preconditions))
    }

    async fn check_ahead(&self, (set, preconditions): (&ChangeSet, &Preconditions)) -> Checked {
        let prepared = self.owns_session.then_some(&self.prepared);
        let context = check_context(&*self.client, self.tables, self.recorder.history(), set);
        let set_search_path = set_search_path_sql(self.tables, self.search_path, true);
        check_preconditions(CheckContext { prepared, ..context }, &set_search_path, preconditions).await
    }

    /// The changesets at the beginning of `steps` that can be sent without waiting for each other. `checked` is what the preconditions of the
    /// first one say.
    fn ahead(&self, steps: &[Step], checked: Option<&Checked>) -> Vec<Ahead<'a>> {
        let mut found: Vec<Ahead<'a>> = Vec::new();
        if !self.can_run_ahead() {
            return found;
        }
        for step in steps.iter().take(MAX_AHEAD) {
            let Step::Run { index, mark_ran: false } = step else { break };
            let set = &self.request.changelog.changesets[*index];
            let checked = checked.filter(|_| found.is_empty());
            if let (Some(_), Some(Ok(Verdict::Fails(Consequence::MarkRan, message)))) = (&set.preconditions, checked) {
                tracing::info!(changeset = %set.id, %message, "marked as run because of a precondition");
                found.push(Ahead { attempt: self.attempt_to_mark(set), statements: Vec::new() });
                continue;
            }
            let holds = set.preconditions.is_none() || matches!(checked, Some(Ok(Verdict::Holds)));
            let is_repeated = found.iter().any(|earlier| earlier.attempt.set.key() == set.key());
            if !holds || !set.run_in_transaction || is_repeated {
                break;
            }
            // SQL that cannot be generated is reported when its turn comes.
            let Ok(Some(statements)) = apply::static_statements(set, &self.tables.schema) else { break };
            found.push(Ahead { attempt: self.attempt(set, found.len()), statements });
        }
        found
    }

    /// Sends changesets without waiting for each other, and behind them the check of the preconditions of the next one. Returns how many are
    /// done, all, or those up to the first that failed, and what the check said if none failed.
    async fn run_ahead(
        &mut self,
        ahead: &[Ahead<'a>],
        next: Option<(&ChangeSet, &Preconditions)>,
    ) -> Result<(usize, Option<Checked>), Error> {
        let (begin, request) = (self.begin(), self.request);
        let (mut outcomes, mut checked) = (Vec::new(), None);
        {
            let (this, client) = (&*self, &*self.client);
            let attempts = ahead.iter().map(|one| one.send(client, &begin).map(Response::Attempt).boxed());
            let check = next.map(|next| this.check_ahead(next).map(Response::Check).boxed());
            let mut sent: FuturesOrdered<_> = attempts.chain(check).collect();
            // The first poll sends everything, in this order.
            for one in ahead {
                announce(request, one.attempt.set);
                let Some(Response::Attempt(outcome)) = sent.next().await else { break };
                outcomes.push(outcome);
                if outcomes.last().is_some_and(Result::is_err) {
                    break;
                }
            }
            if outcomes.iter().all(Result::is_ok)
                && let Some(Response::Check(response)) = sent.next().await
            {
                checked = Some(response);
            }
        }
        let done = outcomes.len();
        for (one, outcome) in ahead.iter().zip(outcomes) {
            let outcome = match outcome {
                Ok(()) => Ok(self.recorded(&one.attempt)),
                Err(error) => self.roll_back().await.map_err(ChangeSetError::from).and(Err(error)),
            };
            self.conclude(one.attempt.set, outcome)?;
        }
        Ok((done, checked))
    }

    /// Checks the preconditions, and runs the changeset unless they prevent it.
    async fn check_and_run(&mut self, set: &'a ChangeSet, checked: Option<Checked>) -> Result<Outcome, ChangeSetError> {
        let checked = match (checked, &set.preconditions) {
            (Some(checked), _) => checked,
            (None, Some(preconditions)) => self.check_ahead((set, preconditions)).await,
            (None, None) => Ok(Verdict::Holds),
        };
        match checked? {
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

    /// The statements that begin the transaction of a changeset.
    fn begin(&self) -> String {
        format!("{BEGIN}{}", set_search_path_sql(self.tables, self.search_path, true))
    }

    /// A changeset that runs after `ahead` others that are not recorded yet.
    fn attempt(&self, set: &'a ChangeSet, ahead: usize) -> Attempt<'a> {
        let old = self.recorder.history().find_key(&set.key());
        let exec_type = if old.is_none() { ExecType::Executed } else { ExecType::Reran };
        let row = self.recorder.next_row(set.row_content(), exec_type, ahead);
        let record = match old {
            Some(old) => self.tables.rerun_sql(old, &row),
            None => self.tables.insert_sql(&row),
        };
        Attempt { set, row, is_new: old.is_none(), exec_type, record }
    }

    /// A changeset that is recorded as run without running. If it already has a row, it gets another one, as in Liquibase.
    fn attempt_to_mark(&self, set: &'a ChangeSet) -> Attempt<'a> {
        let exec_type = ExecType::MarkRan;
        let row = self.recorder.next_row(set.row_content(), exec_type, 0);
        let record = self.tables.insert_sql(&row);
        Attempt { set, row, is_new: true, exec_type, record }
    }

    /// Counts a changeset that has run.
    fn recorded(&mut self, attempt: &Attempt<'_>) -> Outcome {
        self.recorder.recorded(attempt.row.clone(), attempt.is_new);
        match attempt.exec_type {
            ExecType::Executed => Outcome::Executed,
            ExecType::Reran => Outcome::Reran,
            ExecType::MarkRan => Outcome::MarkedRan,
        }
    }

    /// Runs the changes, and writes the row in the same transaction.
    async fn run_changes(&mut self, set: &'a ChangeSet) -> Result<Outcome, ChangeSetError> {
        let attempt = self.attempt(set, 0);
        let record = &attempt.record;
        // If a change has no SQL, those before it run first, and their errors come first.
        let outcome = match apply::static_statements(set, &self.tables.schema) {
            Ok(Some(statements)) if set.run_in_transaction => {
                apply::run_pipelined(&*self.client, &self.begin(), &statements, record, END).await
            }
            _ => {
                let (begin, end) = match set.run_in_transaction {
                    true => (self.begin(), END),
                    false if self.owns_session => (set_search_path_sql(self.tables, self.search_path, false), ""),
                    // It would remain in a session of the pooler, which others use next.
                    false => (String::new(), ""),
                };
                self.client.batch_execute(&begin).await?;
                match apply::run_changes(&*self.client, set, &self.tables.schema, self.request.options).await {
                    Ok(()) => write_row(&*self.client, record, end).await,
                    failed => failed,
                }
            }
        };
        if outcome.is_err() && set.run_in_transaction {
            self.roll_back().await?;
        }
        outcome?;
        Ok(self.recorded(&attempt))
    }

    /// Ends the transaction of a changeset that failed.
    async fn roll_back(&self) -> Result<(), PostgresError> {
        if self.client.is_closed() {
            return Ok(());
        }
        Ok(self.client.batch_execute("ROLLBACK").await?)
    }

    /// Records a changeset as run. If it already has a row, it gets another one, as in Liquibase.
    async fn record_only(&mut self, set: &ChangeSet, exec_type: ExecType) -> Result<Outcome, ChangeSetError> {
        let row = self.recorder.next_row(set.row_content(), exec_type, 0);
        write_row(&*self.client, &self.tables.insert_sql(&row), "").await?;
        self.recorder.recorded(row, true);
        Ok(if exec_type == ExecType::MarkRan { Outcome::MarkedRan } else { Outcome::Executed })
    }
}

impl Ahead<'_> {
    /// Runs the changeset. The row is not written, nor anything committed, if a deferred constraint is violated.
    async fn send(&self, client: &Client, begin: &str) -> Result<(), ChangeSetError> {
        let end = ["; SET CONSTRAINTS ALL IMMEDIATE", END].concat();
        apply::run_pipelined(client, begin, &self.statements, &self.attempt.record, &end).await
    }
}

/// Says that a changeset runs.
fn announce(request: &CommandRequest<'_>, set: &ChangeSet) {
    tracing::info!(changeset = %set.id, "running changeset");
    request.options.notify(&Event::Running(&set.id));
}

/// What the preconditions of a changeset are checked with.
pub(crate) fn check_context<'a>(
    client: &'a Client,
    tables: &'a Tables,
    history: &'a History,
    set: &'a ChangeSet,
) -> CheckContext<'a> {
    CheckContext { client, prepared: None, history, schema: &tables.schema, quoting: set.quoting }
}

/// Checks the preconditions of a changeset on the database as it is. Their SQL runs in a transaction, with this search_path, that is rolled back.
pub(crate) async fn check_preconditions(
    context: CheckContext<'_>,
    set_search_path: &str,
    preconditions: &Preconditions,
) -> Checked {
    if preconditions.only_read_catalogs() {
        return Ok(preconditions.check(&context).await);
    }
    // A statement that is no longer prepared would be an error, which ends the transaction.
    let context = CheckContext { prepared: None, ..context };
    let check = preconditions.check(&context);
    let begin = format!("BEGIN; {set_search_path}");
    let (begin, rollback) = (context.client.batch_execute(&begin), context.client.batch_execute("ROLLBACK"));
    // The first poll of each sends it, in this order.
    let (begun, verdict, rolled_back) = if preconditions.is_one_query() {
        join3(begin, check, rollback).await
    } else {
        let (begun, verdict) = join(begin, check).await;
        (begun, verdict, rollback.await)
    };
    begun.and(rolled_back)?;
    Ok(verdict)
}

/// Runs the statement that writes the row of a changeset, together with the end of the transaction.
async fn write_row(client: &impl GenericClient, statement: &str, end: &str) -> Result<(), ChangeSetError> {
    let failed = |error| ChangeSetError::HistoryRow(StatementError::new(statement, error));
    client.batch_execute(&format!("{statement}{end}")).await.map_err(failed)
}
