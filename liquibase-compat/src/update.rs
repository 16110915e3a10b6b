//! Carrying out plans: update, status, history.
//!
//! A changeset and its row are one transaction; its preconditions are checked in another one, which is rolled back. A failure
//! ends the run with the report of what was done before it.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio_postgres::{Client, GenericClient};

use crate::apply;
use crate::changelog::Changelog;
use crate::changeset::ChangeSet;
use crate::checksum::ChecksumVersion;
use crate::error::{Error, ValidationError, postgres_message};
use crate::history::table::{Entry, Tables};
use crate::history::{History, HistoryRow};
use crate::lock::Lock;
use crate::options::Options;
use crate::plan::{Pending, Plan, Step, plan};
use crate::precondition::{CheckContext, Consequence, Verdict};
use crate::report::{Outcome, Report};
use crate::sql::{Quoting, literal};

/// Brings the database up to date with the changelog.
///
/// The Liquibase tables are made if they are missing. With nothing to do, nothing else is written.
///
/// # Errors
/// [`Error::Validation`] before anything ran; [`Error::ChangeSet`] with the report of what ran before the one that failed.
pub async fn update(lock: &mut Lock<'_>, changelog: &Changelog, options: &Options) -> Result<Report, Error> {
    let tables = Tables::locate(&*lock.client()).await?;
    prepare(lock.client(), &tables).await?;
    let filled = fill_missing_checksums(lock.client(), &tables, changelog).await?;
    let (first, _) = validated(lock.client(), &tables, changelog, options).await?;
    if first.is_empty() {
        return Ok(Report { checksums_upgraded: filled, ..report_of(&first) });
    }
    lock.take_row(&tables).await?;
    let done = update_locked(lock.client(), &tables, changelog, options, filled).await;
    released(lock, &tables, done).await
}

/// What an update would run. Writes nothing; a database without the Liquibase tables counts as empty.
///
/// # Errors
/// [`Error::Validation`] when the changelog must not be run on this database.
pub async fn status(client: &Client, changelog: &Changelog, options: &Options) -> Result<Vec<Pending>, Error> {
    let tables = Tables::locate(client).await?;
    let history = tables.read(client).await?;
    Ok(plan(changelog, &history, options)?.pending().to_vec())
}

/// The rows of the database's history, oldest first; none if it has none.
///
/// # Errors
/// When the table cannot be read.
pub async fn history(client: &Client) -> Result<Vec<HistoryRow>, Error> {
    let tables = Tables::locate(client).await?;
    Ok(tables.read(client).await?.rows().to_vec())
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

/// Makes the tables, in a transaction of their own.
pub(crate) async fn prepare(client: &mut Client, tables: &Tables) -> Result<(), Error> {
    let failed = Error::database("creating the Liquibase tables");
    let transaction = client.transaction().await.map_err(&failed)?;
    tables.prepare(&transaction).await?;
    transaction.commit().await.map_err(&failed)
}

/// Fills in checksums that were cleared: the content of today is taken for what was run.
async fn fill_missing_checksums(client: &Client, tables: &Tables, changelog: &Changelog) -> Result<usize, Error> {
    let history = tables.read(client).await?;
    let mut filled = 0;
    for row in history.rows().iter().filter(|row| row.checksum.is_none()) {
        if let Some(set) = changelog.find(&row.key()) {
            tables.set_checksum(client, row, &set.checksum(ChecksumVersion::V9)).await?;
            filled += 1;
        }
    }
    Ok(filled)
}

/// The history and the plan, after all validation.
async fn validated(
    client: &mut Client,
    tables: &Tables,
    changelog: &Changelog,
    options: &Options,
) -> Result<(Plan, History), Error> {
    let history = tables.read(&*client).await?;
    check_changelog(client, tables, changelog, &history).await?;
    Ok((plan(changelog, &history, options)?, history))
}

/// The preconditions of the changelog itself.
pub(crate) async fn check_changelog(
    client: &mut Client,
    tables: &Tables,
    changelog: &Changelog,
    history: &History,
) -> Result<(), Error> {
    for (file, preconditions) in &changelog.preconditions {
        let failed = Error::database("checking the preconditions of the changelog");
        let transaction = client.transaction().await.map_err(&failed)?;
        let context =
            CheckContext { transaction: &transaction, history, schema: &tables.schema, quoting: Quoting::Legacy, file };
        let verdict = preconditions.check(&context).await;
        transaction.rollback().await.map_err(&failed)?;
        match verdict {
            Verdict::Holds => {}
            Verdict::Fails(Consequence::Warn, message) => {
                tracing::warn!(%message, "a precondition of the changelog fails; going on, as it says");
            }
            Verdict::Fails(_, message) => {
                return Err(ValidationError { preconditions: vec![message], ..ValidationError::default() }.into());
            }
        }
    }
    Ok(())
}

fn report_of(plan: &Plan) -> Report {
    Report { previously_run: plan.previously_run(), filtered_out: plan.filtered_out(), ..Report::default() }
}

/// The run proper. Planned anew: another tool may have finished while the row was waited for.
async fn update_locked(
    client: &mut Client,
    tables: &Tables,
    changelog: &Changelog,
    options: &Options,
    filled: usize,
) -> Result<Report, Error> {
    let (plan, history) = validated(client, tables, changelog, options).await?;
    let search_path = search_path(client).await?;
    let mut run = Run {
        client,
        tables,
        changelog,
        search_path: &search_path,
        next_order: history.rows().iter().map(|row| row.order_executed).max().unwrap_or(0).max(0).saturating_add(1),
        history,
        deployment_id: deployment_id(),
        report: Report { checksums_upgraded: filled, ..report_of(&plan) },
    };
    let done = run.all(&plan.steps).await;
    let report = run.report;
    restore_search_path(client, &search_path).await;
    done.map(|()| report)
}

pub(crate) async fn search_path(client: &impl GenericClient) -> Result<String, Error> {
    let row = client
        .query_one("SELECT current_setting('search_path')", &[])
        .await
        .map_err(Error::database("asking for the search_path"))?;
    Ok(row.get(0))
}

/// A changeset may have changed it; what comes after on this connection is not to notice.
pub(crate) async fn restore_search_path(client: &Client, search_path: &str) {
    let set = format!("SELECT set_config('search_path', {}, false)", literal(search_path));
    if let Err(error) = client.batch_execute(&set).await {
        tracing::warn!(%error, "the search_path of the migration connection could not be restored");
    }
}

/// What makes unqualified names in raw SQL mean the default schema, whatever the changeset before did.
pub(crate) fn set_search_path(tables: &Tables, original: &str) -> String {
    let schema = tables.schema.replace('"', "\"\"");
    format!("SELECT set_config('search_path', {}, false)", literal(&format!("\"{schema}\", {original}")))
}

/// The last ten digits of the time in milliseconds.
fn deployment_id() -> String {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    format!("{:010}", millis % 10_000_000_000)
}

/// A run under way.
struct Run<'a> {
    client: &'a mut Client,
    tables: &'a Tables,
    changelog: &'a Changelog,
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
                    let set = &self.changelog.changesets[*index];
                    if let Some(row) = self.history.find_key(&set.key()) {
                        tracing::info!(changeset = %set.id, "upgrading checksum");
                        self.tables.set_checksum(&*self.client, row, checksum).await?;
                        self.report.checksums_upgraded += 1;
                    }
                }
                Step::Run { index, mark_ran, .. } => {
                    let changelog = self.changelog;
                    self.one(&changelog.changesets[*index], *mark_ran).await?;
                }
            }
        }
        Ok(())
    }

    async fn one(&mut self, set: &ChangeSet, mark_ran: bool) -> Result<(), Error> {
        tracing::info!(changeset = %set.id, "running changeset");
        let outcome = if mark_ran { self.record_only(set).await } else { self.checked(set).await };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(reason) if !set.fail_on_error && !self.client.is_closed() => {
                tracing::warn!(changeset = %set.id, reason, "a changeset failed; going on, as failOnError says");
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
                self.execute(set).await
            }
            Verdict::Fails(Consequence::MarkRan, message) => {
                tracing::info!(changeset = %set.id, %message, "marked as run because of a precondition");
                self.record_only(set).await
            }
            Verdict::Fails(Consequence::Continue, reason) => {
                tracing::info!(changeset = %set.id, reason, "skipped because of a precondition");
                Ok(Outcome::Skipped { reason })
            }
            Verdict::Fails(Consequence::Halt, message) => Err(format!("\n          {message}")),
        }
    }

    async fn verdict(&mut self, set: &ChangeSet) -> Result<Verdict, String> {
        let Some(preconditions) = &set.preconditions else {
            return Ok(Verdict::Holds);
        };
        let transaction = self.client.transaction().await.map_err(|error| postgres_message(&error))?;
        transaction
            .batch_execute(&set_search_path(self.tables, self.search_path))
            .await
            .map_err(|error| postgres_message(&error))?;
        let context = CheckContext {
            transaction: &transaction,
            history: &self.history,
            schema: &self.tables.schema,
            quoting: set.quoting,
            file: &set.id.file,
        };
        let verdict = preconditions.check(&context).await;
        transaction.rollback().await.map_err(|error| postgres_message(&error))?;
        Ok(verdict)
    }

    /// Runs the changes and records them.
    async fn execute(&mut self, set: &ChangeSet) -> Result<Outcome, String> {
        let path = [set_search_path(self.tables, self.search_path)];
        let ran_before = self.history.find_key(&set.key()).cloned();
        let exec_type = if ran_before.is_some() { "RERAN" } else { "EXECUTED" };
        let entry = Entry { order: self.next_order, exec_type, deployment_id: &self.deployment_id };
        let written = if set.run_in_transaction {
            let transaction = self.client.transaction().await.map_err(|error| postgres_message(&error))?;
            run_statements(&transaction, &path).await?;
            apply::changes(&transaction, set, &self.tables.schema).await?;
            let written = record(&transaction, self.tables, set, ran_before.as_ref(), &entry).await?;
            transaction.commit().await.map_err(|error| postgres_message(&error))?;
            written
        } else {
            run_statements(&*self.client, &path).await?;
            apply::changes(&*self.client, set, &self.tables.schema).await?;
            record(&*self.client, self.tables, set, ran_before.as_ref(), &entry).await?
        };
        self.next_order = self.next_order.saturating_add(1);
        match written {
            Some(row) => {
                self.history.add(row);
                Ok(Outcome::Executed)
            }
            None => Ok(Outcome::Reran),
        }
    }

    /// Records a changeset as run. Also one that has a row already: so does Liquibase.
    async fn record_only(&mut self, set: &ChangeSet) -> Result<Outcome, String> {
        let entry = Entry { order: self.next_order, exec_type: "MARK_RAN", deployment_id: &self.deployment_id };
        if let Some(row) = record(&*self.client, self.tables, set, None, &entry).await? {
            self.history.add(row);
        }
        self.next_order = self.next_order.saturating_add(1);
        Ok(Outcome::MarkedRan)
    }
}

/// Writes the row of a changeset; gives the new one, none if there was one and it was rewritten.
async fn record(
    client: &impl GenericClient,
    tables: &Tables,
    set: &ChangeSet,
    ran_before: Option<&HistoryRow>,
    entry: &Entry<'_>,
) -> Result<Option<HistoryRow>, String> {
    let written = match ran_before {
        Some(row) => tables.rerun(client, set, row, entry).await.map(|()| None),
        None => tables.insert(client, set, entry).await.map(Some),
    };
    written.map_err(|error| format!("{} [while writing its row of databasechangelog]", postgres_message(&error)))
}

/// Runs statements one after the other; a failure names the statement.
pub(crate) async fn run_statements(client: &impl GenericClient, statements: &[String]) -> Result<(), String> {
    for statement in statements {
        client
            .batch_execute(statement)
            .await
            .map_err(|error| format!("{} [Failed SQL: {statement}]", postgres_message(&error)))?;
    }
    Ok(())
}
