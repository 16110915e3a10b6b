//! The value of an option of Liquibase, and where it was given.

use super::liquibase_option::LiquibaseOption;

/// A value of an option. It may be a password, so it does not print itself.
pub struct Value {
    /// The option.
    pub option: &'static LiquibaseOption,
    /// Where it was given, for messages.
    pub place: String,
    /// The value.
    pub text: String,
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Value").field("place", &self.place).finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Value {
    /// A value of the option of that name.
    pub fn new(name: &str, place: &str, text: &str) -> Self {
        let option =
            super::liquibase_option::OPTIONS.iter().find(|option| option.name == name).expect("the table has it");
        Self { option, place: place.to_owned(), text: text.to_owned() }
    }
}
