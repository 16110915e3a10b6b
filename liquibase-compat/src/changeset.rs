//! A changeset: changes that run together, and that are recorded as one row of the history.

use crate::change::{Change, ChangeError};
use crate::changeset_error::SqlGenerationError;
use crate::changeset_id::{ChangeSetId, ChangeSetKey};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::expression::{self, UnreadableExpression};
use crate::external_file::LoadContext;
use crate::filter::FilterReason;
use crate::history::recorder::RowContent;
use crate::load_error::LoadError;
use crate::modify_sql::{ContextField, Visitor};
use crate::options::Options;
use crate::precondition::Preconditions;
use crate::sql::{Dialect, PREPARED_STATEMENT, Quoting, Splitting, jdbc, split};
use crate::validation_problem::ValidationProblem;

/// What happens to a changeset that fails validation (`onValidationFail`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnValidationFail {
    Halt,
    MarkRan,
}

/// One part of the rollback that a changeset declares.
#[derive(Debug, Clone)]
pub(crate) enum RollbackPart {
    /// SQL text.
    Sql(String),
    /// A change that runs forwards.
    Change(Change),
    /// Another changeset, whose changes run forwards.
    Reference(ChangeSetId),
}

/// One changeset of a changelog.
#[derive(Debug, Clone)]
pub(crate) struct ChangeSet {
    pub(crate) id: ChangeSetId,
    /// The context expressions of the including files, innermost first, and its own. All must match.
    pub(crate) contexts: Vec<String>,
    /// The lists of labels of the including files and, as the last, its own list, which may be empty. All must match the label filter.
    pub(crate) labels: Vec<String>,
    pub(crate) dbms: String,
    /// Whether it was read from a file of formatted SQL, whatever path the history stores for it.
    pub(crate) is_formatted_sql: bool,
    pub(crate) ignore: bool,
    pub(crate) run_always: bool,
    pub(crate) run_on_change: bool,
    pub(crate) fail_on_error: bool,
    pub(crate) run_in_transaction: bool,
    /// The program that is to run its SQL, if it is not the JDBC connection.
    pub(crate) run_with: Option<String>,
    pub(crate) on_validation_fail: OnValidationFail,
    pub(crate) quoting: Quoting,
    pub(crate) comments: String,
    pub(crate) valid_checksums: Vec<Checksum>,
    pub(crate) preconditions: Option<Preconditions>,
    pub(crate) changes: Vec<Change>,
    /// The modifications of its SQL (`modifySql`).
    pub(crate) visitors: Vec<Visitor>,
    /// The contexts of a `modifySql` that cannot be read.
    pub(crate) unreadable_visitor: Option<UnreadableExpression>,
    /// The rollback that it declares; `None` if the inverses of its changes roll it back.
    pub(crate) rollback: Option<Vec<RollbackPart>>,
}

/// The longest text in DESCRIPTION and COMMENTS, in characters.
const MAX_HISTORY_TEXT_CHARS: usize = 250;

impl ChangeSet {
    pub(crate) fn key(&self) -> ChangeSetKey {
        self.id.key()
    }

    /// Reads the files that its changes name, and removes the modifications of SQL that do not apply to this run.
    ///
    /// # Errors
    /// When a property in a file refers to itself.
    pub(crate) fn resolve_files(&mut self, context: LoadContext<'_>) -> Result<(), LoadError> {
        let unreadable = &mut self.unreadable_visitor;
        self.visitors.retain(|visitor| match visitor.applies(context.options) {
            Ok(applies) => applies,
            Err(error) => {
                unreadable.get_or_insert(error);
                false
            }
        });
        let own = self.rollback.iter_mut().flatten().filter_map(|part| match part {
            RollbackPart::Change(change) => Some(change),
            RollbackPart::Sql(_) | RollbackPart::Reference(_) => None,
        });
        self.changes.iter_mut().chain(own).try_for_each(|change| change.resolve_files(context))
    }

    /// Whether Liquibase drops it when it reads the changelog, because it is for another database. Liquibase keeps such a changeset
    /// in a file of formatted SQL.
    pub(crate) fn is_dropped_by_dbms(&self) -> bool {
        !self.is_formatted_sql && !expression::for_postgresql_in_any_case(&self.dbms)
    }

    /// Why it takes no part in a run with these options; empty if it does.
    pub(crate) fn filter_reasons(&self, options: &Options) -> Vec<FilterReason> {
        let reasons = [
            (!self.passes_contexts(&options.contexts).unwrap_or(false), FilterReason::Context),
            (!self.passes_labels(&options.label_filter).unwrap_or(false), FilterReason::Label),
            (!expression::for_postgresql_in_any_case(&self.dbms), FilterReason::Dbms),
            (self.ignore, FilterReason::Ignored),
        ];
        reasons.into_iter().filter_map(|(holds, reason)| holds.then_some(reason)).collect()
    }

    /// Evaluates its contexts and labels, and those of its `modifySql`, in the order of Liquibase.
    ///
    /// # Errors
    /// When an expression that decides about it cannot be read.
    pub(crate) fn check_expressions(&self, options: &Options) -> Result<(), UnreadableExpression> {
        if let Some(error) = &self.unreadable_visitor {
            return Err(error.clone());
        }
        self.passes_contexts(&options.contexts)?;
        self.passes_labels(&options.label_filter)?;
        Ok(())
    }

    fn passes_contexts(&self, contexts: &[String]) -> Result<bool, UnreadableExpression> {
        own_first(&self.contexts, |expression| expression::contexts_match(expression, contexts))
    }

    fn passes_labels(&self, filter: &str) -> Result<bool, UnreadableExpression> {
        own_first(&self.labels, |labels| expression::labels_match(filter, labels))
    }

    /// Its checksum.
    pub(crate) fn checksum(&self, version: ChecksumVersion) -> Checksum {
        self.checksum_numbered(version, version.number(), ContextField::Filter)
    }

    /// Its checksum, computed by the rules of a stored checksum and with the number of that checksum.
    pub(crate) fn checksum_like(&self, stored: &Checksum) -> Checksum {
        let rules = stored.rules();
        let number = stored.version().min(rules.number());
        let usual = self.checksum_numbered(rules, number, ContextField::Filter);
        if usual == *stored || rules == ChecksumVersion::V9 || !self.visitors.iter().any(Visitor::has_contexts) {
            return usual;
        }
        let older = self.checksum_numbered(rules, number, ContextField::Contexts);
        if older == *stored { older } else { usual }
    }

    /// The checksum includes the version numbers of the checksums of its changes. Versions before 8 use the rules of 8 with their own
    /// number.
    fn checksum_numbered(&self, rules: ChecksumVersion, number: u32, context_field: ContextField) -> Checksum {
        let mut text = String::new();
        for change in &self.changes {
            if rules == ChecksumVersion::V8 || change.applies() {
                text.push_str(&format!("{}:", change.checksum(rules).numbered(number)));
            }
        }
        for visitor in &self.visitors {
            text.push_str(&format!("{};", visitor.checksum(rules, context_field).numbered(number)));
        }
        Checksum::of_text(rules, &text).numbered(number)
    }

    /// Whether a row with this checksum matches the changeset as it is now.
    pub(crate) fn accepts_checksum(&self, stored: Option<&Checksum>) -> bool {
        let Some(stored) = stored else { return true };
        let current = self.checksum_like(stored);
        current == *stored
            || self.valid_checksums.iter().any(|valid| valid.is_any() || *valid == current || valid == stored)
    }

    /// The value of DESCRIPTION.
    pub(crate) fn description(&self) -> String {
        if self.changes.is_empty() {
            return "empty".to_owned();
        }
        let parts: Vec<String> = self.changes.iter().map(Change::description).collect();
        truncate(&parts.join("; "))
    }

    /// The value of COMMENTS.
    pub(crate) fn stored_comments(&self) -> String {
        truncate(&self.comments)
    }

    /// The value of CONTEXTS.
    pub(crate) fn stored_contexts(&self) -> Option<String> {
        let wrapped = |part: &String| {
            if part.contains([',', ' ']) { format!("({part})") } else { part.clone() }
        };
        let parts: Vec<String> = self.contexts.iter().map(wrapped).collect();
        (!parts.is_empty()).then(|| parts.join(" AND "))
    }

    /// The value of LABELS.
    pub(crate) fn stored_labels(&self) -> Option<String> {
        let lists = self.labels.iter().map(|labels| expression::list(labels).join(","));
        let labels: Vec<String> = lists.filter(|labels| !labels.is_empty()).collect();
        (!labels.is_empty()).then(|| labels.join(","))
    }

    /// The tag of its row.
    pub(crate) fn tag(&self) -> Option<&str> {
        self.changes.iter().find_map(Change::tag)
    }

    /// The columns of its row that do not depend on the run.
    pub(crate) fn row_content(&self) -> RowContent {
        RowContent {
            id: self.id.clone(),
            checksum: self.checksum(ChecksumVersion::V9).to_string(),
            description: self.description(),
            comments: self.stored_comments(),
            tag: self.tag().map(str::to_owned),
            contexts: self.stored_contexts(),
            labels: self.stored_labels(),
        }
    }

    /// The dialect of its SQL.
    pub(crate) fn dialect(&self, schema: &str) -> Dialect {
        Dialect { schema: schema.to_owned(), quoting: self.quoting, is_script: false }
    }

    /// The dialect of its SQL in a script.
    pub(crate) fn script_dialect(&self, schema: &str) -> Dialect {
        Dialect { is_script: true, ..self.dialect(schema) }
    }

    /// The SQL of all its changes, as far as it does not depend on the database.
    ///
    /// # Errors
    /// When a change has no SQL.
    pub(crate) fn statements(&self, schema: &str) -> Result<Vec<String>, SqlGenerationError> {
        let dialect = self.dialect(schema);
        let mut out = Vec::new();
        for change in &self.changes {
            out.extend(self.change_statements(change, &dialect)?);
        }
        self.modified(out)
    }

    /// The SQL of one of its changes; empty for a data file that `failOnError` ignores.
    ///
    /// # Errors
    /// When the change has no SQL.
    pub(crate) fn change_statements(
        &self,
        change: &Change,
        dialect: &Dialect,
    ) -> Result<Vec<String>, SqlGenerationError> {
        match change.statements(dialect) {
            Err(ChangeError::LoadData(error)) if !self.fail_on_error && error.is_ignored_without_fail_on_error() => {
                tracing::warn!(changeset = %self.id, %error, "a data file is not loaded; going on, as failOnError says");
                Ok(Vec::new())
            }
            statements => statements.map_err(SqlGenerationError::Change),
        }
    }

    /// The statements after the modifications of `modifySql`.
    ///
    /// # Errors
    /// When an expression cannot be matched.
    pub(crate) fn modified(&self, statements: Vec<String>) -> Result<Vec<String>, SqlGenerationError> {
        modify(statements, self.visitors.iter())
    }

    /// The SQL that rolls it back. `others` finds the changesets that its rollback may refer to.
    ///
    /// # Errors
    /// When a change has no inverse, or its rollback refers to a changeset that does not exist.
    pub(crate) fn rollback_statements<'a>(
        &self,
        dialect: &Dialect,
        others: impl Fn(&ChangeSetKey) -> Option<&'a Self>,
    ) -> Result<Vec<String>, SqlGenerationError> {
        let mut out = Vec::new();
        match &self.rollback {
            None => {
                let is_sql_file = self.id.file.to_lowercase().ends_with(".sql");
                for change in self.changes.iter().rev() {
                    if is_sql_file && change.is_sql() {
                        return Err(SqlGenerationError::NoSqlRollback);
                    }
                    out.extend(change.inverse(dialect).map_err(SqlGenerationError::Change)?);
                }
            }
            Some(parts) => {
                for part in parts {
                    out.extend(self.part_statements(part, dialect, &others)?);
                }
            }
        }
        modify(out, self.visitors.iter().filter(|visitor| visitor.applies_to_rollback()))
    }

    /// The changes in its rollback, also those of the changesets that it refers to.
    pub(crate) fn rollback_changes<'a>(
        &'a self,
        others: impl Fn(&ChangeSetKey) -> Option<&'a Self> + 'a,
    ) -> impl Iterator<Item = &'a Change> + 'a {
        self.rollback.iter().flatten().flat_map(move |part| match part {
            RollbackPart::Change(change) => std::slice::from_ref(change).iter(),
            RollbackPart::Reference(id) => others(&id.key()).map_or(&[][..], |other| &other.changes[..]).iter(),
            RollbackPart::Sql(_) => [].iter(),
        })
    }

    /// Checks that the files exist that its rollback names for other databases. Liquibase finds out when it has rolled the changeset back.
    ///
    /// # Errors
    /// When a file does not exist.
    pub(crate) fn check_rollback_files(&self) -> Result<(), SqlGenerationError> {
        for part in self.rollback.iter().flatten() {
            let RollbackPart::Change(change) = part else { continue };
            let problem = (!change.applies()).then(|| change.problems().into_iter().next()).flatten();
            if let Some(ValidationProblem::File(error)) = problem {
                return Err(SqlGenerationError::Change(ChangeError::File(error)));
            }
        }
        Ok(())
    }

    fn part_statements<'a>(
        &self,
        part: &RollbackPart,
        dialect: &Dialect,
        others: &impl Fn(&ChangeSetKey) -> Option<&'a Self>,
    ) -> Result<Vec<String>, SqlGenerationError> {
        match part {
            RollbackPart::Sql(text) => {
                let statements = split(text, Splitting { split: true, strip_comments: true, delimiter: None });
                let meant = statements.iter().filter(|statement| !means_nothing(statement));
                Ok(meant.map(|statement| jdbc::native(statement).into_owned()).collect())
            }
            RollbackPart::Change(change) => rollback_change(change, dialect),
            RollbackPart::Reference(id) => {
                let Some(other) = others(&id.key()) else {
                    return Err(SqlGenerationError::UnknownReference { reference: Box::new(id.clone()) });
                };
                let statements = other.changes.iter().map(|change| rollback_change(change, dialect));
                Ok(statements.collect::<Result<Vec<_>, _>>()?.concat())
            }
        }
    }
}

/// Whether the text of a rollback is the word for one that does nothing.
fn means_nothing(sql: &str) -> bool {
    sql.trim().eq_ignore_ascii_case("empty")
}

/// The SQL of a change that stands in a rollback.
fn rollback_change(change: &Change, dialect: &Dialect) -> Result<Vec<String>, SqlGenerationError> {
    if change.sql_text().is_some_and(means_nothing) {
        return Ok(Vec::new());
    }
    if !change.applies() {
        return Ok(Vec::new());
    }
    let problems = change.problems();
    if !problems.is_empty() {
        return Err(SqlGenerationError::InvalidRollback { problems });
    }
    change.statements(dialect).map_err(SqlGenerationError::Change)
}

fn modify<'a>(
    mut statements: Vec<String>,
    visitors: impl Iterator<Item = &'a Visitor>,
) -> Result<Vec<String>, SqlGenerationError> {
    for visitor in visitors {
        for statement in statements.iter_mut().filter(|statement| statement.as_str() != PREPARED_STATEMENT) {
            *statement = visitor.modify(statement).map_err(SqlGenerationError::ModifySql)?;
        }
    }
    Ok(statements)
}

/// The text, cut to the length that the history stores.
fn truncate(text: &str) -> String {
    if text.chars().count() <= MAX_HISTORY_TEXT_CHARS {
        return text.to_owned();
    }
    text.chars().take(MAX_HISTORY_TEXT_CHARS - 3).chain("...".chars()).collect()
}

/// Whether all parts hold. As in Liquibase, the last one, which is a changeset's own, is evaluated first, and none after one that does not hold.
fn own_first(
    parts: &[String],
    holds: impl Fn(&str) -> Result<bool, UnreadableExpression>,
) -> Result<bool, UnreadableExpression> {
    let Some((own, inherited)) = parts.split_last() else { return Ok(true) };
    for part in std::iter::once(own).chain(inherited) {
        if !holds(part)? {
            return Ok(false);
        }
    }
    Ok(true)
}
