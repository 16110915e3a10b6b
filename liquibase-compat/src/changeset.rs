//! A changeset: what is run as one, and recorded as one row of the history.

use crate::attachment::Surroundings;
use crate::change::Change;
use crate::changeset_id::{ChangeSetId, ChangeSetKey};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::error::LoadError;
use crate::expression;
use crate::modify_sql::{ContextField, Visitor};
use crate::options::Options;
use crate::plan::FilterReason;
use crate::precondition::Preconditions;
use crate::sql::{Dialect, Quoting, Splitting, split};

/// What happens to a changeset that fails validation (`onValidationFail`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnValidationFail {
    Halt,
    MarkRan,
}

/// One part of a changeset's own rollback.
#[derive(Debug, Clone)]
pub(crate) enum RollbackPart {
    /// SQL text.
    Sql(String),
    /// A change, run forward.
    Change(Change),
    /// The changes of another changeset, run forward.
    Reference(ChangeSetId),
}

/// One changeset of a changelog.
#[derive(Debug, Clone)]
pub(crate) struct ChangeSet {
    pub(crate) id: ChangeSetId,
    /// Context expressions of the files around it, innermost first, and its own; all must hold.
    pub(crate) contexts: Vec<String>,
    /// Labels of the includes around it and its own, as written.
    pub(crate) labels: Vec<String>,
    pub(crate) dbms: String,
    pub(crate) ignore: bool,
    pub(crate) run_always: bool,
    pub(crate) run_on_change: bool,
    pub(crate) fail_on_error: bool,
    pub(crate) run_in_transaction: bool,
    /// The program that its SQL is meant for, if that is not the connection.
    pub(crate) run_with: Option<String>,
    pub(crate) on_validation_fail: OnValidationFail,
    pub(crate) quoting: Quoting,
    pub(crate) comments: String,
    pub(crate) valid_checksums: Vec<Checksum>,
    pub(crate) preconditions: Option<Preconditions>,
    pub(crate) changes: Vec<Change>,
    /// What is done to its SQL (`modifySql`).
    pub(crate) visitors: Vec<Visitor>,
    /// Its own rollback; none if the inverses of its changes are meant.
    pub(crate) rollback: Option<Vec<RollbackPart>>,
}

/// The longest text of DESCRIPTION and COMMENTS, in characters.
const MAX_TEXT: usize = 250;

/// What Liquibase says of formatted SQL without a rollback.
const NO_SQL_ROLLBACK: &str = "Liquibase does not support automatic rollback generation for raw sql changes (did you mean to specify \
                               keyword \"empty\" to ignore rolling back this change?)";

impl ChangeSet {
    pub(crate) fn key(&self) -> ChangeSetKey {
        self.id.key()
    }

    /// Reads the files that its changes name, and leaves out what of modifySql is not meant for this run.
    ///
    /// # Errors
    /// When a property in a file refers to itself.
    pub(crate) fn settle(&mut self, around: Surroundings<'_>) -> Result<(), LoadError> {
        self.visitors.retain(|visitor| visitor.applies(around.options));
        let own = self.rollback.iter_mut().flatten().filter_map(|part| match part {
            RollbackPart::Change(change) => Some(change),
            RollbackPart::Sql(_) | RollbackPart::Reference(_) => None,
        });
        self.changes.iter_mut().chain(own).try_for_each(|change| change.attach(around))
    }

    /// Whether it is there at all on PostgreSQL: neither ignored nor meant for another database.
    pub(crate) fn is_visible(&self) -> bool {
        !self.ignore && expression::for_postgresql(&self.dbms)
    }

    /// Whether Liquibase does not even read it: what is for another database is passed over, but not in a file of formatted SQL.
    pub(crate) fn is_passed_over(&self) -> bool {
        !expression::for_postgresql(&self.dbms) && !self.id.file.to_ascii_lowercase().ends_with(".sql")
    }

    /// All the reasons why it takes no part in a run with these options, in their order.
    pub(crate) fn left_out(&self, options: &Options) -> Vec<FilterReason> {
        let fits = |expression: &String| expression::matches(expression, &options.contexts);
        let reasons = [
            (!self.contexts.iter().all(fits), FilterReason::Context),
            (!self.passes_labels(&options.label_filter), FilterReason::Label),
            (!expression::for_postgresql(&self.dbms), FilterReason::Dbms),
            (self.ignore, FilterReason::Ignored),
        ];
        reasons.into_iter().filter_map(|(holds, reason)| holds.then_some(reason)).collect()
    }

    fn passes_labels(&self, filter: &str) -> bool {
        let labels: Vec<String> =
            self.stored_labels().map_or_else(Vec::new, |labels| labels.split(',').map(str::to_owned).collect());
        // Without labels it passes any filter, even one that only a label marked with @ would pass.
        labels.is_empty() || expression::matches(filter, &labels)
    }

    /// The checksum of all its changes.
    pub(crate) fn checksum(&self, version: ChecksumVersion) -> Checksum {
        self.checksum_numbered(version, version.number(), ContextField::Filter)
    }

    /// Its checksum by the rules and under the number of a stored one.
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

    /// The sums of the changes go in with their version number, which older sums than 8 have of their own.
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

    /// Whether a row with this checksum is of this changeset as it is now.
    pub(crate) fn accepts(&self, stored: Option<&Checksum>) -> bool {
        let Some(stored) = stored else { return true };
        let current = self.checksum_like(stored);
        current == *stored
            || self.valid_checksums.iter().any(|valid| valid.is_any() || *valid == current || valid == stored)
    }

    /// What DESCRIPTION stores.
    pub(crate) fn description(&self) -> String {
        if self.changes.is_empty() {
            return "empty".to_owned();
        }
        let parts: Vec<String> = self.changes.iter().map(Change::description).collect();
        shortened(&parts.join("; "))
    }

    /// What COMMENTS stores.
    pub(crate) fn stored_comments(&self) -> String {
        shortened(&self.comments)
    }

    /// What CONTEXTS stores.
    pub(crate) fn stored_contexts(&self) -> Option<String> {
        let wrapped = |part: &String| {
            if part.contains([',', ' ']) { format!("({part})") } else { part.clone() }
        };
        let parts: Vec<String> = self.contexts.iter().map(wrapped).collect();
        (!parts.is_empty()).then(|| parts.join(" AND "))
    }

    /// What LABELS stores.
    pub(crate) fn stored_labels(&self) -> Option<String> {
        let labels: Vec<String> = self
            .labels
            .iter()
            .flat_map(|list| list.split(','))
            .map(|label| label.trim().to_lowercase())
            .filter(|label| !label.is_empty())
            .collect();
        (!labels.is_empty()).then(|| labels.join(","))
    }

    /// The tag its row gets.
    pub(crate) fn tag(&self) -> Option<&str> {
        self.changes.iter().find_map(Change::tag)
    }

    /// The dialect its SQL is written in.
    pub(crate) fn dialect(&self, schema: &str) -> Dialect {
        Dialect { schema: schema.to_owned(), quoting: self.quoting }
    }

    /// The SQL of all its changes, as far as it can be told without asking the database.
    ///
    /// # Errors
    /// When a change has none, and why.
    pub(crate) fn statements(&self, schema: &str) -> Result<Vec<String>, String> {
        let dialect = self.dialect(schema);
        let mut out = Vec::new();
        for change in &self.changes {
            out.extend(change.statements(&dialect)?);
        }
        self.modified(out)
    }

    /// The statements as modifySql makes them.
    ///
    /// # Errors
    /// When an expression of it cannot be matched.
    pub(crate) fn modified(&self, statements: Vec<String>) -> Result<Vec<String>, String> {
        modify(statements, self.visitors.iter())
    }

    /// The SQL that undoes it; `others` finds the changesets it may refer to.
    ///
    /// # Errors
    /// When nothing undoes one of its changes, or it refers to a changeset that does not exist.
    pub(crate) fn rollback_statements<'a>(
        &self,
        schema: &str,
        others: impl Fn(&ChangeSetKey) -> Option<&'a Self>,
    ) -> Result<Vec<String>, String> {
        let dialect = self.dialect(schema);
        let mut out = Vec::new();
        match &self.rollback {
            None if self.id.file.to_lowercase().ends_with(".sql") => return Err(NO_SQL_ROLLBACK.to_owned()),
            None => {
                for change in self.changes.iter().rev() {
                    out.extend(change.inverse(&dialect)?);
                }
            }
            Some(parts) => {
                for part in parts {
                    out.extend(self.part_statements(part, &dialect, &others)?);
                }
            }
        }
        modify(out, self.visitors.iter().filter(|visitor| visitor.applies_to_rollback()))
    }

    fn part_statements<'a>(
        &self,
        part: &RollbackPart,
        dialect: &Dialect,
        others: &impl Fn(&ChangeSetKey) -> Option<&'a Self>,
    ) -> Result<Vec<String>, String> {
        match part {
            RollbackPart::Sql(text) => {
                Ok(split(text, Splitting { split: true, strip_comments: true, delimiter: None }))
            }
            RollbackPart::Change(change) => change.statements(dialect),
            RollbackPart::Reference(id) => match others(&ChangeSetKey::new(&id.file, &id.id, &id.author)) {
                Some(other) => other.statements(&dialect.schema),
                None => Err(format!("its rollback refers to {id}, which is not in the changelog")),
            },
        }
    }
}

fn modify<'a>(mut statements: Vec<String>, visitors: impl Iterator<Item = &'a Visitor>) -> Result<Vec<String>, String> {
    for visitor in visitors {
        for statement in &mut statements {
            *statement = visitor.modify(statement)?;
        }
    }
    Ok(statements)
}

/// A text as long as a column of the history takes it.
fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX_TEXT {
        return text.to_owned();
    }
    text.chars().take(MAX_TEXT - 3).chain("...".chars()).collect()
}
