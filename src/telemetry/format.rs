//! The formats of a log line.

use std::io::{self, IsTerminal};

use tracing::Level;

/// The target of a warning about a condition that the configuration creates, and which is therefore logged at each start. It is not an event: in the
/// journal it has the priority `notice`, so that a monitor that watches for warnings reports events only.
pub const CONFIGURED_CONDITION: &str = "attendance_api::configured_condition";

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

    /// Begins a line: appends the syslog priority of an event in the journal's format, else nothing.
    pub(super) fn append_priority(self, level: Level, target: &str, line: &mut Vec<u8>) {
        if self == Self::Journal {
            line.extend_from_slice(match level {
                Level::WARN if target == CONFIGURED_CONDITION => b"<5>",
                Level::ERROR => b"<3>",
                Level::WARN => b"<4>",
                Level::INFO => b"<6>",
                _ => b"<7>",
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_gets_the_priority_of_the_level_and_notice_for_a_configured_condition() {
        let priority = |format: Format, level, target| {
            let mut line = Vec::new();
            format.append_priority(level, target, &mut line);
            String::from_utf8(line).unwrap()
        };
        let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
        assert_eq!(
            levels.map(|level| priority(Format::Journal, level, "a module")),
            ["<3>", "<4>", "<6>", "<7>", "<7>"]
        );
        assert_eq!(
            levels.map(|level| priority(Format::Journal, level, CONFIGURED_CONDITION)),
            ["<3>", "<5>", "<6>", "<7>", "<7>"]
        );
        assert_eq!(priority(Format::Json, Level::ERROR, "a module"), "");
        assert_eq!(priority(Format::Text, Level::WARN, CONFIGURED_CONDITION), "");
    }
}
