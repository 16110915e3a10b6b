//! What the tests of this module share.

use std::path::PathBuf;

/// A new, empty directory for one test.
pub(super) fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("attendance-managed-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}
