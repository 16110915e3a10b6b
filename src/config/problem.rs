//! Everything that can be wrong with a configuration.
//!
//! Policy: all problems are found before any is reported. Each is one line: where it stands, what it is, what was
//! expected, what to do. The value of a secret is never in it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::origin::Origin;

/// More problems than this are counted, not listed.
const LISTED: usize = 50;

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
        reason: super::tree::Reason,
    },
    /// A file that was named does not exist.
    #[error("the configuration file {} named by {named_by} does not exist; correct the name or leave it out", .path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
        /// The flag or variable.
        named_by: &'static str,
    },
    /// A file that exists cannot be read.
    #[error("the configuration file {} cannot be read: {cause}; correct its permissions or its name", .path.display())]
    FileAccess {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        cause: io::Error,
    },
    /// A directory, a pipe or a device.
    #[error("the configuration file {} is not a regular file; name a file", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Larger than any configuration.
    #[error("the configuration file {} is larger than {limit} bytes; name the right file", .path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// What is taken.
        limit: u64,
    },
    /// Not UTF-8.
    #[error("the configuration file {} is not UTF-8 text from byte {offset} on; save it as UTF-8", .path.display())]
    FileNotUtf8 {
        /// The file.
        path: PathBuf,
        /// The first byte that is not.
        offset: usize,
    },
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

/// All that is wrong with a configuration; never empty.
#[derive(Debug, thiserror::Error)]
pub struct Errors(Vec<Problem>);

impl Errors {
    /// The problems as a failure, or the value when there are none.
    pub fn unless_none<T>(problems: Vec<Problem>, value: T) -> Result<T, Self> {
        if problems.is_empty() { Ok(value) } else { Err(Self(problems)) }
    }

    /// One line a problem.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let more = self.0.len().saturating_sub(LISTED);
        let rest = (more > 0).then(|| format!("and {more} more problems"));
        self.0.iter().take(LISTED).map(ToString::to_string).chain(rest)
    }
}

impl From<Problem> for Errors {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.lines().enumerate() {
            write!(f, "{}{line}", if index > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}
