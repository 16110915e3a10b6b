//! What can go wrong, one variant per situation a person can be in.
//!
//! [`LoadError`]: the changelog cannot be read. [`ValidationError`]: it can, but must not be run on this database.
//! [`Error`]: everything else, and the two above. A run that stops half-way carries the [`Report`] of what was done.

use std::fmt;
use std::time::Duration;

use tokio_postgres::error::ErrorPosition;

use crate::changeset_id::ChangeSetId;
use crate::report::Report;
use crate::source::SourceError;

/// A place in a changelog, for a person to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, by its path in the source.
    pub file: String,
    /// 1-based.
    pub line: u32,
    /// The changeset around it, as `id::author`, if it is inside of one.
    pub changeset: Option<String>,
}

impl fmt::Display for Place {
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
        at: Option<Place>,
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
        at: Box<Place>,
        /// The file that would be one too many.
        file: String,
        /// The bound.
        limit: usize,
    },
    /// `includeAll` found nothing.
    #[error("{at}: there is no changelog below {directory}; set errorIfMissingOrEmpty=\"false\" if that is right")]
    IncludeAllEmpty {
        /// Where the includeAll is.
        at: Box<Place>,
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
        at: Box<Place>,
        /// The name found.
        name: String,
    },
    /// An element that does not belong where it is.
    #[error("{at}: <{name}> is not known inside <{parent}>; known are: {known}")]
    UnknownElement {
        /// Where it is.
        at: Box<Place>,
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
        at: Box<Place>,
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
        at: Box<Place>,
        /// The element that lacks it.
        element: String,
        /// What is missing.
        name: String,
    },
    /// A value that is none of those allowed.
    #[error("{at}: '{value}' is not allowed for {name} of <{element}>; allowed: {allowed}")]
    BadValue {
        /// Where it is.
        at: Box<Place>,
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
        at: Box<Place>,
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
        at: Box<Place>,
        /// The changeset it refers to.
        reference: Box<ChangeSetId>,
    },
    /// Something Liquibase has and this crate refuses.
    #[error("{at}: {what} is not supported; {remedy}")]
    Unsupported {
        /// Where it is.
        at: Box<Place>,
        /// What was asked for.
        what: String,
        /// What to do instead.
        remedy: String,
    },
}

fn named_at(at: &Option<Place>) -> String {
    at.as_ref().map_or_else(String::new, |at| format!("{at}: "))
}

/// A changeset whose content is not what was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChecksumMismatch {
    /// The changeset.
    pub changeset: ChangeSetId,
    /// The stored checksum.
    pub stored: String,
    /// The checksum the changelog has now, in the version of the stored one.
    pub current: String,
}

/// Why a changelog must not be run on this database. Nothing has been run. Its text is Liquibase's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValidationError {
    /// Changesets that changed after they were run.
    pub checksums: Vec<ChecksumMismatch>,
    /// Messages of failed preconditions of the changelog itself.
    pub preconditions: Vec<String>,
    /// Changesets that occur twice.
    pub duplicates: Vec<ChangeSetId>,
    /// Changes that lack something: (message, changeset).
    pub invalid: Vec<(String, ChangeSetId)>,
    /// Changesets that are to run with a program this crate does not have (`runWith`): (program, changeset).
    pub executors: Vec<(String, ChangeSetId)>,
}

impl ValidationError {
    /// Whether there is nothing to complain of.
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

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The changelog cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The changelog must not be run on this database.
    #[error(transparent)]
    Validation(#[from] ValidationError),
    /// PostgreSQL refused something that is not part of a changeset.
    #[error("{doing} failed: {}", postgres_message(.source))]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What PostgreSQL or the connection said.
        source: tokio_postgres::Error,
    },
    /// PostgreSQL did not answer a question of the lock in time.
    #[error("{doing}: the database did not answer within {} s; is it overloaded or stopped?", .after.as_secs())]
    NoAnswer {
        /// What was being done.
        doing: &'static str,
        /// The bound.
        after: Duration,
    },
    /// What the database holds cannot be written as formatted SQL.
    #[error("cannot write the database as formatted SQL: {0}; choose xml, yaml or json")]
    Generate(String),
    /// The connection has no schema to create tables in.
    #[error("the search_path of the connection names no existing schema; create it or correct the search_path")]
    NoSchema,
    /// Another process holds the lock and did not release it in time.
    #[error(
        "Could not acquire change log lock.  Currently locked by {holder} since {since}; waited {} s. If that process is gone, \
         release the lock (UPDATE databasechangeloglock SET locked = FALSE, lockedby = NULL, lockgranted = NULL)",
        .waited.as_secs()
    )]
    Locked {
        /// Who, as it describes itself: `hostname (address)`, or the description of a database session.
        holder: String,
        /// Since when, in the database's words.
        since: String,
        /// How long this process waited.
        waited: Duration,
    },
    /// A changeset failed; it left nothing behind, those before it are in the report.
    #[error("Migration failed for changeset {changeset}:\n     Reason: {reason}")]
    ChangeSet {
        /// The changeset.
        changeset: ChangeSetId,
        /// What PostgreSQL or the precondition said, and the statement.
        reason: String,
        /// What was done before it, in this run.
        report: Box<Report>,
    },
    /// A changeset cannot be rolled back.
    #[error("Could not roll back {changeset}: {reason}")]
    RollbackImpossible {
        /// The changeset.
        changeset: ChangeSetId,
        /// Why, for example `No inverse to ... created`.
        reason: String,
        /// What was rolled back before it, in this run.
        report: Box<Report>,
    },
    /// The changelog has no such changeset.
    #[error("No such changeSet: {changeset}")]
    UnknownChangeSet {
        /// The changeset asked for.
        changeset: ChangeSetId,
    },
    /// No row of the history has the tag.
    #[error("Could not find tag '{tag}' in the database")]
    UnknownTag {
        /// The tag asked for.
        tag: String,
    },
}

impl Error {
    pub(crate) fn database(doing: &'static str) -> impl Fn(tokio_postgres::Error) -> Self {
        move |source| Self::Database { doing, source }
    }
}

/// PostgreSQL's own words, where the error came from the server, laid out as its JDBC driver does.
pub(crate) fn postgres_message(error: &tokio_postgres::Error) -> String {
    let Some(db) = error.as_db_error() else {
        return chain(error);
    };
    let mut text = format!("{}: {}", db.severity(), db.message());
    let position = match db.position() {
        Some(ErrorPosition::Original(position)) => Some(position.to_string()),
        _ => None,
    };
    let parts =
        [("Detail", db.detail()), ("Hint", db.hint()), ("Position", position.as_deref()), ("Where", db.where_())];
    for (name, part) in parts {
        if let Some(part) = part {
            text.push_str(&format!("\n  {name}: {part}"));
        }
    }
    text
}

fn chain(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
