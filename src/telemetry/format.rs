//! The formats of a log line.

use std::io::{self, IsTerminal};

use tracing::Level;

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json,
    /// One JSON object after its syslog priority (`<6>`), which the journal removes.
    Journal,
    /// Text for a terminal.
    Text,
}

impl Format {
    /// Text if standard output is a terminal, else JSON.
    pub fn for_stdout() -> Self {
        if io::stdout().is_terminal() { Self::Text } else { Self::Json }
    }

    /// Begins a line: appends the syslog priority of `level` in the journal's format, else nothing.
    pub(super) fn append_priority(self, level: Level, line: &mut Vec<u8>) {
        if self == Self::Journal {
            line.extend_from_slice(match level {
                Level::ERROR => b"<3>",
                Level::WARN => b"<4>",
                Level::INFO => b"<6>",
                _ => b"<7>",
            });
        }
    }
}
