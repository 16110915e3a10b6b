//! The history of a database: the rows of DATABASECHANGELOG, in the order in which they ran.
//!
//! This file is the pure part, which plans use; `tables.rs` reads and writes the tables, `sql.rs` contains the SQL, and `recorder.rs`
//! builds the rows of a run.

pub(crate) mod recorder;
pub(crate) mod sql;
pub(crate) mod tables;

use std::collections::HashMap;

use crate::changeset_id::ChangeSetKey;
use crate::checksum::Checksum;

/// One row of DATABASECHANGELOG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// ID.
    pub id: String,
    /// AUTHOR.
    pub author: String,
    /// FILENAME, as stored.
    pub file: String,
    /// DATEEXECUTED as `2026-01-31 10:00:00.000000`, in the time zone of the session that wrote it.
    pub date_executed: String,
    /// ORDEREXECUTED.
    pub order_executed: i32,
    /// EXECTYPE: EXECUTED, RERAN or MARK_RAN.
    pub exec_type: String,
    /// MD5SUM; `None` if it was cleared.
    pub checksum: Option<String>,
    /// DESCRIPTION.
    pub description: Option<String>,
    /// COMMENTS.
    pub comments: Option<String>,
    /// TAG.
    pub tag: Option<String>,
    /// LIQUIBASE: the version of the program that wrote the row.
    pub liquibase: Option<String>,
    /// CONTEXTS.
    pub contexts: Option<String>,
    /// LABELS.
    pub labels: Option<String>,
    /// DEPLOYMENT_ID.
    pub deployment_id: Option<String>,
}

impl HistoryRow {
    /// Whether it has the tag, compared without case.
    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        self.tag.as_deref().is_some_and(|own| own.to_lowercase() == tag.to_lowercase())
    }

    pub(crate) fn key(&self) -> ChangeSetKey {
        ChangeSetKey::new(&self.file, &self.id, &self.author)
    }

    /// The stored checksum.
    pub(crate) fn parsed_checksum(&self) -> Option<Checksum> {
        self.checksum.as_deref().map(Checksum::parse)
    }
}

/// All rows, in the order in which they ran.
///
/// ```
/// use liquibase_compat::History;
///
/// let history = History::default();
/// assert!(history.find("log.xml", "1", "me").is_none());
/// ```
#[derive(Debug, Clone, Default)]
pub struct History {
    rows: Vec<HistoryRow>,
    /// The latest row of each changeset.
    latest: HashMap<ChangeSetKey, usize>,
}

impl History {
    /// A history of these rows, which must be in the order in which they ran.
    pub fn new(rows: Vec<HistoryRow>) -> Self {
        let latest = rows.iter().enumerate().map(|(index, row)| (row.key(), index)).collect();
        Self { rows, latest }
    }

    /// The rows, oldest first.
    pub fn rows(&self) -> &[HistoryRow] {
        &self.rows
    }

    /// The latest row of a changeset. Spellings of the same path are equal, and case is ignored.
    pub fn find(&self, file: &str, id: &str, author: &str) -> Option<&HistoryRow> {
        self.find_key(&ChangeSetKey::new(file, id, author))
    }

    /// Whether a row has the tag, compared without case.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.rows.iter().any(|row| row.has_tag(tag))
    }

    /// The ORDEREXECUTED of the next row.
    pub(crate) fn next_order(&self) -> i32 {
        self.rows.iter().map(|row| row.order_executed).max().unwrap_or(0).max(0).saturating_add(1)
    }

    pub(crate) fn find_key(&self, key: &ChangeSetKey) -> Option<&HistoryRow> {
        self.latest.get(key).map(|index| &self.rows[*index])
    }

    /// Adds the row of a changeset that has just run.
    pub(crate) fn add(&mut self, row: HistoryRow) {
        self.latest.insert(row.key(), self.rows.len());
        self.rows.push(row);
    }
}
