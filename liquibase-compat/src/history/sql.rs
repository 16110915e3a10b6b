//! The SQL that writes the history, as text. A run executes it, and the `-sql` commands show it.

use super::HistoryRow;
use super::tables::{CHANGELOG_COLUMNS, LOCK_COLUMNS, Tables};
use crate::checksum::Checksum;
use crate::sql::literal;

/// The LIQUIBASE column of new rows: the version whose behaviour this crate has.
pub(crate) const LIQUIBASE_VERSION: &str = "4.28.0";

impl Tables {
    /// Creates DATABASECHANGELOG.
    pub(crate) fn create_changelog_sql(&self) -> String {
        format!("CREATE TABLE {} ({})", self.changelog, upper_case_names(CHANGELOG_COLUMNS))
    }

    /// Creates DATABASECHANGELOGLOCK.
    pub(crate) fn create_lock_sql(&self) -> String {
        format!(
            "CREATE TABLE {} ({}, CONSTRAINT {} PRIMARY KEY (ID))",
            self.lock,
            upper_case_names(LOCK_COLUMNS),
            self.lock_key
        )
    }

    /// Takes the row of DATABASECHANGELOGLOCK under the given name.
    pub(crate) fn take_lock_sql(&self, name: &str) -> String {
        format!(
            "UPDATE {} SET LOCKED = TRUE, LOCKEDBY = {}, LOCKGRANTED = NOW() WHERE ID = 1 AND LOCKED = FALSE",
            self.lock,
            literal(name)
        )
    }

    /// Releases the row of DATABASECHANGELOGLOCK, whatever process holds it.
    pub(crate) fn release_lock_sql(&self) -> String {
        format!("UPDATE {} SET LOCKED = FALSE, LOCKEDBY = NULL, LOCKGRANTED = NULL WHERE ID = 1", self.lock)
    }

    /// Inserts a row.
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
            nullable_literal(row.checksum.as_deref()),
            nullable_literal(row.description.as_deref()),
            nullable_literal(row.comments.as_deref()),
            literal(&row.exec_type),
            nullable_literal(row.contexts.as_deref()),
            nullable_literal(row.labels.as_deref()),
            nullable_literal(row.liquibase.as_deref()),
            nullable_literal(row.deployment_id.as_deref()),
        )
    }

    /// Updates the rows of a changeset that ran again. Their tag remains, unless the changeset sets one.
    pub(crate) fn rerun_sql(&self, old: &HistoryRow, new: &HistoryRow) -> String {
        let tag = new.tag.as_deref().map(|tag| format!(", TAG = {}", literal(tag))).unwrap_or_default();
        format!(
            "UPDATE {} SET COMMENTS = {}, CONTEXTS = {}, DATEEXECUTED = NOW(), DEPLOYMENT_ID = {}, DESCRIPTION = {}, \
             EXECTYPE = {}, LABELS = {}, LIQUIBASE = {}, MD5SUM = {}, ORDEREXECUTED = {}{tag} WHERE {}",
            self.changelog,
            nullable_literal(new.comments.as_deref()),
            nullable_literal(new.contexts.as_deref()),
            nullable_literal(new.deployment_id.as_deref()),
            nullable_literal(new.description.as_deref()),
            literal(&new.exec_type),
            nullable_literal(new.labels.as_deref()),
            nullable_literal(new.liquibase.as_deref()),
            nullable_literal(new.checksum.as_deref()),
            new.order_executed,
            row_condition(old),
        )
    }

    /// Deletes the rows of a changeset that was rolled back.
    pub(crate) fn delete_sql(&self, row: &HistoryRow) -> String {
        format!("DELETE FROM {} WHERE {}", self.changelog, row_condition(row))
    }

    /// Writes a checksum into the rows of a changeset.
    pub(crate) fn set_checksum_sql(&self, row: &HistoryRow, checksum: &Checksum) -> String {
        format!(
            "UPDATE {} SET MD5SUM = {} WHERE {}",
            self.changelog,
            literal(&checksum.to_string()),
            row_condition(row)
        )
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

fn row_condition(row: &HistoryRow) -> String {
    format!("ID = {} AND AUTHOR = {} AND FILENAME = {}", literal(&row.id), literal(&row.author), literal(&row.file))
}

fn nullable_literal(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), literal)
}

/// The column names in upper case, as Liquibase shows them. PostgreSQL folds them to lower case.
fn upper_case_names(columns: &str) -> String {
    let upper = |column: &str| match column.trim().split_once(' ') {
        Some((name, rest)) => format!("{} {rest}", name.to_uppercase()),
        None => column.to_owned(),
    };
    columns.split(", ").map(upper).collect::<Vec<_>>().join(", ")
}
