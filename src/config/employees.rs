//! `employees:` — the directory.

use super::kind::Kind;
use super::section::section;
use super::settings::Settings;

section! {
    /// The directory of employees.
    "employees" {
        /// `employees:` — the directory of employees.
        #[derive(Copy)]
        pub struct Employees {
            /// Whether records need an employee in the directory, true or false. With true, a foreign key refuses new records of unknown
            /// employees, also those of other programs, and an employee with records cannot be removed. All instances on one database need the
            /// same value.
            strict: bool = "false" => Kind::Boolean;
        }
    }
}

/// Reads the section.
pub(super) fn resolve(settings: &mut Settings) -> Option<Employees> {
    Employees::read(settings)
}
