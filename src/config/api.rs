//! `api:` — the form of the answers.

use super::choice::{Choice, choice};
use super::kind::Kind;
use super::section::section;
use super::settings::Settings;

section! {
    /// The form of the API's answers.
    "api" {
        /// `api:` — the form of the answers.
        pub struct Api {
            /// How a date is written in an answer: iso (2023-08-01), or http (Tue, 01 Aug 2023 00:00:00 GMT) as the Python
            /// service answered.
            date_format: DateFormat = "iso" => Kind::Enum(DateFormat::WORDS);
        }
    }
}

choice! {
    /// How a date is written in an answer.
    #[derive(Default)]
    pub enum DateFormat {
        /// `2023-08-01`
        #[default]
        Iso = "iso",
        /// `Tue, 01 Aug 2023 00:00:00 GMT`, as the Python service answers.
        Http = "http",
    }
}

/// Reads the section.
pub(super) fn resolve(settings: &mut Settings) -> Option<Api> {
    Api::read(settings)
}
