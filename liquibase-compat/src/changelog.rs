//! A changelog: the changesets of a file and of all it includes, in the order they run.
//!
//! Loading touches no database. Order: runOrder="first" ones, the others, runOrder="last" ones, each as written.

mod attributes;
mod loader;

use std::collections::HashMap;

use crate::changeset::ChangeSet;
use crate::changeset_id::{ChangeSetId, ChangeSetKey};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::load_error::LoadError;
use crate::options::Options;
use crate::precondition::Preconditions;
use crate::source::Source;

/// A changelog that has been read and understood.
#[derive(Debug)]
pub struct Changelog {
    pub(crate) changesets: Vec<ChangeSet>,
    /// Those of the root file and of every included one.
    pub(crate) preconditions: Vec<(String, Preconditions)>,
    by_key: HashMap<ChangeSetKey, usize>,
}

impl Changelog {
    /// Reads the changelog at `path`, and all it includes, from `source`.
    ///
    /// # Errors
    /// When a file is missing or malformed, or holds something this crate does not know. Nothing has been done then.
    pub fn load(source: &dyn Source, path: &str, options: &Options) -> Result<Self, LoadError> {
        loader::load(source, path, options)
    }

    /// The checksum of each changeset as its content is now, in the order they run. Those of other databases have none.
    pub fn checksums(&self, version: ChecksumVersion) -> impl Iterator<Item = (&ChangeSetId, Checksum)> {
        let ours = self.changesets.iter().filter(|set| crate::expression::for_postgresql(&set.dbms));
        ours.map(move |set| (&set.id, set.checksum(version)))
    }

    /// Whether some changeset of it sets the tag.
    pub fn sets_tag(&self, tag: &str) -> bool {
        self.changesets.iter().any(|set| set.tag() == Some(tag))
    }

    /// How many changesets it has.
    pub fn len(&self) -> usize {
        self.changesets.len()
    }

    /// Whether it has no changesets.
    pub fn is_empty(&self) -> bool {
        self.changesets.is_empty()
    }

    fn new(changesets: Vec<ChangeSet>, preconditions: Vec<(String, Preconditions)>) -> Self {
        let by_key = changesets.iter().enumerate().map(|(index, one)| (one.key(), index)).collect();
        Self { changesets, preconditions, by_key }
    }

    /// The changeset of that identity.
    pub(crate) fn find(&self, key: &ChangeSetKey) -> Option<&ChangeSet> {
        self.by_key.get(key).map(|index| &self.changesets[*index])
    }
}
