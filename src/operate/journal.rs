//! The exchange of the cluster by a restored one, which a crash at any moment leaves finished or undone.
//!
//! Policy: what is about to be renamed is on disk before the first rename. Each start under the lock of the data directory reads it: if the old
//! cluster was moved away, the exchange is finished; otherwise nothing has changed, and it is given up. Without this, a crash between
//! the two renames would make the next start create an empty cluster.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::{Error, fault};
use crate::managed::secret_file;

/// Two renames that belong together. The paths are below the data directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Exchange {
    /// The complete new cluster.
    pub(super) new: PathBuf,
    /// The place of the cluster that is used.
    pub(super) current: PathBuf,
    /// Where the old cluster is kept; none if there is none.
    pub(super) kept: Option<PathBuf>,
}

/// Exchanges the clusters.
pub(super) fn exchange(layout: &Layout, exchange: &Exchange) -> Result<(), Error> {
    let text = serde_json::to_string(exchange).map_err(|source| Error::Encode { source })?;
    fault::point("restore-before-journal");
    let journal = layout.journal();
    secret_file::write(&journal, &text).map_err(Error::at(&journal))?;
    fault::point("restore-after-journal");
    if let Some(kept) = &exchange.kept {
        rename(layout, &exchange.current, kept)?;
        fault::point("restore-after-first-rename");
    }
    rename(layout, &exchange.new, &exchange.current)?;
    fault::point("restore-after-second-rename");
    remove(&journal)
}

/// Finishes or undoes an exchange that was interrupted. Only for the holder of the lock of the data directory.
///
/// # Errors
/// When a file cannot be renamed, or what the journal names is not there.
pub fn recover(layout: &Layout) -> Result<(), Error> {
    let path = layout.journal();
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        text => text.map_err(Error::at(&path))?,
    };
    let current = layout.clusters();
    let broken = |reason| Error::Journal { path: path.clone(), reason, current: current.clone() };
    let exchange: Exchange = serde_json::from_str(&text).map_err(|_| broken("it cannot be read"))?;
    let exists = |path: &Path| layout.data_dir().join(path).symlink_metadata().is_ok();
    let was_moved = exchange.kept.as_deref().is_none_or(exists);
    match (exists(&exchange.new), exists(&exchange.current), was_moved) {
        // Nothing was moved yet: the restore is given up, and its scratch directory is removed with others.
        (true, true, _) => tracing::warn!("a restore was interrupted before it changed anything; it is given up"),
        (true, false, true) => {
            rename(layout, &exchange.new, &exchange.current)?;
            tracing::warn!("a restore was interrupted; it is finished now");
        }
        (false, true, _) => tracing::info!("a restore was interrupted after its last step; it is finished"),
        (false, false, true) => {
            let kept = exchange.kept.as_ref().ok_or_else(|| broken("there is no cluster"))?;
            rename(layout, kept, &exchange.current)?;
            tracing::warn!("a restore was interrupted and its cluster is missing; the cluster before is used again");
        }
        (_, false, false) => return Err(broken("there is no cluster")),
    }
    fault::point("recover-before-end");
    remove(&path)
}

/// A durable rename. Both paths are below the data directory.
fn rename(layout: &Layout, from: &Path, to: &Path) -> Result<(), Error> {
    let (from, to) = (layout.data_dir().join(from), layout.data_dir().join(to));
    fs::rename(&from, &to).map_err(Error::at(&from))?;
    for path in [&from, &to] {
        secret_file::sync_parent(path).map_err(Error::at(path))?;
    }
    Ok(())
}

fn remove(journal: &Path) -> Result<(), Error> {
    fs::remove_file(journal).map_err(Error::at(journal))?;
    let directory = journal.parent().unwrap_or(journal);
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(Error::at(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(name: &str, present: &[&str]) -> Layout {
        let path = std::env::temp_dir().join(format!("attendance-journal-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        let layout = Layout::new(&path);
        layout.prepare().unwrap();
        for directory in present {
            fs::create_dir_all(path.join(directory)).unwrap();
            fs::write(path.join(directory).join("name"), directory).unwrap();
        }
        layout
    }

    fn interrupted(layout: &Layout, kept: Option<&str>) {
        let exchange = Exchange { new: "new".into(), current: "current".into(), kept: kept.map(PathBuf::from) };
        fs::write(layout.journal(), serde_json::to_string(&exchange).unwrap()).unwrap();
    }

    #[test]
    fn a_crash_at_any_moment_leaves_one_complete_cluster_in_its_place() {
        for (present, kept, expected) in [
            (&["new", "current"][..], Some("kept"), "current"),
            (&["new", "kept"], Some("kept"), "new"),
            (&["current", "kept"], Some("kept"), "current"),
            (&["kept"], Some("kept"), "kept"),
            (&["new"], None, "new"),
            (&["current"], None, "current"),
        ] {
            let layout = layout("crash", present);
            interrupted(&layout, kept);
            recover(&layout).unwrap();
            let found = fs::read_to_string(layout.data_dir().join("current/name")).unwrap();
            assert_eq!(found, expected, "{present:?}");
            assert!(!layout.journal().exists());
            recover(&layout).unwrap();
            fs::remove_dir_all(layout.data_dir()).unwrap();
        }
    }

    #[test]
    fn a_journal_that_names_nothing_is_an_error_and_stays() {
        let layout = layout("nothing", &[]);
        interrupted(&layout, Some("kept"));
        assert!(matches!(recover(&layout), Err(Error::Journal { .. })));
        fs::write(layout.journal(), "{").unwrap();
        assert!(matches!(recover(&layout), Err(Error::Journal { .. })));
        assert!(layout.journal().exists());
        fs::remove_dir_all(layout.data_dir()).unwrap();
    }
}
