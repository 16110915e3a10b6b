//! Why a changelog cannot be read, and where.

use std::fmt;

use crate::changeset_id::ChangeSetId;
use crate::expression::UnreadableExpression;
use crate::source::SourceError;

/// A position in a changelog.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
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

/// Why a changelog cannot be loaded. Loading does not use a database, so nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The changelog, or a file that it names, cannot be read.
    #[error("{source}")]
    File {
        /// Where the file is named; `None` for the root changelog.
        at: Option<Location>,
        /// The error of the source.
        source: SourceError,
    },
    /// The suffix of the file is that of no known syntax.
    #[error("{file}: the ending names no changelog format; known are .xml, .yaml, .yml, .json, .sql")]
    UnknownFormat {
        /// The file.
        file: String,
    },
    /// The file violates its syntax.
    #[error("{file} line {line} column {column}: {reason}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, 1-based.
        line: u32,
        /// The column, 1-based.
        column: u32,
        /// The error, and how to correct it.
        reason: String,
    },
    /// A line of formatted SQL resembles a directive and is malformed.
    #[error(
        "Unexpected formatting in formatted changelog '{file}' at line {line}.\nFormatted SQL changelogs require known formats, \
         such as '{expected}' and others to be recognized and run."
    )]
    Formatting {
        /// The file.
        file: String,
        /// The line, 1-based.
        line: u32,
        /// The syntax of the directive.
        expected: &'static str,
    },
    /// A context expression cannot be read, which shows when it is evaluated. The text is Liquibase's.
    #[error("Cannot parse expression {expression}")]
    Expression {
        /// The part of the expression.
        expression: String,
    },
    /// A condition of formatted SQL cannot be read. The text is Liquibase's.
    #[error("{problem}")]
    Condition {
        /// The file.
        file: String,
        /// The line, 1-based.
        line: u32,
        /// What is wrong with it.
        problem: String,
    },
    /// A changeset of formatted SQL contains no SQL.
    #[error("No SQL for changeset {file}::{id}::{author}")]
    NoSql {
        /// The file.
        file: String,
        /// The line of the changeset, 1-based.
        line: u32,
        /// The id of the changeset.
        id: String,
        /// The author of the changeset.
        author: String,
    },
    /// A `--rollback` line of formatted SQL refers to a changeset without naming all of it. The text is Liquibase's.
    #[error("'{name}' not set in rollback block '{text}'")]
    IncompleteReference {
        /// The file.
        file: String,
        /// The line of the changeset, 1-based.
        line: u32,
        /// What is missing.
        name: &'static str,
        /// The text of the rollback.
        text: String,
    },
    /// An error in a file in YAML or JSON, or in one that such a file includes. The text is Liquibase's, with an `origin` for each of these files.
    #[error("{origin} {source}")]
    InFile {
        /// The file that is read, or the class of Java's exception.
        origin: String,
        /// The error.
        source: Box<LoadError>,
    },
    /// Elements are nested deeper than the limit.
    #[error("{file} line {line}: nested deeper than {limit} levels; flatten it")]
    TooDeep {
        /// The file.
        file: String,
        /// The line, 1-based.
        line: u32,
        /// The limit.
        limit: usize,
    },
    /// Includes are nested deeper than the limit, or there are too many. The usual cause is a cycle.
    #[error(
        "{at}: including {file} goes more than {limit} files deep, or includes thousands of files; do they include each other?"
    )]
    IncludeTooDeep {
        /// Where the include is.
        at: Box<Location>,
        /// The file that exceeds the limit.
        file: String,
        /// The limit.
        limit: usize,
    },
    /// `includeAll` found no changelog. The text is Liquibase's.
    #[error(
        "Could not find directory, directory was empty, or no changelogs matched the provided search criteria for includeAll \
         '{directory}'"
    )]
    IncludeAllEmpty {
        /// Where the includeAll is.
        at: Box<Location>,
        /// The directory.
        directory: String,
    },
    /// A property refers to itself, or its expansion exceeds a limit.
    #[error("{file} line {line}: the property {name} refers to itself; give it a plain value")]
    EndlessProperty {
        /// The file.
        file: String,
        /// The line, 1-based.
        line: u32,
        /// The property.
        name: String,
    },
    /// A property has no value, and the options require one.
    #[error("Could not resolve expression `${{{name}}}` in file {file}")]
    MissingProperty {
        /// The file.
        file: String,
        /// The line, 1-based.
        line: u32,
        /// The property.
        name: String,
    },
    /// A change has an unknown type.
    #[error("{at}: unknown change type '{name}'; check its spelling, or write it as <sql>")]
    UnknownChange {
        /// Where it is.
        at: Box<Location>,
        /// The name of the element.
        name: String,
    },
    /// An element is unknown at its position.
    #[error("{at}: <{name}> is not known inside <{parent}>; known are: {known}")]
    UnknownElement {
        /// Where it is.
        at: Box<Location>,
        /// The name of the element.
        name: String,
        /// The parent element.
        parent: String,
        /// The known names.
        known: String,
    },
    /// An element has an unknown attribute.
    #[error("{at}: <{element}> has no attribute '{name}'; known are: {known}")]
    UnknownAttribute {
        /// Where it is.
        at: Box<Location>,
        /// The name of the attribute.
        name: String,
        /// The name of the element.
        element: String,
        /// The known names.
        known: String,
    },
    /// A required attribute or text is missing.
    #[error("{at}: <{element}> needs '{name}'")]
    Missing {
        /// Where it is missing.
        at: Box<Location>,
        /// The name of the element.
        element: String,
        /// The name of the missing attribute, or `text`.
        name: String,
    },
    /// An attribute has an invalid value.
    #[error("{at}: '{value}' is not allowed for {name} of <{element}>; allowed: {allowed}")]
    BadValue {
        /// Where it is.
        at: Box<Location>,
        /// The name of the element.
        element: String,
        /// The name of the attribute.
        name: String,
        /// The invalid value.
        value: String,
        /// The allowed values.
        allowed: String,
    },
    /// An element of an XML changelog contains what its schema does not allow.
    #[error("{at}: <{element}> cannot contain {found}; allowed: {allowed}")]
    Content {
        /// Where it is.
        at: Box<Location>,
        /// The name of the element.
        element: String,
        /// What it contains.
        found: String,
        /// What it can contain.
        allowed: &'static str,
    },
    /// A key of an element occurs more than once.
    #[error(
        "{at}: <{element}> has several '{name}', in any case of letters; keep one, and write each column as an entry 'column' of its own"
    )]
    Repeated {
        /// Where it is.
        at: Box<Location>,
        /// The name of the key.
        name: String,
        /// The name of the element.
        element: String,
    },
    /// An element is in the wrong order.
    #[error("{at}: <{name}> cannot stand here inside <{parent}>; the order is: {order}")]
    Misplaced {
        /// Where it is.
        at: Box<Location>,
        /// The name of the element.
        name: String,
        /// The parent element.
        parent: String,
        /// The required order.
        order: String,
    },
    /// A rollback refers to a changeset that does not exist before it. The text is Liquibase's.
    #[error("Change set {reference} does not exist")]
    UnknownReference {
        /// Where the rollback is.
        at: Box<Location>,
        /// The changeset to which it refers.
        reference: Box<ChangeSetId>,
    },
    /// The changelog uses a feature of Liquibase that this crate does not support.
    #[error("{at}: {what} is not supported; {remedy}")]
    Unsupported {
        /// Where it is.
        at: Box<Location>,
        /// The feature.
        what: String,
        /// An alternative.
        remedy: String,
    },
}

impl LoadError {
    /// The error as it leaves the file. Liquibase's parser of YAML and JSON writes the file before each message, and its parser of XML the class
    /// of the exception, which is visible only below such a file. Messages of this crate name their place themselves.
    pub(crate) fn leaving(self, file: &str, is_below_yaml: bool) -> Self {
        let is_reference = matches!(self, Self::UnknownReference { .. });
        let is_worded_by_liquibase = is_reference
            || matches!(
                self,
                Self::File { at: Some(_), .. }
                    | Self::IncludeAllEmpty { .. }
                    | Self::NoSql { .. }
                    | Self::Condition { .. }
                    | Self::IncompleteReference { .. }
                    | Self::InFile { .. }
            );
        let lower = file.to_lowercase();
        let is_xml = lower.ends_with(".xml");
        if !is_worded_by_liquibase || lower.ends_with(".sql") || (is_xml && !is_below_yaml) {
            return self;
        }
        let origin = match (is_xml, is_reference) {
            (false, _) => format!("Error parsing {file} :"),
            (true, true) => "liquibase.parser.core.ParsedNodeException:".to_owned(),
            (true, false) => "liquibase.exception.SetupException:".to_owned(),
        };
        Self::InFile { origin, source: Box::new(self) }
    }
}

impl From<UnreadableExpression> for LoadError {
    fn from(error: UnreadableExpression) -> Self {
        Self::Expression { expression: error.alternative }
    }
}
