//! Where a value came from.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::yaml::Position;

/// The source of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The declared default, or a rule that the documentation of the key describes.
    Default,
    /// A position in the configuration file.
    File {
        /// The file, as it was named.
        path: Arc<Path>,
        /// The position in it.
        position: Position,
    },
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, position } => write!(f, "{}:{}:{}", path.display(), position.line, position.column),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}
