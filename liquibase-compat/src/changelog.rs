//! A changelog: the changesets of a file and of all files that it includes, in the order in which they run.
//!
//! Loading does not use a database. The changesets with runOrder="first" come first and those with runOrder="last" last; otherwise the order
//! is that of the files.

mod attributes;
mod changeset_element;
mod loader;
mod removed_property;

use std::collections::HashMap;

use crate::changeset::ChangeSet;
use crate::changeset_id::{ChangeSetId, ChangeSetKey};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::load_error::LoadError;
use crate::options::Options;
use crate::precondition::Preconditions;
use crate::source::Source;

/// A changelog that was read and parsed completely.
///
/// ```
/// use liquibase_compat::{Changelog, ChecksumVersion, EmbeddedSource, Options};
///
/// let source = EmbeddedSource::of_texts(&[("log.sql", "--liquibase formatted sql\n--changeset me:1\nselect 1;\n")]);
/// let changelog = Changelog::load(&source, "log.sql", &Options::default())?;
/// let (id, checksum) = changelog.checksums(ChecksumVersion::V9).next().ok_or("no changeset")?;
/// assert_eq!((id.to_string().as_str(), checksum.version()), ("log.sql::1::me", 9));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Changelog {
    pub(crate) changesets: Vec<ChangeSet>,
    /// The preconditions of the root file and of every included file.
    pub(crate) preconditions: Vec<Preconditions>,
    /// The changesets of each identity: several if at most one of them takes part in a run.
    by_key: HashMap<ChangeSetKey, Vec<usize>>,
    needs_database: bool,
}

impl Changelog {
    /// Reads the changelog at `path` and all files that it includes from `source`.
    ///
    /// # Errors
    /// When a file is missing or malformed, or contains something that this crate does not know.
    pub fn load(source: &dyn Source, path: &str, options: &Options) -> Result<Self, LoadError> {
        let loader::LoadedParts { changesets, preconditions, needs_database } = loader::load(source, path, options)?;
        let mut by_key: HashMap<ChangeSetKey, Vec<usize>> = HashMap::new();
        for (index, set) in changesets.iter().enumerate() {
            by_key.entry(set.key()).or_default().push(index);
        }
        Ok(Self { changesets, preconditions, by_key, needs_database })
    }

    /// The current checksum of each changeset, in the order in which they run. Changesets for other databases are skipped.
    pub fn checksums(&self, version: ChecksumVersion) -> impl Iterator<Item = (&ChangeSetId, Checksum)> {
        let applicable = self.changesets.iter().filter(|set| crate::expression::for_postgresql_in_any_case(&set.dbms));
        applicable.map(move |set| (&set.id, set.checksum(version)))
    }

    /// Whether the changelog refers to properties of the database, such as `${database.defaultSchemaName}`, and the options had none. They
    /// are then not replaced: set [`Options::database`] and load the changelog again.
    pub fn needs_database_properties(&self) -> bool {
        self.needs_database
    }

    /// Whether a changeset sets the tag.
    pub fn sets_tag(&self, tag: &str) -> bool {
        self.changesets.iter().any(|set| set.tag() == Some(tag))
    }

    /// The number of changesets, including those for other databases.
    pub fn len(&self) -> usize {
        self.changesets.len()
    }

    /// Whether the changelog has no changesets.
    pub fn is_empty(&self) -> bool {
        self.changesets.is_empty()
    }

    /// Evaluates the contexts and labels of all changesets that are not for another database.
    ///
    /// # Errors
    /// When an expression that decides about a changeset cannot be read.
    pub(crate) fn check_expressions(&self, options: &Options) -> Result<(), LoadError> {
        let mut evaluated = self.changesets.iter().filter(|set| !set.is_dropped_by_dbms());
        evaluated.try_for_each(|set| set.check_expressions(options)).map_err(LoadError::from)
    }

    /// The changeset with this identity: of several the first that takes part in a run with these options.
    pub(crate) fn find(&self, key: &ChangeSetKey, options: &Options) -> Option<&ChangeSet> {
        let indices = self.by_key.get(key)?;
        let all = || indices.iter().map(|index| &self.changesets[*index]);
        let takes_part = |set: &&ChangeSet| indices.len() == 1 || set.filter_reasons(options).is_empty();
        all().find(takes_part).or_else(|| all().next())
    }
}
