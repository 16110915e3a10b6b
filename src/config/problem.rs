//! Everything that can be wrong with a configuration.
//!
//! Policy: all problems are found before any is reported. Each is one line: where it is, what is wrong, what was expected, what to
//! do. It never contains the value of a secret.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::environment::SERVICE_FILE;
use super::file;
use super::origin::Origin;
use super::yaml;

/// The number of problems that are listed; further ones are only counted.
const MAX_LISTED: usize = 50;

/// Why a directory with this name cannot have the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnusableName {
    /// It has a line break or another control character.
    ControlCharacter,
    /// It is not UTF-8.
    NotUtf8,
    /// It is longer than this, in bytes.
    TooLong(usize),
}

impl fmt::Display for UnusableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ControlCharacter => f.write_str("has a control character, which PostgreSQL's files cannot contain"),
            Self::NotUtf8 => f.write_str("is not UTF-8 text"),
            Self::TooLong(max) => {
                write!(f, "is longer than {max} bytes, with which PostgreSQL's paths become too long")
            }
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A key that does not exist.
    #[error("{origin}: unknown key {key}; {}", advice(*.nearest))]
    UnknownKey {
        /// Where it stands.
        origin: Origin,
        /// The key, with its section.
        key: String,
        /// What was probably meant.
        nearest: Option<&'static str>,
    },
    /// A variable with our prefix that sets nothing.
    #[error("environment variable {name}: sets no known key; {}", advice(.nearest.as_deref()))]
    UnknownVariable {
        /// Its name.
        name: String,
        /// What was probably meant.
        nearest: Option<String>,
    },
    /// A value that its key does not accept.
    #[error("{origin}: {key} is {shown}, expected {expected}{}", hint_suffix(.hint.as_deref()))]
    WrongValue {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// The value as it may be shown.
        shown: String,
        /// Which values it accepts.
        expected: String,
        /// What is wrong with this value, if that needs an explanation.
        hint: Option<String>,
    },
    /// An unquoted text that YAML readers read as something else.
    #[error("{origin}: {key} is {shown}, which YAML reads as a number or a boolean, expected text; put it in quotes")]
    Ambiguous {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// The value as it may be shown.
        shown: String,
    },
    /// A list or a mapping where one value belongs.
    #[error(
        "{origin}: {key} is {found}, expected {expected}; write one value (one that begins with [ or {{ needs quotes)"
    )]
    NotAValue {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// "a list" or "a mapping".
        found: &'static str,
        /// Which values it accepts.
        expected: String,
    },
    /// An item of a list that is not one value.
    #[error("{origin}: {key} contains {found}, expected {expected}; write one value for each item")]
    NotAnItem {
        /// Where the item stands.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// "a list", "a mapping" or "nothing".
        found: &'static str,
        /// Which values the key accepts.
        expected: String,
    },
    /// A value where a section belongs.
    #[error("{origin}: {section} is {found}, expected a section; write its keys indented below it, one per line")]
    NotASection {
        /// Where it stands.
        origin: Origin,
        /// The section, or "the file".
        section: String,
        /// "a value" or "a list".
        found: &'static str,
    },
    /// The file is not a valid document.
    #[error("{origin}: {source}")]
    Unreadable {
        /// Where reading ended.
        origin: Origin,
        /// Why.
        source: yaml::ErrorKind,
    },
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] file::Error),
    /// A variable that is not UTF-8.
    #[error("environment variable {name}: its value is not UTF-8 text; set it again")]
    VariableNotUtf8 {
        /// Its name.
        name: String,
    },
    /// `--set` without `=`.
    #[error("flag --set: {text:?} is not KEY=VALUE; write for example --set log.level=debug")]
    BadSet {
        /// The part of the argument that looks like a key.
        text: String,
    },
    /// `--set postgres.password=...`
    #[error(
        "flag --set: {key} holds a password, which every user of this machine could read on the command line; \
         use the environment variable {variable} or the file"
    )]
    SecretOnCommandLine {
        /// The key.
        key: &'static str,
        /// The variable that sets it.
        variable: String,
    },
    /// Two values that exclude each other.
    #[error("{first} ({first_origin}) and {second} ({second_origin}) contradict each other; {remedy}")]
    Contradiction {
        /// One key, with its value where that matters.
        first: String,
        /// Where it stands.
        first_origin: Origin,
        /// The other key.
        second: &'static str,
        /// Where it stands.
        second_origin: Origin,
        /// What to do.
        remedy: String,
    },
    /// A key that means nothing without another.
    #[error("{origin}: {key} is given without {missing}; {remedy}")]
    Incomplete {
        /// Where it stands.
        origin: Origin,
        /// The key that is given, with its value where that matters.
        key: String,
        /// What is missing.
        missing: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// No rule gives a data directory.
    #[error(
        "no data directory: neither --data-dir, data_dir, XDG_DATA_HOME nor HOME is set; give --data-dir DIRECTORY"
    )]
    NoDataDir,
    /// The working directory is gone, so a relative path means nothing.
    #[error("{origin}: data_dir {} cannot be made absolute: {source}; give an absolute path", .path.display())]
    RelativeDataDir {
        /// Where it stands.
        origin: Origin,
        /// The path.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// PostgreSQL cannot work in a directory of that name.
    #[error("{origin}: the data directory {path:?} {reason}; give the data another directory with --data-dir")]
    UnusableDataDir {
        /// Where it stands.
        origin: Origin,
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        reason: UnusableName,
    },
    /// `demo` with an external service.
    #[error(
        "{origin}: {key} names an external service, but the demonstration fills the database with sample records; leave it out"
    )]
    NotForDemo {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: &'static str,
    },
    /// A key that needs a value has none, or one that its field cannot hold: the declaration of the key is wrong.
    #[error("{key} has no value; this is a bug, please report it")]
    NoValue {
        /// The key.
        key: &'static str,
    },
}

fn advice(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("did you mean {nearest}? Otherwise remove it"),
        None => "remove it (`attendance-api config template` lists every key)".to_owned(),
    }
}

fn hint_suffix(hint: Option<&str>) -> String {
    hint.map(|hint| format!("; {hint}")).unwrap_or_default()
}

/// The problems found so far: a limited number, and the count of the others.
#[derive(Debug, Default)]
pub struct Problems {
    listed: Vec<Problem>,
    more: usize,
}

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        if self.is_full() { self.more += 1 } else { self.listed.push(problem) }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Whether the next one will only be counted, so that its details need not be worked out.
    pub fn is_full(&self) -> bool {
        self.listed.len() >= MAX_LISTED
    }
}

/// The configuration cannot be used: all that is wrong with it.
#[derive(Debug, thiserror::Error)]
pub struct Error(Problems);

impl From<Problems> for Error {
    fn from(problems: Problems) -> Self {
        Self(problems)
    }
}

impl Error {
    /// Whether it is only that the file of the packaged service is not for this user.
    pub fn is_service_file_closed(&self) -> bool {
        let closed = |problem: &Problem| match problem {
            Problem::File(file::Error::Access { path, source }) => {
                path == Path::new(SERVICE_FILE) && source.kind() == io::ErrorKind::PermissionDenied
            }
            _ => false,
        };
        matches!(&self.0.listed[..], [only] if closed(only))
    }

    /// One line per problem.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let rest = (self.0.more > 0).then(|| format!("and {} more problems", self.0.more));
        self.0.listed.iter().map(one_line).chain(rest)
    }
}

/// A name in a message may contain a line break; the message must not.
fn one_line(problem: &Problem) -> String {
    problem.to_string().chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.lines().enumerate() {
            write!(f, "{}{line}", if index > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}
