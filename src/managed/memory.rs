//! How much memory the appliance and its children use by default.
//!
//! Policy: fractions of the available memory, within bounds. Available is the memory of the machine, or the smallest limit of the control
//! groups that this process is in: its own and each one above it, in version 1 and in version 2, because a unit or a container may be nested in
//! others. What is read: `/proc/self/cgroup` names the groups, `/proc/self/mountinfo` says where they can be seen.

use std::fs;
use std::path::{Component, Path, PathBuf};

use nix::sys::sysinfo::sysinfo;

/// The smallest default of `shared_buffers`, unless that is more than a quarter of the memory, in bytes.
const MIN_SHARED_BUFFERS: u64 = 128 << 20;
/// The largest default of `shared_buffers`, in bytes.
const MAX_SHARED_BUFFERS: u64 = 1 << 30;
/// The largest default of `local_memory`, in bytes.
const MAX_LOCAL_MEMORY: u64 = 16 << 20;
/// The smallest and the largest default of the memory of the built-in Redis, in bytes.
const REDIS_MEMORY: (u64, u64) = (16 << 20, 128 << 20);
/// The files of a group that limit its memory: of version 2, a hard limit and one beyond which it is slowed down, then of version 1.
const LIMIT_FILES: [&str; 3] = ["memory.max", "memory.high", "memory.limit_in_bytes"];
/// Of version 1: no limit is written as a number near 2^63.
const MAX_LIMIT: u64 = 1 << 60;

/// The memory that the process and its children can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AvailableMemory {
    bytes: u64,
    /// Whether a control group limits it.
    pub is_limited: bool,
}

impl AvailableMemory {
    /// That of this process.
    pub fn detect() -> Self {
        let total = sysinfo().map_or(0, |machine| machine.ram_total());
        Self::smaller(total, group_limit(Path::new("/")))
    }

    fn smaller(total: u64, limit: Option<u64>) -> Self {
        match limit {
            Some(limit) if limit < total || total == 0 => Self { bytes: limit, is_limited: true },
            _ => Self { bytes: total, is_limited: false },
        }
    }

    /// In bytes; 0 if unknown.
    pub fn bytes(self) -> u64 {
        self.bytes
    }

    /// The default of `postgres.shared_buffers`, in bytes.
    pub fn shared_buffers(self) -> usize {
        if self.bytes == 0 {
            return size(MIN_SHARED_BUFFERS);
        }
        size((self.bytes / 8).clamp(MIN_SHARED_BUFFERS.min(self.bytes / 4), MAX_SHARED_BUFFERS))
    }

    /// The default of `redis.local_memory`, in bytes.
    pub fn local_memory(self) -> usize {
        if self.bytes == 0 { size(MAX_LOCAL_MEMORY) } else { size((self.bytes / 32).min(MAX_LOCAL_MEMORY)) }
    }

    /// The default of `redis.max_memory`, in bytes.
    pub fn redis_memory(self) -> u64 {
        let (least, most) = REDIS_MEMORY;
        if self.bytes == 0 { most } else { (self.bytes / 8).clamp(least, most) }
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The smallest limit of the groups of this process; none if there is no limit. `root` is `/`, or the directory of a test.
fn group_limit(root: &Path) -> Option<u64> {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let mounts: Vec<Mount> = read("proc/self/mountinfo").lines().filter_map(Mount::parse).collect();
    let groups = read("proc/self/cgroup");
    let limits = groups.lines().filter_map(Group::parse).flat_map(|group| {
        let seen = mounts.iter().filter(move |mount| mount.is_version_2 == group.is_version_2);
        seen.flat_map(move |mount| mount.directories(&group.path)).filter_map(|directory| limit(root, &directory))
    });
    limits.min()
}

/// The smallest limit of one group.
fn limit(root: &Path, directory: &Path) -> Option<u64> {
    let directory = root.join(directory.strip_prefix("/").unwrap_or(directory));
    // `max` is no limit, and not a number.
    let limits =
        LIMIT_FILES.iter().filter_map(|name| fs::read_to_string(directory.join(name)).ok()?.trim().parse().ok());
    limits.filter(|bytes| (1..MAX_LIMIT).contains(bytes)).min()
}

/// A group that this process is in.
struct Group {
    path: PathBuf,
    is_version_2: bool,
}

impl Group {
    /// Parses a line of `/proc/self/cgroup`: `0::/path`, or `4:cpu,memory:/path`. None if it does not limit memory.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(3, ':');
        let (hierarchy, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_version_2 = hierarchy == "0" && controllers.is_empty();
        let counts = is_version_2 || controllers.split(',').any(|name| name == "memory");
        counts.then(|| Self { path: path.into(), is_version_2 })
    }
}

/// Where a hierarchy of groups is mounted.
struct Mount {
    /// The group that the mount point shows; in a container it may be the container's own.
    root: PathBuf,
    point: PathBuf,
    is_version_2: bool,
}

impl Mount {
    /// Parses a line of `/proc/self/mountinfo`. None if it is not of groups that limit memory.
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        let mut after = after.split(' ');
        let (kind, options) = (after.next()?, after.nth(1).unwrap_or_default());
        let is_version_2 = kind == "cgroup2";
        let counts = is_version_2 || (kind == "cgroup" && options.split(',').any(|option| option == "memory"));
        counts.then(|| Self { root: unescaped(root), point: unescaped(point), is_version_2 })
    }

    /// The directories of a group and of those above it, as far as they can be seen here.
    fn directories(&self, group: &Path) -> Vec<PathBuf> {
        // With a root that is not above the group, or a path out of the name space (`/../x`), only the mount point is certain.
        let below = group.strip_prefix(&self.root).ok();
        let below = below.filter(|path| path.components().all(|part| matches!(part, Component::Normal(_))));
        let own = self.point.join(below.unwrap_or(Path::new("")));
        own.ancestors().take_while(|directory| directory.starts_with(&self.point)).map(Path::to_owned).collect()
    }
}

/// A path of `mountinfo`, in which a blank is `\040`.
fn unescaped(path: &str) -> PathBuf {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(path.to_owned(), |path, (code, character)| path.replace(code, character))
        .into()
}

#[cfg(test)]
mod tests {
    use std::ops::Deref;

    use super::*;
    use crate::managed::testing::{Scratch, scratch};

    const MIB: u64 = 1 << 20;

    /// A file system with the files of the kernel.
    struct Tree(Scratch);

    impl Tree {
        fn new(name: &str, groups: &str, mounts: &str) -> Self {
            let tree = Self(scratch(name));
            tree.write("proc/self/cgroup", groups);
            tree.write("proc/self/mountinfo", mounts);
            tree
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn limit(&self) -> Option<u64> {
            group_limit(self.0.deref())
        }
    }

    const VERSION_2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const VERSION_1: &str = "31 23 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
        32 31 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        33 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";

    #[test]
    fn the_limit_of_a_unit_of_version_2_is_found_and_a_smaller_one_above_it_too() {
        let tree = Tree::new("v2", "0::/system.slice/attendance-api.service\n", VERSION_2);
        assert_eq!(tree.limit(), None);
        tree.write("sys/fs/cgroup/system.slice/attendance-api.service/memory.max", "209715200\n");
        assert_eq!(tree.limit(), Some(200 * MIB));
        tree.write("sys/fs/cgroup/system.slice/memory.max", "104857600\n");
        assert_eq!(tree.limit(), Some(100 * MIB));
        tree.write("sys/fs/cgroup/system.slice/memory.max", "max\n");
        tree.write("sys/fs/cgroup/system.slice/attendance-api.service/memory.high", "157286400\n");
        assert_eq!(tree.limit(), Some(150 * MIB));
        // Groups beside it do not count.
        tree.write("sys/fs/cgroup/user.slice/memory.max", "1048576\n");
        tree.write("sys/fs/cgroup/system.slice/attendance-api.service/below/memory.max", "1048576\n");
        assert_eq!(tree.limit(), Some(150 * MIB));
    }

    #[test]
    fn the_limit_of_a_nested_group_of_version_1_is_found() {
        let tree = Tree::new("v1", "4:cpu,cpuacct:/a\n3:memory:/docker/abc/nested\n1:name=systemd:/a\n", VERSION_1);
        tree.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        tree.write("sys/fs/cgroup/memory/docker/abc/nested/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(tree.limit(), None);
        tree.write("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "209715200\n");
        assert_eq!(tree.limit(), Some(200 * MIB));
        tree.write("sys/fs/cgroup/cpu,cpuacct/a/memory.limit_in_bytes", "1\n");
        assert_eq!(tree.limit(), Some(200 * MIB));
    }

    #[test]
    fn with_both_versions_the_smaller_limit_counts() {
        let mounts = format!("{VERSION_1}34 31 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
        let tree = Tree::new("both", "4:memory:/a\n0::/b\n", &mounts);
        tree.write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "209715200\n");
        tree.write("sys/fs/cgroup/unified/b/memory.max", "104857600\n");
        assert_eq!(tree.limit(), Some(100 * MIB));
    }

    #[test]
    fn a_container_sees_its_own_group_at_the_mount_point() {
        // Without a name space of its own: the path is that of the host, and the mount shows this group only.
        let mounts = "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        for group in ["0::/docker/abc\n", "0::/\n", "0::/../../other\n", "0::/docker/xyz\n"] {
            let tree = Tree::new("container", group, mounts);
            tree.write("sys/fs/cgroup/memory.max", "209715200\n");
            assert_eq!(tree.limit(), Some(200 * MIB), "{group}");
        }
        let tree = Tree::new("container", "0::/docker/abc/below\n", mounts);
        tree.write("sys/fs/cgroup/memory.max", "209715200\n");
        tree.write("sys/fs/cgroup/below/memory.max", "104857600\n");
        assert_eq!(tree.limit(), Some(100 * MIB));
    }

    #[test]
    fn unusual_mount_points_and_invalid_files_are_no_problem() {
        let mounts = "30 23 0:26 / /odd\\040place/x\\134y rw - cgroup2 cgroup2 rw\nnonsense\n1 2\n";
        let tree = Tree::new("odd", "0::/a:b\nnonsense\n1:\n", mounts);
        tree.write("odd place/x\\y/a:b/memory.max", "209715200\n");
        assert_eq!(tree.limit(), Some(200 * MIB));
        for invalid in ["", "0\n", "-1\n", "lots\n"] {
            tree.write("odd place/x\\y/a:b/memory.max", invalid);
            assert_eq!(tree.limit(), None, "{invalid:?}");
        }
        assert_eq!(group_limit(Path::new("/nowhere")), None);
    }

    #[test]
    fn the_defaults_follow_the_memory_within_bounds() {
        let of = |mib: u64| {
            let memory = AvailableMemory { bytes: mib * MIB, is_limited: false };
            (memory.shared_buffers() as u64 / MIB, memory.local_memory() as u64 / MIB, memory.redis_memory() / MIB)
        };
        assert_eq!(of(64 << 10), (1024, 16, 128));
        assert_eq!(of(4 << 10), (512, 16, 128));
        assert_eq!(of(512), (128, 16, 64));
        assert_eq!(of(200), (50, 6, 25));
        assert_eq!(of(64), (16, 2, 16));
        assert_eq!(of(0), (128, 16, 128), "unknown");
    }

    #[test]
    fn the_smaller_of_machine_and_limit_is_available() {
        assert_eq!(AvailableMemory::smaller(100, Some(50)), AvailableMemory { bytes: 50, is_limited: true });
        assert_eq!(AvailableMemory::smaller(100, Some(500)), AvailableMemory { bytes: 100, is_limited: false });
        assert_eq!(AvailableMemory::smaller(0, Some(500)), AvailableMemory { bytes: 500, is_limited: true });
        assert!(AvailableMemory::detect().bytes() > 64 << 20);
    }
}
