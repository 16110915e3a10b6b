//! `log:` — what is written to standard output.

use tracing::Level;

use super::choice::{Choice, choice};
use super::kind::Kind;
use super::section::section;
use super::settings::Settings;

section! {
    /// What is written to standard output.
    "log" {
        /// `log:` — what is written to standard output.
        pub struct Log {
            /// json (one object per line), text (for people), or auto (text on a terminal, json elsewhere).
            format: LogFormat = "auto" => Kind::Enum(LogFormat::WORDS);
            /// The least important level that is logged: error, warn, info, debug or trace.
            level: Level = "info" => Kind::Enum(<Level as Choice>::WORDS), reloadable;
            /// Which requests are logged: all, errors (answered with 4xx or 5xx) or off.
            access: LoggedRequests = "all" => Kind::Enum(LoggedRequests::WORDS), reloadable;
        }
    }
}

choice! {
    /// `log.format`
    pub enum LogFormat {
        /// Text on a terminal, JSON elsewhere.
        Auto = "auto",
        /// One JSON object per line.
        Json = "json",
        /// For people.
        Text = "text",
    }
}

choice! {
    /// `log.access`
    #[derive(Default)]
    pub enum LoggedRequests {
        /// Every request.
        #[default]
        All = "all",
        /// Requests answered with 4xx or 5xx.
        Errors = "errors",
        /// None.
        Off = "off",
    }
}

impl Choice for Level {
    const WORDS: &'static [&'static str] = &["error", "warn", "info", "debug", "trace"];

    fn from_word(word: &str) -> Option<Self> {
        word.parse().ok()
    }
}

/// Reads the section.
pub(super) fn resolve(settings: &mut Settings) -> Option<Log> {
    Log::read(settings)
}
