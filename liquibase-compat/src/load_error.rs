//! Why a changelog cannot be read, and where.

use std::fmt;

use crate::changeset_id::ChangeSetId;
use crate::source::SourceError;

/// A position in a changelog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file, by its path in the source.
    pub file: String,
    /// The line, 1-based.
    pub line: u32,
    /// The changeset that contains it, as `id::author`.
    pub changeset: Option<String>,
}

impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} line {}", self.file, self.line)?;
        match &self.changeset {
            Some(changeset) => write!(out, ", changeset {changeset}"),
            None => Ok(()),
        }
    }
}

/// Why a changelog cannot be read. Nothing has been done to any database.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The changelog itself, or a file it names, cannot be had.
    #[error("{}{source}", named_at(.at))]
    File {
        /// Where it is named; none for the root changelog.
        at: Option<Location>,
        /// What is the matter with it.
        source: SourceError,
    },
    /// The file's ending names no syntax that is known.
    #[error("{file}: the ending names no changelog format; known are .xml, .yaml, .yml, .json, .sql")]
    UnknownFormat {
        /// The file.
        file: String,
    },
    /// The file does not follow its syntax.
    #[error("{file} line {line} column {column}: {reason}")]
    Syntax {
        /// The file.
        file: String,
        /// 1-based.
        line: u32,
        /// 1-based.
        column: u32,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A line of formatted SQL looks like a directive and is none.
    #[error(
        "Unexpected formatting in formatted changelog '{file}' at line {line}.\nFormatted SQL changelogs require known formats, \
         such as '{expected}' and others to be recognized and run."
    )]
    Formatting {
        /// The file.
        file: String,
        /// 1-based.
        line: u32,
        /// What the line should have looked like.
        expected: &'static str,
    },
    /// A changeset of formatted SQL is followed by another one at once.
    #[error("No SQL for changeset {file}::{id}::{author}; write it below line {line}, or remove the changeset")]
    NoSql {
        /// The file.
        file: String,
        /// Its line, 1-based.
        line: u32,
        /// Its id.
        id: String,
        /// Its author.
        author: String,
    },
    /// Elements are nested too deep.
    #[error("{file} line {line}: nested deeper than {limit} levels; flatten it")]
    TooDeep {
        /// The file.
        file: String,
        /// 1-based.
        line: u32,
        /// The bound.
        limit: usize,
    },
    /// Files include each other in a circle, or too deep.
    #[error(
        "{at}: including {file} goes more than {limit} files deep, or includes thousands of files; do they include each other?"
    )]
    IncludeTooDeep {
        /// Where the include is.
        at: Box<Location>,
        /// The file that would be one too many.
        file: String,
        /// The bound.
        limit: usize,
    },
    /// `includeAll` found nothing.
    #[error("{at}: there is no changelog below {directory}; set errorIfMissingOrEmpty=\"false\" if that is right")]
    IncludeAllEmpty {
        /// Where the includeAll is.
        at: Box<Location>,
        /// The directory.
        directory: String,
    },
    /// A property refers to itself, or grows without end.
    #[error("{file} line {line}: the property {name} refers to itself; give it a plain value")]
    EndlessProperty {
        /// The file.
        file: String,
        /// 1-based.
        line: u32,
        /// The property.
        name: String,
    },
    /// A change of a type that does not exist or is not supported.
    #[error("{at}: unknown change type '{name}'; check its spelling, or write it as <sql>")]
    UnknownChange {
        /// Where it is.
        at: Box<Location>,
        /// The name found.
        name: String,
    },
    /// An element that does not belong where it is.
    #[error("{at}: <{name}> is not known inside <{parent}>; known are: {known}")]
    UnknownElement {
        /// Where it is.
        at: Box<Location>,
        /// The name found.
        name: String,
        /// The element around it.
        parent: String,
        /// What could stand there.
        known: String,
    },
    /// An attribute that does not belong where it is.
    #[error("{at}: <{element}> has no attribute '{name}'; known are: {known}")]
    UnknownAttribute {
        /// Where it is.
        at: Box<Location>,
        /// The name found.
        name: String,
        /// The element that has it.
        element: String,
        /// What could stand there.
        known: String,
    },
    /// A required attribute or text is missing.
    #[error("{at}: <{element}> needs '{name}'")]
    Missing {
        /// Where it is missing.
        at: Box<Location>,
        /// The element that lacks it.
        element: String,
        /// What is missing.
        name: String,
    },
    /// A value that is none of those allowed.
    #[error("{at}: '{value}' is not allowed for {name} of <{element}>; allowed: {allowed}")]
    BadValue {
        /// Where it is.
        at: Box<Location>,
        /// The element.
        element: String,
        /// The attribute.
        name: String,
        /// The value found.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// An element stands where it must not.
    #[error("{at}: <{name}> cannot stand here inside <{parent}>; the order is: {order}")]
    Misplaced {
        /// Where it is.
        at: Box<Location>,
        /// The element.
        name: String,
        /// The element around it.
        parent: String,
        /// What may stand where.
        order: String,
    },
    /// A rollback refers to a changeset that does not come before it.
    #[error("{at}: Change set {reference} does not exist; a rollback can refer to a changeset that stands before it")]
    UnknownReference {
        /// Where the rollback is.
        at: Box<Location>,
        /// The changeset it refers to.
        reference: Box<ChangeSetId>,
    },
    /// Something Liquibase has and this crate refuses.
    #[error("{at}: {what} is not supported; {remedy}")]
    Unsupported {
        /// Where it is.
        at: Box<Location>,
        /// What was asked for.
        what: String,
        /// What to do instead.
        remedy: String,
    },
}

fn named_at(at: &Option<Location>) -> String {
    at.as_ref().map_or_else(String::new, |at| format!("{at}: "))
}
