//! The declaration of a change type, which all change types share.
//!
//! Each change type is one file with one constant, a [`ChangeKind`]. Everything that differs between the types is in the declaration;
//! [`Change`](super::Change) interprets it.

use super::error::ChangeError;
use crate::checksum::{Checksum, ChecksumVersion};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;
use crate::validation_problem::ValidationProblem;

/// A change type.
#[derive(Debug)]
pub(crate) struct ChangeKind {
    /// The element name in a changelog.
    pub(crate) name: &'static str,
    /// The class name in Liquibase's messages.
    pub(crate) class: &'static str,
    /// The fields that the element may have.
    pub(crate) fields: &'static [Field],
    pub(crate) checksum_input: ChecksumInput,
    /// Finds the problems of a change that validation reports in addition to missing required fields.
    pub(crate) problems: fn(&Fields) -> Vec<ValidationProblem>,
    pub(crate) statements: SqlGenerator,
    /// Generates the SQL that rolls the change back; `None` if the change cannot be rolled back.
    pub(crate) inverse: fn(&Fields, &Dialect) -> Option<Vec<String>>,
}

/// Generates the SQL of a change.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SqlGenerator {
    /// Every change that passes validation has SQL.
    Infallible(fn(&Fields, &Dialect) -> Vec<String>),
    /// A change that passes validation may still have no SQL.
    Fallible(fn(&Fields, &Dialect) -> Result<Vec<String>, ChangeError>),
}

/// What the checksum of a change is computed from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ChecksumInput {
    /// Liquibase's serialisation of all fields except the `excluded` ones.
    Fields { excluded: &'static [&'static str] },
    /// The type computes the checksum itself.
    Custom(fn(&Fields, ChecksumVersion) -> Checksum),
}

/// The checksum is computed from all fields.
pub(crate) const ALL_FIELDS: ChecksumInput = ChecksumInput::Fields { excluded: &[] };

/// For a type whose only possible problem is a missing required field.
pub(crate) fn no_problems(_: &Fields) -> Vec<ValidationProblem> {
    Vec::new()
}

/// For a type that cannot be rolled back.
pub(crate) fn no_inverse(_: &Fields, _: &Dialect) -> Option<Vec<String>> {
    None
}
