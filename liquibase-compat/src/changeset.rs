//! A changeset: what is run as one, and recorded as one row of the history.

use std::fmt;

use crate::change::Change;
use crate::checksum::{Checksum, ChecksumVersion};
use crate::expression;
use crate::options::Options;
use crate::path;
use crate::plan::FilterReason;
use crate::precondition::Preconditions;
use crate::sql::{Dialect, Quoting, Splitting, split};

/// What a changeset is known by: shown as `file::id::author`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChangeSetId {
    /// The file name as it is stored.
    pub file: String,
    /// The id as written.
    pub id: String,
    /// The author as written.
    pub author: String,
}

impl fmt::Display for ChangeSetId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}::{}::{}", self.file, self.id, self.author)
    }
}

/// A changeset's identity, as histories are searched by it: any spelling of the path, any case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(String, String, String);

impl Key {
    pub(crate) fn new(file: &str, id: &str, author: &str) -> Self {
        Self(path::normalise(file).to_lowercase(), id.to_lowercase(), author.to_lowercase())
    }
}

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
    pub(crate) on_validation_fail: OnValidationFail,
    pub(crate) quoting: Quoting,
    pub(crate) comments: String,
    pub(crate) valid_checksums: Vec<Checksum>,
    pub(crate) preconditions: Option<Preconditions>,
    pub(crate) changes: Vec<Change>,
    /// Its own rollback; none if the inverses of its changes are meant.
    pub(crate) rollback: Option<Vec<RollbackPart>>,
}

/// The longest text of DESCRIPTION and COMMENTS, in characters.
const MAX_TEXT: usize = 250;

impl ChangeSet {
    pub(crate) fn key(&self) -> Key {
        Key::new(&self.id.file, &self.id.id, &self.id.author)
    }

    /// Whether it is there at all on PostgreSQL: neither ignored nor meant for another database.
    pub(crate) fn is_visible(&self) -> bool {
        !self.ignore && expression::for_postgresql(&self.dbms)
    }

    /// Why it takes no part in a run with these options; none if it does.
    pub(crate) fn left_out(&self, options: &Options) -> Option<FilterReason> {
        let fits = |expression: &String| expression::matches(expression, &options.contexts);
        if self.ignore {
            Some(FilterReason::Ignored)
        } else if !expression::for_postgresql(&self.dbms) {
            Some(FilterReason::Dbms)
        } else if !self.contexts.iter().all(fits) {
            Some(FilterReason::Context)
        } else if !self.passes_labels(&options.label_filter) {
            Some(FilterReason::Label)
        } else {
            None
        }
    }

    fn passes_labels(&self, filter: &str) -> bool {
        let labels: Vec<String> =
            self.stored_labels().map_or_else(Vec::new, |labels| labels.split(',').map(str::to_owned).collect());
        // Without labels it passes any filter, even one that only a label marked with @ would pass.
        labels.is_empty() || expression::matches(filter, &labels)
    }

    /// The checksum of all its changes.
    pub(crate) fn checksum(&self, version: ChecksumVersion) -> Checksum {
        self.checksum_numbered(version, version.number())
    }

    /// Its checksum by the rules and under the number of a stored one.
    pub(crate) fn checksum_like(&self, stored: &Checksum) -> Checksum {
        let rules = stored.rules();
        self.checksum_numbered(rules, stored.version().min(rules.number()))
    }

    /// The sums of the changes go in with their version number, which older sums than 8 have of their own.
    fn checksum_numbered(&self, rules: ChecksumVersion, number: u32) -> Checksum {
        let mut text = String::new();
        for change in &self.changes {
            if rules == ChecksumVersion::V8 || change.applies() {
                text.push_str(&format!("{}:", change.checksum(rules).numbered(number)));
            }
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

    /// The SQL of all its changes.
    pub(crate) fn statements(&self, schema: &str) -> Vec<String> {
        let dialect = self.dialect(schema);
        self.changes.iter().flat_map(|change| change.statements(&dialect)).collect()
    }

    /// The SQL that undoes it; `others` finds the changesets it may refer to.
    ///
    /// # Errors
    /// When nothing undoes one of its changes, or it refers to a changeset that does not exist.
    pub(crate) fn rollback_statements<'a>(
        &self,
        schema: &str,
        others: impl Fn(&Key) -> Option<&'a Self>,
    ) -> Result<Vec<String>, String> {
        let dialect = self.dialect(schema);
        let mut out = Vec::new();
        let Some(parts) = &self.rollback else {
            for change in self.changes.iter().rev() {
                out.extend(change.inverse(&dialect)?);
            }
            return Ok(out);
        };
        for part in parts {
            match part {
                RollbackPart::Sql(text) => {
                    out.extend(split(text, Splitting { split: true, strip_comments: true, delimiter: None }));
                }
                RollbackPart::Change(change) => out.extend(change.statements(&dialect)),
                RollbackPart::Reference(id) => match others(&Key::new(&id.file, &id.id, &id.author)) {
                    Some(other) => out.extend(other.statements(schema)),
                    None => {
                        return Err(format!("its rollback refers to {id}, which is not in the changelog"));
                    }
                },
            }
        }
        Ok(out)
    }
}

/// A text as long as a column of the history takes it.
fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX_TEXT {
        return text.to_owned();
    }
    text.chars().take(MAX_TEXT - 3).chain("...".chars()).collect()
}
