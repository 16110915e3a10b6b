//! Which files of a directory of backups belong to this data directory.
//!
//! Policy: several appliances may have one `backup.directory`. Each removes, continues and verifies only what it has made itself: a lineage of WAL
//! has the identity of its data directory in the file `owner`, which is locked while WAL is copied into it, and the names of backups are recorded in the
//! data directory. In a directory below the data directory, everything belongs to it. A lineage whose data directory was lost stays until an
//! administrator removes it.

use std::fs;
use std::path::{Path, PathBuf};

use super::Error;
use super::file_lock::FileLock;
use super::layout::Layout;
use super::state::State;
use crate::managed::secret_file;

/// The file in a lineage with the identity of its owner.
const OWNER_FILE: &str = "owner";
/// The letters of an identity.
const IDENTITY_CHARACTERS: usize = 32;

/// What belongs to one data directory.
#[derive(Debug, Clone)]
pub struct Owner {
    /// None before it has made something.
    id: Option<String>,
    /// Whether the directory of backups is below the data directory.
    is_private: bool,
    backups: Vec<PathBuf>,
}

impl Owner {
    /// The owner as it is recorded; nothing is written.
    pub fn read(layout: &Layout, directory: &Path) -> Self {
        let state = State::read(layout);
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let is_private = real(directory).starts_with(real(layout.data_dir()));
        Self { id: state.id, is_private, backups: state.files }
    }

    /// Like [`Owner::read`]; a data directory without an identity gets one.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub(super) fn identified(layout: &Layout, directory: &Path) -> Result<Self, Error> {
        let random = secret_file::random().map_err(Error::at(layout.data_dir()))?;
        State::update(layout, |state| {
            state.id.get_or_insert_with(|| random.chars().take(IDENTITY_CHARACTERS).collect());
        })?;
        Ok(Self::read(layout, directory))
    }

    /// Whether it has made this backup.
    pub fn has_backup(&self, path: &Path) -> bool {
        self.is_private || self.backups.iter().any(|own| own == path)
    }

    /// Whether it has made this lineage.
    pub(super) fn has_lineage(&self, lineage: &Path) -> bool {
        let recorded = || fs::read_to_string(lineage.join(OWNER_FILE)).ok();
        self.is_private || (self.id.is_some() && recorded().as_deref().map(str::trim) == self.id.as_deref())
    }

    /// Makes a new lineage its own.
    pub(super) fn mark(&self, lineage: &Path) -> Result<(), Error> {
        let path = lineage.join(OWNER_FILE);
        secret_file::write(&path, self.id.as_deref().unwrap_or_default()).map_err(Error::at(&path))
    }
}

/// The right to write into a lineage, or to remove it; `None` if another process has it, such as the appliance of a copied data directory.
pub(super) fn lock(lineage: &Path) -> Result<Option<FileLock>, Error> {
    let path = lineage.join(OWNER_FILE);
    FileLock::try_acquire(&path).map_err(Error::at(&path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::testing::scratch;

    #[test]
    fn a_shared_directory_has_what_belongs_to_each_appliance() {
        let (scratch, shared) = (scratch("owners"), scratch("owners-shared"));
        let layouts = ["a", "b"].map(|name| Layout::new(&scratch.join(name)));
        let [a, b] = layouts.each_ref().map(|layout| Owner::identified(layout, &shared).unwrap());
        let lineage = shared.join("lineage");
        fs::create_dir(&lineage).unwrap();
        assert!(!a.has_lineage(&lineage), "one without an owner belongs to nobody");
        a.mark(&lineage).unwrap();
        assert!(a.has_lineage(&lineage) && !b.has_lineage(&lineage));
        let again = Owner::identified(&layouts[0], &shared).unwrap();
        assert!(again.has_lineage(&lineage), "the identity stays");
        let held = lock(&lineage).unwrap().unwrap();
        assert!(lock(&lineage).unwrap().is_none());
        drop(held);
        assert!(lock(&lineage).unwrap().is_some());

        let backup = shared.join("x.tar");
        State::update(&layouts[0], |state| state.files.push(backup.clone())).unwrap();
        assert!(Owner::read(&layouts[0], &shared).has_backup(&backup));
        assert!(!Owner::read(&layouts[1], &shared).has_backup(&backup));
        let private = Owner::read(&layouts[1], &layouts[1].default_backups());
        assert!(private.has_backup(&backup) && private.has_lineage(&lineage));
        let none = Owner::read(&Layout::new(&scratch.join("new")), &shared);
        let without_owner = shared.join("other");
        fs::create_dir(&without_owner).unwrap();
        assert!(!none.has_lineage(&without_owner) && !none.has_lineage(&lineage));
    }
}
