//! A control group with a memory limit, for the tests that can make one: as root, where the hierarchy is writable.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::unique;

/// A group without a limit inside of one that has one; removed when dropped.
pub(crate) struct Cgroup {
    outer: PathBuf,
}

impl Cgroup {
    /// Makes the groups; none if this machine does not let the tests.
    pub(crate) fn limited_to(mib: u64) -> Option<Self> {
        let candidates = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        candidates.into_iter().find_map(|(root, file)| {
            let outer = Path::new(root).join(format!("attendance-{}-{}", std::process::id(), unique("test")));
            fs::create_dir(&outer).ok()?;
            let group = Self { outer };
            // Version 2: the group must hand the controller on, too.
            let _ = fs::write(group.outer.join("cgroup.subtree_control"), "+memory");
            fs::write(group.outer.join(file), (mib << 20).to_string()).ok()?;
            fs::create_dir(group.inner()).ok()?;
            Some(group)
        })
    }

    fn inner(&self) -> PathBuf {
        self.outer.join("inner")
    }

    /// The file into which a process writes its id to enter the inner group.
    pub(crate) fn entrance(&self) -> PathBuf {
        self.inner().join("cgroup.procs")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The last process leaves the group a moment after it has ended.
        for _ in 0..200 {
            let _ = fs::remove_dir(self.inner());
            if fs::remove_dir(&self.outer).is_ok() || !self.outer.exists() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}
