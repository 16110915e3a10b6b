//! `auth:` — who may use the API.

use std::time::Duration;

use super::choice::{Choice, choice};
use super::kind::Kind;
use super::section::section;
use super::settings::Settings;
use super::units::{DAY, HOUR, SECOND};

section! {
    /// Accounts, sessions, tokens and roles. `attendance-api account add NAME --role admin` makes the first account.
    "auth" {
        /// `auth:` — who may use the API.
        #[derive(PartialEq, Eq)]
        pub struct Auth {
            /// off (all clients may use everything) or required (each request needs a session or a token, and its role decides).
            mode: AuthMode = "off" => Kind::Enum(AuthMode::WORDS);
            /// A session that is not used for this time ends, to the minute, 120s to 24h.
            session_idle: Duration = "30min" => Kind::Duration(120 * SECOND, 24 * HOUR);
            /// A session ends after this time even if it is used, 120s to 30d.
            session_max: Duration = "12h" => Kind::Duration(120 * SECOND, 720 * HOUR);
            /// Who may read /metrics in mode required: open (all clients) or token (tokens with the role metrics).
            metrics: MetricsAccess = "open" => Kind::Enum(MetricsAccess::WORDS);
            /// How long the audit keeps its entries, 30d to 36500d. Counts of failed logins are kept for a day.
            audit_keep: Duration = "400d" => Kind::Duration(30 * DAY, 36_500 * DAY);
        }
    }
}

choice! {
    /// Whether requests need credentials.
    pub enum AuthMode {
        /// They need none.
        Off = "off",
        /// They need a session or a token.
        Required = "required",
    }
}

choice! {
    /// Who may read the metrics.
    pub enum MetricsAccess {
        /// All clients.
        Open = "open",
        /// Tokens with the role `metrics`.
        Token = "token",
    }
}

impl Auth {
    /// Whether requests need credentials.
    pub fn is_required(&self) -> bool {
        self.mode == AuthMode::Required
    }
}

/// Reads the section.
pub(super) fn resolve(settings: &mut Settings) -> Option<Auth> {
    Auth::read(settings)
}
