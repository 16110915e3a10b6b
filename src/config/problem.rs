//! Everything that can be wrong with a configuration.
//!
//! Policy: all problems are found before any is reported. Each is one line: where it stands, what it is, what was
//! expected, what to do. The value of a secret is never in it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::file;
use super::origin::Origin;

/// More problems than this are counted, not kept.
const MAX_LISTED: usize = 50;

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A key that does not exist.
    #[error("{origin}: unknown key {key}; {}", meant(.nearest.as_deref()))]
    UnknownKey {
        /// Where it stands.
        origin: Origin,
        /// The key, with its section.
        key: String,
        /// What was probably meant.
        nearest: Option<String>,
    },
    /// A variable with our prefix that sets nothing.
    #[error("environment variable {name}: sets no known key; {}", meant(.nearest.as_deref()))]
    UnknownVariable {
        /// Its name.
        name: String,
        /// What was probably meant.
        nearest: Option<String>,
    },
    /// A value that its key does not take.
    #[error("{origin}: {key} is {shown}, expected {expected}{}", aside(.hint.as_deref()))]
    WrongValue {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// The value as it may be shown.
        shown: String,
        /// What it takes.
        expected: String,
        /// What is wrong with this value in particular.
        hint: Option<String>,
    },
    /// An unquoted text that YAML readers take for something else.
    #[error("{origin}: {key} is {shown}, which YAML reads as a number or a switch, expected text; put it in quotes")]
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
        /// What it takes.
        expected: String,
    },
    /// A value where a section belongs.
    #[error("{origin}: {section} is {found}, expected a section; write its keys indented below it, one a line")]
    NotASection {
        /// Where it stands.
        origin: Origin,
        /// The section, or "the file".
        section: String,
        /// "a value" or "a list".
        found: &'static str,
    },
    /// The file is not a document that can be read.
    #[error("{origin}: {reason}")]
    Unreadable {
        /// Where reading ended.
        origin: Origin,
        /// Why.
        reason: super::yaml::ErrorKind,
    },
    /// The file itself.
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
        /// What stood behind the flag.
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
        /// One, with its value where that matters.
        first: String,
        /// Where it stands.
        first_origin: Origin,
        /// The other.
        second: String,
        /// Where it stands.
        second_origin: Origin,
        /// What to do.
        remedy: String,
    },
    /// A value that says nothing without another.
    #[error("{origin}: {key} is given without {missing}; {remedy}")]
    Incomplete {
        /// Where it stands.
        origin: Origin,
        /// What is given, with its value where that matters.
        key: String,
        /// What is missing.
        missing: &'static str,
        /// What to do.
        remedy: String,
    },
    /// No rule gives a data directory.
    #[error(
        "no data directory: neither --data-dir, data_dir, XDG_DATA_HOME nor HOME is set; give --data-dir DIRECTORY"
    )]
    NoDataDir,
    /// The working directory is gone, so a relative path means nothing.
    #[error("{origin}: data_dir {} cannot be made absolute: {cause}; give an absolute path", .path.display())]
    RelativeDataDir {
        /// Where it stands.
        origin: Origin,
        /// The path.
        path: PathBuf,
        /// The system's answer.
        cause: io::Error,
    },
    /// `demo` with a service that somebody else runs.
    #[error(
        "{origin}: {key} names a service outside, but the demonstration fills the database with sample records; leave it out"
    )]
    NotForDemo {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: &'static str,
    },
}

fn meant(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("did you mean {nearest}? Otherwise remove it"),
        None => "remove it (`attendance-api config template` lists every key)".to_owned(),
    }
}

fn aside(hint: Option<&str>) -> String {
    hint.map(|hint| format!("; {hint}")).unwrap_or_default()
}

/// The problems found so far. However wrong a file is, only so many are kept; the rest is counted.
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

    /// Whether the next one will only be counted, so that its details are not worth finding out.
    pub fn is_full(&self) -> bool {
        self.listed.len() >= MAX_LISTED
    }
}

/// All that is wrong with a configuration; never empty.
#[derive(Debug, thiserror::Error)]
pub struct Error(Problems);

impl Error {
    /// The problems as a failure, or the value when there are none.
    pub fn unless_empty<T>(problems: Problems, value: T) -> Result<T, Self> {
        if problems.is_empty() { Ok(value) } else { Err(Self(problems)) }
    }

    /// One line a problem.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let rest = (self.0.more > 0).then(|| format!("and {} more problems", self.0.more));
        self.0.listed.iter().map(one_line).chain(rest)
    }
}

/// A name in a message may hold a line break; the message may not.
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
