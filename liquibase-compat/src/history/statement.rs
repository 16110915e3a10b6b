//! The SQL that writes the history, as text: it is run, and it is what the `-sql` commands show.

use super::HistoryRow;
use super::table::{CHANGELOG_COLUMNS, LOCK_COLUMNS, Tables};
use crate::changeset::ChangeSet;
use crate::checksum::{Checksum, ChecksumVersion};
use crate::sql::literal;

/// What the LIQUIBASE column says: the version whose behaviour this crate has.
pub(crate) const LIQUIBASE: &str = "4.28.0";

/// What a row says besides the changeset itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// ORDEREXECUTED.
    pub(crate) order: i32,
    /// EXECTYPE.
    pub(crate) exec_type: &'a str,
    /// DEPLOYMENT_ID.
    pub(crate) deployment_id: &'a str,
}

impl Entry<'_> {
    /// The row of a changeset that ran, or was marked so; the time is the server's and stays empty here.
    pub(crate) fn row(&self, set: &ChangeSet) -> HistoryRow {
        HistoryRow {
            id: set.id.id.clone(),
            author: set.id.author.clone(),
            file: set.id.file.clone(),
            date_executed: String::new(),
            order_executed: self.order,
            exec_type: self.exec_type.to_owned(),
            checksum: Some(set.checksum(ChecksumVersion::V9).to_string()),
            description: Some(set.description()),
            comments: Some(set.stored_comments()),
            tag: set.tag().map(str::to_owned),
            liquibase: Some(LIQUIBASE.to_owned()),
            contexts: set.stored_contexts(),
            labels: set.stored_labels(),
            deployment_id: Some(self.deployment_id.to_owned()),
        }
    }
}

impl Tables {
    /// Makes DATABASECHANGELOG.
    pub(crate) fn create_changelog_sql(&self) -> String {
        format!("CREATE TABLE {} ({})", self.changelog, upper_names(CHANGELOG_COLUMNS))
    }

    /// Makes DATABASECHANGELOGLOCK.
    pub(crate) fn create_lock_sql(&self) -> String {
        format!("CREATE TABLE {} ({})", self.lock, upper_names(LOCK_COLUMNS))
    }

    /// Takes the row of DATABASECHANGELOGLOCK in somebody's name.
    pub(crate) fn take_lock_sql(&self, name: &str) -> String {
        format!(
            "UPDATE {} SET LOCKED = TRUE, LOCKEDBY = {}, LOCKGRANTED = NOW() WHERE ID = 1 AND LOCKED = FALSE",
            self.lock,
            literal(name)
        )
    }

    /// Gives the row of DATABASECHANGELOGLOCK back, whoever holds it.
    pub(crate) fn release_lock_sql(&self) -> String {
        format!("UPDATE {} SET LOCKED = FALSE, LOCKEDBY = NULL, LOCKGRANTED = NULL WHERE ID = 1", self.lock)
    }

    /// Adds a row.
    pub(crate) fn insert_sql(&self, row: &HistoryRow) -> String {
        let (tag_column, tag) = match &row.tag {
            Some(tag) => (", TAG", format!(", {}", literal(tag))),
            None => ("", String::new()),
        };
        format!(
            "INSERT INTO {} (ID, AUTHOR, FILENAME, DATEEXECUTED, ORDEREXECUTED, MD5SUM, DESCRIPTION, COMMENTS, EXECTYPE, \
             CONTEXTS, LABELS, LIQUIBASE, DEPLOYMENT_ID{tag_column}) \
             VALUES ({}, {}, {}, NOW(), {}, {}, {}, {}, {}, {}, {}, {}, {}{tag})",
            self.changelog,
            literal(&row.id),
            literal(&row.author),
            literal(&row.file),
            row.order_executed,
            optional(row.checksum.as_deref()),
            optional(row.description.as_deref()),
            optional(row.comments.as_deref()),
            literal(&row.exec_type),
            optional(row.contexts.as_deref()),
            optional(row.labels.as_deref()),
            optional(row.liquibase.as_deref()),
            optional(row.deployment_id.as_deref()),
        )
    }

    /// Rewrites the row, or rows, of a changeset that ran again. A tag that is there stays, unless the changeset sets one.
    pub(crate) fn rerun_sql(&self, old: &HistoryRow, new: &HistoryRow) -> String {
        let tag = new.tag.as_deref().map(|tag| format!(", TAG = {}", literal(tag))).unwrap_or_default();
        format!(
            "UPDATE {} SET COMMENTS = {}, CONTEXTS = {}, DATEEXECUTED = NOW(), DEPLOYMENT_ID = {}, DESCRIPTION = {}, \
             EXECTYPE = {}, LABELS = {}, LIQUIBASE = {}, MD5SUM = {}, ORDEREXECUTED = {}{tag} WHERE {}",
            self.changelog,
            optional(new.comments.as_deref()),
            optional(new.contexts.as_deref()),
            optional(new.deployment_id.as_deref()),
            optional(new.description.as_deref()),
            literal(&new.exec_type),
            optional(new.labels.as_deref()),
            optional(new.liquibase.as_deref()),
            optional(new.checksum.as_deref()),
            new.order_executed,
            of_row(old),
        )
    }

    /// Removes the row, or rows, of a changeset that was rolled back.
    pub(crate) fn delete_sql(&self, row: &HistoryRow) -> String {
        format!("DELETE FROM {} WHERE {}", self.changelog, of_row(row))
    }

    /// Writes a checksum into the row, or rows, of a changeset.
    pub(crate) fn set_checksum_sql(&self, row: &HistoryRow, checksum: &Checksum) -> String {
        format!("UPDATE {} SET MD5SUM = {} WHERE {}", self.changelog, literal(&checksum.to_string()), of_row(row))
    }

    /// Gives the newest row a tag.
    pub(crate) fn tag_sql(&self, tag: &str) -> String {
        let table = &self.changelog;
        format!(
            "UPDATE {table} t SET TAG = {} FROM (SELECT DATEEXECUTED, ORDEREXECUTED FROM {table} \
             ORDER BY DATEEXECUTED DESC, ORDEREXECUTED DESC LIMIT 1) newest \
             WHERE t.DATEEXECUTED = newest.DATEEXECUTED AND t.ORDEREXECUTED = newest.ORDEREXECUTED",
            literal(tag)
        )
    }
}

fn of_row(row: &HistoryRow) -> String {
    format!("ID = {} AND AUTHOR = {} AND FILENAME = {}", literal(&row.id), literal(&row.author), literal(&row.file))
}

fn optional(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), literal)
}

/// Column names as Liquibase shows them; PostgreSQL folds them anyway.
fn upper_names(columns: &str) -> String {
    let upper = |column: &str| match column.trim().split_once(' ') {
        Some(("CONSTRAINT", rest)) => format!("CONSTRAINT {}", rest.replace("(id)", "(ID)")),
        Some((name, rest)) => format!("{} {rest}", name.to_uppercase()),
        None => column.to_owned(),
    };
    columns.split(", ").map(upper).collect::<Vec<_>>().join(", ")
}
