//! How a changeset is identified.
//!
//! A changeset is identified by its file, id and author together. [`ChangeSetId`] keeps them as written, for the history and for messages.
//! [`ChangeSetKey`] is the form for comparison, because Liquibase finds a changeset in the history by any spelling of its path and in any
//! case.

use std::fmt;

use crate::path;

/// The text that Liquibase shows for a missing id or author. Validation refuses it.
pub(crate) const MISSING_ID: &str = "null";

/// The identity of a changeset as written; displayed as `file::id::author`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChangeSetId {
    /// The file name as it is stored.
    pub file: String,
    /// The id as written.
    pub id: String,
    /// The author as written.
    pub author: String,
}

impl ChangeSetId {
    /// The form in which identities are compared.
    pub(crate) fn key(&self) -> ChangeSetKey {
        ChangeSetKey::new(&self.file, &self.id, &self.author)
    }
}

impl fmt::Display for ChangeSetId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}::{}::{}", self.file, self.id, self.author)
    }
}

/// The identity of a changeset for comparison: the path normalised, and all three parts in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ChangeSetKey {
    file: String,
    id: String,
    author: String,
}

impl ChangeSetKey {
    pub(crate) fn new(file: &str, id: &str, author: &str) -> Self {
        Self { file: path::normalise(file).to_lowercase(), id: id.to_lowercase(), author: author.to_lowercase() }
    }
}
