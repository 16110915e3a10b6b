//! `backup.keep:` — which backups are kept.

use super::kind::Kind;
use super::section::section;
use super::settings::Settings;

section! {
    /// Which backups are kept, those of `backup create` included: the newest of each of the last days, weeks and months. Those with a label stay.
    "backup.keep" {
        /// `backup.keep:` — how many backups are kept.
        #[derive(PartialEq, Eq)]
        pub struct Keep {
            /// Days of which the newest backup is kept, 0 to 1000.
            daily: usize = "7" => Kind::Integer(0, 1000);
            /// Weeks of which the newest backup is kept, 0 to 1000.
            weekly: usize = "4" => Kind::Integer(0, 1000);
            /// Months of which the newest backup is kept, 0 to 1000.
            monthly: usize = "12" => Kind::Integer(0, 1000);
        }
    }
}

/// Reads the section.
pub(super) fn resolve(settings: &mut Settings) -> Option<Keep> {
    Keep::read(settings)
}
