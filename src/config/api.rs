//! `api:` — the form of the answers.

use super::choice::{Choice, choice};
use super::kind::Kind;
use super::section::section;
use super::settings::Settings;

section! {
    /// The form of the API's answers.
    "api" {
        /// `api:` — the form of the answers.
        #[derive(Copy)]
        pub struct Api {
            /// How a date is written in an answer: iso (2023-08-01), or http (Tue, 01 Aug 2023 00:00:00 GMT) as the Python
            /// service answered.
            date_format: DateFormat = "iso" => Kind::Enum(DateFormat::WORDS);
            /// Whether text in an answer is ASCII only, as the Python service answered: true escapes every other character (\u00fc), false
            /// writes it as it is, in UTF-8.
            ascii: bool = "true" => Kind::Boolean;
            /// Whether a create may have a number in place of a text, and no name, true or false: the name is then that in the directory, else
            /// that of the employee's latest record, or else the id.
            lenient_create: bool = "false" => Kind::Boolean;
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
