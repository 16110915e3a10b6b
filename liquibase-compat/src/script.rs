//! The `-sql` forms: what a command would do, as a script for psql.
//!
//! Nothing is written. The script starts from the database as it is now: it makes the Liquibase tables where they are missing,
//! takes and releases the row of DATABASECHANGELOGLOCK, and writes the history as the command itself would. Preconditions of
//! changesets are asked only where `onSqlOutput` says so, because only the run could answer them.

use tokio_postgres::Client;

use crate::apply;
use crate::changelog::Changelog;
use crate::changeset::ChangeSet;
use crate::error::Error;
use crate::history::statement::{Entry, LIQUIBASE};
use crate::history::table::Tables;
use crate::history::{History, HistoryRow};
use crate::lock;
use crate::options::Options;
use crate::plan::{RollbackTarget, Step, UpdateTarget, rollback_steps};
use crate::precondition::{Consequence, SqlOutput, Verdict};
use crate::report::Report;
use crate::session::{deployment_id, search_path};
use crate::update::{Asked, Mode, halted, validated, verdict};

/// What the head of a script says; it changes nothing.
#[derive(Debug, Clone, Default)]
pub struct Heading {
    /// The changelog's path.
    pub changelog: String,
    /// When, in words.
    pub ran_at: String,
    /// On which database, in words.
    pub against: String,
}

/// What [`update_to`](crate::update_to) would do.
///
/// # Errors
/// [`Error::Validation`] when the changelog must not be run on this database.
pub async fn update_sql(
    client: &mut Client,
    changelog: &Changelog,
    options: &Options,
    target: &UpdateTarget,
    heading: &Heading,
) -> Result<String, Error> {
    let asked = Asked { changelog, options, target, mode: Mode::Run };
    let title = match target {
        UpdateTarget::All => "Update Database Script".to_owned(),
        UpdateTarget::Count(count) => format!("Update {count} Changesets Database Script"),
        UpdateTarget::Tag(tag) => format!("Update to '{tag}' Database Script"),
    };
    forward(client, &asked, &title, heading).await
}

/// What [`changelog_sync`](crate::changelog_sync) would do.
///
/// # Errors
/// [`Error::Validation`] when the changelog must not be run on this database.
pub async fn changelog_sync_sql(
    client: &mut Client,
    changelog: &Changelog,
    options: &Options,
    target: &UpdateTarget,
    heading: &Heading,
) -> Result<String, Error> {
    let asked = Asked { changelog, options, target, mode: Mode::Record };
    let title = match target {
        UpdateTarget::All => "SQL to add all changesets to database history table",
        UpdateTarget::Count(_) => "SQL to add next changeset to database history table",
        UpdateTarget::Tag(_) => "SQL to add changesets upto tag to database history table",
    };
    forward(client, &asked, title, heading).await
}

/// What [`rollback`](crate::rollback) would do.
///
/// # Errors
/// [`Error::UnknownTag`], or [`Error::RollbackImpossible`] when something has no rollback.
pub async fn rollback_sql(
    client: &mut Client,
    changelog: &Changelog,
    options: &Options,
    target: &RollbackTarget,
    heading: &Heading,
) -> Result<String, Error> {
    let tables = Tables::locate(&*client).await?;
    let history = tables.read(&*client).await?;
    crate::session::check_changelog(client, &tables, changelog, &history).await?;
    let title = match target {
        RollbackTarget::Count(count) => format!("Rollback {count} Change(s) Script"),
        RollbackTarget::Tag(tag) => format!("Rollback to '{tag}' Script"),
        RollbackTarget::Date(date) => format!("Rollback to {date} Script"),
        RollbackTarget::ChangeSets(_) => "Rollback Script".to_owned(),
    };
    let steps = rollback_steps(changelog, &history, options, target)?;
    let mut script = Script::start(client, &tables).await?;
    script.head(&title, heading);
    for step in steps {
        script.comment(&format!("Rolling Back ChangeSet: {}", step.set.id));
        script.search_path();
        let undo = step.set.rollback_statements(&tables.schema, |key| changelog.find(key));
        let impossible = |reason| Error::RollbackImpossible {
            changeset: step.set.id.clone(),
            reason,
            report: Box::new(Report::default()),
        };
        undo.map_err(impossible)?.iter().for_each(|statement| script.statement(statement));
        script.statement(&tables.delete_sql(step.row));
    }
    Ok(script.finish(&tables))
}

async fn forward(client: &mut Client, asked: &Asked<'_>, title: &str, heading: &Heading) -> Result<String, Error> {
    let tables = Tables::locate(&*client).await?;
    let (plan, history) = validated(client, &tables, asked).await?;
    let original = search_path(&*client).await?;
    let mut script = Script::start(client, &tables).await?;
    script.head(title, heading);
    let mut writer = Writer { tables: &tables, order: history.next_order(), deployment: deployment_id(), history };
    for step in &plan.steps {
        match step {
            Step::Upgrade { index, checksum } => {
                let key = asked.changelog.changesets[*index].key();
                if let Some(row) = writer.history.find_key(&key) {
                    script.statement(&tables.set_checksum_sql(row, checksum));
                }
            }
            Step::Run { index, mark_ran, .. } => {
                let set = &asked.changelog.changesets[*index];
                let mut mark_ran = *mark_ran;
                if asked.mode == Mode::Run && !mark_ran {
                    let path = original.as_str();
                    let failed = |reason| Error::ChangeSet {
                        changeset: set.id.clone(),
                        reason,
                        report: Box::new(Report::default()),
                    };
                    match on_output(client, &tables, path, &writer.history, set).await.map_err(failed)? {
                        Written::Whole => {}
                        Written::Marked => mark_ran = true,
                        Written::Not => continue,
                    }
                }
                script.changeset(set);
                let runs = asked.mode == Mode::Run && !mark_ran;
                if runs {
                    let statements = apply::script(&*client, set, &tables.schema).await.map_err(|reason| {
                        let (changeset, report) = (set.id.clone(), Box::new(Report::default()));
                        Error::ChangeSet { changeset, reason, report }
                    })?;
                    statements.iter().for_each(|statement| script.statement(statement));
                }
                script.statement(&writer.record(set, runs, mark_ran));
            }
        }
    }
    Ok(script.finish(&tables))
}

/// What of a changeset is written.
enum Written {
    /// Its changes and its row.
    Whole,
    /// Its row alone.
    Marked,
    /// Nothing.
    Not,
}

/// What `onSqlOutput` says of a changeset with preconditions. What the changesets before it would make is not there yet.
async fn on_output(
    client: &mut Client,
    tables: &Tables,
    search_path: &str,
    history: &History,
    set: &ChangeSet,
) -> Result<Written, String> {
    let Some(preconditions) = &set.preconditions else { return Ok(Written::Whole) };
    match preconditions.sql_output {
        SqlOutput::Ignore => Ok(Written::Whole),
        SqlOutput::Fail => Err(halted(&format!(
            "{} : Unexpected precondition in updateSQL mode with onUpdateSQL value: FAIL",
            set.id.file
        ))),
        SqlOutput::Test => match verdict(client, tables, search_path, history, set, preconditions).await? {
            Verdict::Holds | Verdict::Fails(Consequence::Warn, _) => Ok(Written::Whole),
            Verdict::Fails(Consequence::MarkRan, _) => Ok(Written::Marked),
            Verdict::Fails(Consequence::Continue, _) => Ok(Written::Not),
            Verdict::Fails(Consequence::Halt, message) => Err(halted(&message)),
        },
    }
}

/// Says how the history is written, step by step.
struct Writer<'a> {
    tables: &'a Tables,
    history: History,
    order: i32,
    deployment: String,
}

impl Writer<'_> {
    fn record(&mut self, set: &ChangeSet, runs: bool, mark_ran: bool) -> String {
        let old: Option<HistoryRow> = self.history.find_key(&set.key()).filter(|_| runs).cloned();
        let exec_type = match (&old, mark_ran) {
            (_, true) => "MARK_RAN",
            (Some(_), false) => "RERAN",
            (None, false) => "EXECUTED",
        };
        let row = Entry { order: self.order, exec_type, deployment_id: &self.deployment }.row(set);
        self.order = self.order.saturating_add(1);
        match old {
            Some(old) => self.tables.rerun_sql(&old, &row),
            None => {
                let sql = self.tables.insert_sql(&row);
                self.history.add(row);
                sql
            }
        }
    }
}

/// A script being written.
struct Script {
    text: String,
    set_path: String,
}

impl Script {
    /// The part that makes the tables and takes the lock.
    async fn start(client: &Client, tables: &Tables) -> Result<Self, Error> {
        let original = search_path(client).await?;
        let parts: Vec<String> = original
            .split(',')
            .map(str::trim)
            .map(|part| if part.starts_with('"') { part.to_owned() } else { format!("\"{part}\"") })
            .collect();
        let schema =
            crate::sql::Dialect { schema: String::new(), quoting: crate::sql::Quoting::Legacy }.name(&tables.schema);
        let mut script =
            Self { text: String::new(), set_path: format!("SET SEARCH_PATH TO {schema}, {}", parts.join(",")) };
        let (has_changelog, has_lock) = tables.exist(client).await?;
        script.search_path();
        if !has_lock {
            script.comment("Create Database Lock Table");
            script.statement(&tables.create_lock_sql());
            script.comment("Initialize Database Lock Table");
            script.statement(&format!("DELETE FROM {}", tables.lock));
            script.statement(&format!("INSERT INTO {} (ID, LOCKED) VALUES (1, FALSE)", tables.lock));
        }
        script.comment("Lock Database");
        script.statement(&tables.take_lock_sql(&lock::plain_name()));
        script.search_path();
        if !has_changelog {
            script.comment("Create Database Change Log Table");
            script.statement(&tables.create_changelog_sql());
            script.search_path();
        }
        Ok(script)
    }

    fn head(&mut self, title: &str, heading: &Heading) {
        let rule = "*".repeat(69);
        for line in [
            &rule,
            &title.to_owned(),
            &rule,
            &format!("Change Log: {}", heading.changelog),
            &format!("Ran at: {}", heading.ran_at),
            &format!("Against: {}", heading.against),
            &format!("Liquibase version: {LIQUIBASE}"),
            &rule,
        ] {
            self.comment(line);
        }
        self.text.push('\n');
        self.search_path();
    }

    fn changeset(&mut self, set: &ChangeSet) {
        self.comment(&format!("Changeset {}", set.id));
        if !set.comments.is_empty() {
            self.comment(&set.comments);
        }
        self.search_path();
    }

    fn comment(&mut self, text: &str) {
        for line in text.lines() {
            self.text.push_str(&format!("-- {line}\n"));
        }
    }

    fn search_path(&mut self) {
        let set = self.set_path.clone();
        self.statement(&set);
    }

    /// A statement, ended so that a comment in its last line does not swallow the end.
    fn statement(&mut self, sql: &str) {
        let sql = sql.trim_end();
        let in_comment = sql.lines().next_back().is_some_and(|line| line.contains("--"));
        let end = if in_comment { "\n;" } else { ";" };
        self.text.push_str(sql);
        self.text.push_str(if sql.ends_with(';') { "" } else { end });
        self.text.push_str("\n\n");
    }

    fn finish(mut self, tables: &Tables) -> String {
        self.comment("Release Database Lock");
        self.search_path();
        self.statement(&tables.release_lock_sql());
        self.search_path();
        self.text
    }
}
