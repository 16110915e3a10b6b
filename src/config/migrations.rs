//! `migrations:` — what brings the schema up to date at start-up.

use std::path::PathBuf;

use super::kind::Kind;
use super::section::section;
use super::settings::Settings;

section! {
    /// The schema. It is brought up to date at start-up, as the Liquibase CLI would do it.
    "migrations" {
        /// `migrations:` — what brings the schema up to date at start-up. The default is the built-in changelog, all of it.
        #[derive(Default)]
        pub struct Migrations {
            /// The Liquibase changelog to apply instead of the built-in one, by its path below search_path; the history stores
            /// the path as it is written here. Example: migration/db.changelog-master.xml
            changelog: Option<String> => Kind::Text;
            /// The directory of the changelog and of the files that it includes. The current directory when not set.
            search_path: Option<PathBuf> => Kind::Path;
            /// The contexts of the run, separated by commas. When not set, changesets of every context run.
            contexts: Vec<String> => Kind::Text;
            /// An expression over labels, like "core and !slow". When not set, changesets with any labels run.
            labels: Option<String> => Kind::Text;
        }
    }
}

/// Reads the section.
pub(super) fn resolve(settings: &mut Settings) -> Option<Migrations> {
    Migrations::read(settings)
}
