//! Why a changelog must not run on a database. The texts are Liquibase's.

use std::fmt;
use std::sync::Arc;

use crate::changeset_id::ChangeSetId;
use crate::precondition_error::PreconditionError;
use crate::validation_problem::ValidationProblem;

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
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ValidationError {
    /// Changesets that changed after they ran.
    pub checksums: Vec<ChecksumMismatch>,
    /// Preconditions of the changelog itself that are not met.
    pub preconditions: Vec<Arc<PreconditionError>>,
    /// Changesets that occur twice.
    pub duplicates: Vec<ChangeSetId>,
    /// Problems of changesets.
    pub invalid: Vec<(ValidationProblem, ChangeSetId)>,
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
        let is_type_error =
            |(problem, _): &&(ValidationProblem, ChangeSetId)| matches!(problem, ValidationProblem::DataType(_));
        if let Some((problem, _)) = self.invalid.iter().find(is_type_error) {
            return write!(out, "{problem}");
        }
        write!(out, "Validation Failed:")?;
        section(out, "changesets check sum", &self.checksums, |one, out| {
            write!(out, "{} was: {} but is now: {}", one.changeset, one.stored, one.current)
        })?;
        for (is_unchecked, what) in [(false, "preconditions failed"), (true, "preconditions generated an error")] {
            let of_kind = || self.preconditions.iter().filter(|one| one.is_unchecked() == is_unchecked);
            let messages: Vec<String> = of_kind().flat_map(|one| one.messages()).collect();
            if let Some(first) = of_kind().next() {
                let (count, summary) = (messages.len(), first.summary());
                write!(out, "\n     {count} {what}\n     {summary}\n     {}", messages.join("\n     "))?;
            }
        }
        section(out, "changesets had duplicate identifiers", &self.duplicates, |one, out| write!(out, "{one}"))?;
        section(out, "changes have validation failures", &self.invalid, |(problem, changeset), out| {
            write!(out, "{problem}, {changeset}")
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
