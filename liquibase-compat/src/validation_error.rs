//! Why a changelog must not run on a database. The texts are Liquibase's.

use std::fmt;

use crate::changeset_id::ChangeSetId;

/// A changeset whose content differs from what ran.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChecksumMismatch {
    /// The changeset.
    pub changeset: ChangeSetId,
    /// The stored checksum.
    pub stored: String,
    /// The checksum of the changelog, in the version of the stored one.
    pub current: String,
}

/// Everything that validation found. Nothing has run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValidationError {
    /// Changesets that changed after they ran.
    pub checksums: Vec<ChecksumMismatch>,
    /// Messages of failed preconditions of the changelog itself.
    pub preconditions: Vec<String>,
    /// Changesets that occur twice.
    pub duplicates: Vec<ChangeSetId>,
    /// Changes that lack something: message and changeset.
    pub invalid: Vec<(String, ChangeSetId)>,
    /// Changesets that require another program than the JDBC connection (`runWith`): program and changeset.
    pub executors: Vec<(String, ChangeSetId)>,
}

impl ValidationError {
    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.checksums.is_empty()
            && self.preconditions.is_empty()
            && self.duplicates.is_empty()
            && self.invalid.is_empty()
            && self.executors.is_empty()
    }
}

impl fmt::Display for ValidationError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((executor, changeset)) = self.executors.first() {
            return write!(out, "Unable to locate Executor '{executor}' for changeset '{changeset}'");
        }
        write!(out, "Validation Failed:")?;
        section(out, "changesets check sum", &self.checksums, |one, out| {
            write!(out, "{} was: {} but is now: {}", one.changeset, one.stored, one.current)
        })?;
        if !self.preconditions.is_empty() {
            write!(out, "\n     {} preconditions failed\n     Preconditions Failed", self.preconditions.len())?;
            for message in &self.preconditions {
                write!(out, "\n     {message}")?;
            }
        }
        section(out, "changesets had duplicate identifiers", &self.duplicates, |one, out| write!(out, "{one}"))?;
        section(out, "changes have validation failures", &self.invalid, |(message, changeset), out| {
            write!(out, "{message}, {changeset}")
        })
    }
}

impl std::error::Error for ValidationError {}

fn section<T>(
    out: &mut fmt::Formatter<'_>,
    title: &str,
    items: &[T],
    line: impl Fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    write!(out, "\n     {} {title}", items.len())?;
    for item in items {
        write!(out, "\n          ")?;
        line(item, out)?;
    }
    Ok(())
}
