//! How a changeset is identified.
//!
//! A changeset has no number of its own: its file, id and author together identify it. [`ChangeSetId`] keeps them as written, because
//! they are stored and shown so; [`ChangeSetKey`] is the form that is compared, because Liquibase finds a changeset in the history by
//! any spelling of its path and in any case.

use std::fmt;

use crate::path;

/// What Liquibase shows for an id or author that is missing. Validation refuses it.
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
