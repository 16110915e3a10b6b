//! The `-sql` commands: what a command would do, as a script for psql.
//!
//! Nothing is written. The script starts from the database as it is now: it creates the Liquibase tables if they are missing, takes
//! and releases the row of DATABASECHANGELOGLOCK, and writes the history as the command itself would. Preconditions of changesets
//! are checked only if `onSqlOutput` is TEST, because in general they depend on what the script does.

use tokio_postgres::Client;

use crate::apply::{self, ScriptPart};
use crate::changelog::Changelog;
use crate::changeset::ChangeSet;
use crate::changeset_error::ChangeSetError;
use crate::changeset_id::ChangeSetId;
use crate::command_request::{CommandRequest, Mode, validated_plan};
use crate::error::Error;
use crate::history::recorder::{ExecType, Recorder};
use crate::history::sql::LIQUIBASE_VERSION;
use crate::history::tables::Tables;
use crate::history::{History, HistoryRow};
use crate::lock;
use crate::options::Options;
use crate::path;
use crate::plan::Step;
use crate::precondition::check::Verdict;
use crate::precondition::{Consequence, SqlOutput};
use crate::precondition_error::{ConditionError, PreconditionError};
use crate::report::Report;
use crate::rollback_plan::rollback_steps;
use crate::run::{check_context, check_preconditions};
use crate::session::{Purpose, check_changelog, deployment_id, search_path, set_search_path_sql};
use crate::sql::{Dialect, PREPARED_STATEMENT, Quoting, ends_in_line_comment, is_line_comment};
use crate::target::{RollbackTarget, UpdateTarget};

/// The comment at the start of a script. It does not affect what the script does.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ScriptHeader {
    /// The path of the changelog.
    pub changelog: String,
    /// The time at which the script was made.
    pub ran_at: String,
    /// The database for which the script was made.
    pub against: String,
}

impl ScriptHeader {
    /// A header with these texts.
    pub fn new(changelog: impl Into<String>, ran_at: impl Into<String>, against: impl Into<String>) -> Self {
        Self { changelog: changelog.into(), ran_at: ran_at.into(), against: against.into() }
    }
}

/// What [`update_to`](crate::update_to) would do.
///
/// # Errors
/// [`Error::Validation`] when the changelog must not run on this database.
pub async fn update_sql(
    client: &mut Client,
    changelog: &Changelog,
    options: &Options,
    target: &UpdateTarget,
    header: &ScriptHeader,
) -> Result<String, Error> {
    let request = CommandRequest { changelog, options, target, mode: Mode::Run };
    let title = match target {
        UpdateTarget::All => "Update Database Script".to_owned(),
        UpdateTarget::Count(count) => format!("Update {count} Changesets Database Script"),
        UpdateTarget::Tag(tag) => format!("Update to '{tag}' Database Script"),
    };
    forward_script(client, &request, &title, header).await
}

/// What [`changelog_sync`](crate::changelog_sync) would do.
///
/// # Errors
/// [`Error::Validation`] when the changelog must not run on this database.
pub async fn changelog_sync_sql(
    client: &mut Client,
    changelog: &Changelog,
    options: &Options,
    target: &UpdateTarget,
    header: &ScriptHeader,
) -> Result<String, Error> {
    let request = CommandRequest { changelog, options, target, mode: Mode::Record };
    let title = match target {
        UpdateTarget::All => "SQL to add all changesets to database history table",
        UpdateTarget::Count(_) => "SQL to add next changeset to database history table",
        UpdateTarget::Tag(_) => "SQL to add changesets upto tag to database history table",
    };
    forward_script(client, &request, title, header).await
}

/// What [`rollback`](crate::rollback) would do.
///
/// # Errors
/// [`Error::UnknownTag`], or [`Error::RollbackImpossible`] when a changeset has no rollback.
pub async fn rollback_sql(
    client: &mut Client,
    changelog: &Changelog,
    options: &Options,
    target: &RollbackTarget,
    header: &ScriptHeader,
) -> Result<String, Error> {
    let tables = Tables::locate(&*client, &options.locations).await?;
    let history = tables.read(&*client).await?;
    check_changelog(client, &tables, changelog, &history, Purpose::Script).await?;
    let title = match target {
        RollbackTarget::Count(count) => format!("Rollback {count} Change(s) Script"),
        RollbackTarget::Tag(tag) => format!("Rollback to '{tag}' Script"),
        RollbackTarget::Date(date) => format!("Rollback to {date} Script"),
        RollbackTarget::ChangeSets(_) => "Rollback Script".to_owned(),
    };
    let steps = rollback_steps(changelog, &history, options, target)?;
    let mut script = Script::start(client, &tables).await?;
    script.write_header(&title, header);
    for step in steps {
        // Liquibase normalises the path in this comment alone.
        let id = ChangeSetId { file: path::normalise(&step.set.id.file), ..step.set.id.clone() };
        script.write_comment(&format!("Rolling Back ChangeSet: {id}"));
        script.write_search_path();
        let dialect = step.set.script_dialect(&tables.schema);
        let set = apply::with_rollback_types(&*client, step.set, &dialect).await;
        let set = set.map_err(Error::database("asking for the types of a table"))?;
        set.rollback_changes(|key| changelog.find(key, options))
            .for_each(|change| apply::notify_output(options, change));
        let statements = set.rollback_statements(&dialect, |key| changelog.find(key, options));
        let statements = statements.and_then(|statements| set.check_rollback_files().map(|()| statements));
        let statements = statements.map_err(|error| Error::RollbackImpossible {
            changeset: step.set.id.clone(),
            source: Box::new(error.into()),
            report: Box::new(Report::default()),
        })?;
        statements.iter().for_each(|statement| script.write_statement(statement));
        script.write_statement(&tables.delete_sql(step.row));
    }
    Ok(script.finish(&tables))
}

async fn forward_script(
    client: &mut Client,
    request: &CommandRequest<'_>,
    title: &str,
    header: &ScriptHeader,
) -> Result<String, Error> {
    let tables = Tables::locate(&*client, &request.options.locations).await?;
    let (plan, history) = validated_plan(client, &tables, request, Purpose::Script).await?;
    let original = search_path(&*client).await?;
    let mut script = Script::start(client, &tables).await?;
    script.write_header(title, header);
    // As in Liquibase, `changeSetExecuted` does not hold in a script that creates the history, and else sees what the script records.
    let (has_history, _) = tables.exist(client).await?;
    let no_history = History::default();
    let mut recorder = Recorder::new(history, deployment_id());
    for step in &plan.steps {
        match step {
            Step::UpgradeChecksum { index, checksum } => {
                let key = request.changelog.changesets[*index].key();
                if let Some(row) = recorder.history().find_key(&key) {
                    script.write_statement(&tables.set_checksum_sql(row, checksum));
                }
            }
            Step::Run { index, mark_ran } => {
                let set = &request.changelog.changesets[*index];
                let mut parts = Vec::new();
                let written = match request.mode {
                    _ if *mark_ran => Ok(Content::Row(ExecType::MarkRan)),
                    Mode::Record => Ok(Content::Row(ExecType::Executed)),
                    Mode::Run => {
                        let seen = if has_history { recorder.history() } else { &no_history };
                        let content = content(client, &tables, &original, seen, set).await;
                        match content {
                            Ok(Content::ChangesAndRow) => {
                                apply::generate_script(&*client, set, &tables.schema, request.options, &mut parts)
                                    .await
                                    .map(|()| Content::ChangesAndRow)
                            }
                            content => content,
                        }
                    }
                };
                match written {
                    // As in Liquibase, a changeset with `onValidationFail="MARK_RAN"` has no comment.
                    Ok(content) => {
                        if !*mark_ran {
                            script.write_changeset(set, &parts);
                        }
                        if content != Content::Nothing {
                            script.write_statement(&record_sql(&mut recorder, &tables, set, content));
                        }
                    }
                    Err(error) if !set.fail_on_error => {
                        let reason = error.to_string();
                        tracing::warn!(changeset = %set.id, reason, "no SQL for a change; it is left out, as failOnError says");
                        // As in Liquibase, the changes before it are in the script, and the row is not.
                        script.write_changeset(set, &parts);
                    }
                    Err(source) => {
                        let (changeset, report) = (set.id.clone(), Box::new(Report::default()));
                        return Err(Error::ChangeSet { changeset, source: Box::new(source), report });
                    }
                }
            }
        }
    }
    Ok(script.finish(&tables))
}

/// What a script contains for a changeset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Its changes and its row.
    ChangesAndRow,
    /// Its row alone.
    Row(ExecType),
    Nothing,
}

/// What the script contains for a changeset that runs, according to `onSqlOutput` of its preconditions. They are checked on the
/// database as it is now, without what the changesets before it would create.
async fn content(
    client: &mut Client,
    tables: &Tables,
    search_path: &str,
    history: &History,
    set: &ChangeSet,
) -> Result<Content, ChangeSetError> {
    let Some(preconditions) = &set.preconditions else { return Ok(Content::ChangesAndRow) };
    let verdict = match preconditions.sql_output {
        SqlOutput::Ignore => Verdict::Holds,
        SqlOutput::Fail => {
            let condition = ConditionError::SqlOutput;
            let message = preconditions.on_fail_message.clone();
            let error = PreconditionError { file: preconditions.file.clone(), message, condition };
            Verdict::Fails(preconditions.on_fail, error)
        }
        SqlOutput::Test => {
            let context = check_context(client, tables, history, set);
            check_preconditions(context, &set_search_path_sql(tables, search_path, true), preconditions).await?
        }
    };
    match verdict {
        Verdict::Holds | Verdict::Fails(Consequence::Warn, _) => Ok(Content::ChangesAndRow),
        Verdict::Fails(Consequence::MarkRan, _) => Ok(Content::Row(ExecType::MarkRan)),
        Verdict::Fails(Consequence::Continue, _) => Ok(Content::Nothing),
        Verdict::Fails(Consequence::Halt, error) => Err(ChangeSetError::Precondition(Box::new(error))),
    }
}

/// The statement that writes the row of a changeset.
fn record_sql(recorder: &mut Recorder, tables: &Tables, set: &ChangeSet, content: Content) -> String {
    let old: Option<HistoryRow> = match content {
        Content::ChangesAndRow => recorder.history().find_key(&set.key()).cloned(),
        Content::Row(_) | Content::Nothing => None,
    };
    let exec_type = match (content, &old) {
        (Content::Row(exec_type), _) => exec_type,
        (_, Some(_)) => ExecType::Reran,
        (_, None) => ExecType::Executed,
    };
    let row = recorder.next_row(set.row_content(), exec_type, 0);
    let sql = match &old {
        Some(old) => tables.rerun_sql(old, &row),
        None => tables.insert_sql(&row),
    };
    recorder.recorded(row, old.is_none());
    sql
}

/// The text of a script.
struct Script {
    text: String,
    set_search_path: String,
}

impl Script {
    /// The part that creates the tables and takes the lock.
    async fn start(client: &Client, tables: &Tables) -> Result<Self, Error> {
        let original = search_path(client).await?;
        let parts: Vec<String> = original
            .split(',')
            .map(str::trim)
            .map(|part| if part.starts_with('"') { part.to_owned() } else { format!("\"{part}\"") })
            .collect();
        let schema = Dialect { schema: String::new(), quoting: Quoting::Legacy, is_script: true }.name(&tables.schema);
        let set_search_path = format!("SET SEARCH_PATH TO {schema}, {}", parts.join(","));
        let mut script = Self { text: String::new(), set_search_path };
        let (has_changelog, has_lock) = tables.exist(client).await?;
        script.write_search_path();
        if !has_lock {
            script.write_comment("Create Database Lock Table");
            script.write_statement(&tables.create_lock_sql());
            script.write_comment("Initialize Database Lock Table");
            script.write_statement(&format!("DELETE FROM {}", tables.lock));
            script.write_statement(&format!("INSERT INTO {} (ID, LOCKED) VALUES (1, FALSE)", tables.lock));
        }
        script.write_comment("Lock Database");
        script.write_statement(&tables.take_lock_sql(&lock::unmarked_name()));
        script.write_search_path();
        if !has_changelog {
            script.write_comment("Create Database Change Log Table");
            script.write_statement(&tables.create_changelog_sql());
            script.write_search_path();
        }
        Ok(script)
    }

    fn write_header(&mut self, title: &str, header: &ScriptHeader) {
        let rule = "*".repeat(69);
        for line in [
            &rule,
            &title.to_owned(),
            &rule,
            &format!("Change Log: {}", header.changelog),
            &format!("Ran at: {}", header.ran_at),
            &format!("Against: {}", header.against),
            &format!("Liquibase version: {LIQUIBASE_VERSION}"),
            &rule,
        ] {
            self.write_comment(line);
        }
        self.text.push('\n');
        self.write_search_path();
    }

    fn write_changeset(&mut self, set: &ChangeSet, parts: &[ScriptPart]) {
        self.write_changeset_comment(set);
        for part in parts {
            match part {
                ScriptPart::Comment(text) => self.write_comment(text),
                ScriptPart::Statement(sql) => self.write_statement(sql),
            }
        }
    }

    fn write_changeset_comment(&mut self, set: &ChangeSet) {
        self.write_comment(&format!("Changeset {}", set.id));
        if !set.comments.is_empty() {
            self.write_comment(&set.comments);
        }
        self.write_search_path();
    }

    fn write_comment(&mut self, text: &str) {
        for line in text.lines() {
            self.text.push_str(&format!("-- {line}\n"));
        }
    }

    fn write_search_path(&mut self) {
        let set = self.set_search_path.clone();
        self.write_statement(&set);
    }

    /// A statement with a `;`, on a line of its own if the last line has a comment, which would otherwise include it.
    fn write_statement(&mut self, sql: &str) {
        let end = match sql {
            PREPARED_STATEMENT => "",
            _ if sql.ends_with(';') => "",
            _ if ends_in_line_comment(sql) && !is_line_comment(sql) => "\n;",
            _ => ";",
        };
        self.text.push_str(sql);
        self.text.push_str(end);
        self.text.push_str("\n\n");
    }

    fn finish(mut self, tables: &Tables) -> String {
        self.write_comment("Release Database Lock");
        self.write_search_path();
        self.write_statement(&tables.release_lock_sql());
        self.write_search_path();
        self.text
    }
}
