//! The rows that one run adds to the history.

use super::sql::LIQUIBASE_VERSION;
use super::{History, HistoryRow};
use crate::changeset_id::ChangeSetId;

/// EXECTYPE: how a changeset came to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExecType {
    Executed,
    Reran,
    MarkRan,
}

impl ExecType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Executed => "EXECUTED",
            Self::Reran => "RERAN",
            Self::MarkRan => "MARK_RAN",
        }
    }
}

/// The columns of a row that depend on the changeset alone.
#[derive(Debug, Clone)]
pub(crate) struct RowContent {
    pub(crate) id: ChangeSetId,
    pub(crate) checksum: String,
    pub(crate) description: String,
    pub(crate) comments: String,
    pub(crate) tag: Option<String>,
    pub(crate) contexts: Option<String>,
    pub(crate) labels: Option<String>,
}

/// Numbers the rows of a run, and keeps a history that includes them.
#[derive(Debug)]
pub(crate) struct Recorder {
    history: History,
    next_order: i32,
    deployment_id: String,
}

impl Recorder {
    pub(crate) fn new(history: History, deployment_id: String) -> Self {
        Self { next_order: history.next_order(), history, deployment_id }
    }

    /// The history, including the rows recorded so far.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// What the rows of this run have in common.
    pub(crate) fn deployment_id(&self) -> &str {
        &self.deployment_id
    }

    /// The row after `ahead` others that are not recorded yet. DATEEXECUTED is empty, because the server sets it.
    pub(crate) fn next_row(&self, content: RowContent, exec_type: ExecType, ahead: usize) -> HistoryRow {
        HistoryRow {
            id: content.id.id,
            author: content.id.author,
            file: content.id.file,
            date_executed: String::new(),
            order_executed: self.next_order.saturating_add(i32::try_from(ahead).unwrap_or(i32::MAX)),
            exec_type: exec_type.as_str().to_owned(),
            checksum: Some(content.checksum),
            description: Some(content.description),
            comments: Some(content.comments),
            tag: content.tag,
            liquibase: Some(LIQUIBASE_VERSION.to_owned()),
            contexts: content.contexts,
            labels: content.labels,
            deployment_id: Some(self.deployment_id.clone()),
        }
    }

    /// Counts a row that was written: a new one, or one that replaced the columns of an older row.
    pub(crate) fn recorded(&mut self, row: HistoryRow, is_new: bool) {
        self.next_order = self.next_order.saturating_add(1);
        if is_new {
            self.history.add(row);
        }
    }
}
