//! Directories, names and ports that are unique to a test.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::statvfs::{FsFlags, statvfs};

/// A directory for one test, removed when dropped. Other users can enter it: the appliance and its children are not root.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Creates a directory whose name starts with `name`.
    pub(crate) fn new(name: &str) -> Self {
        let path = base().join(unique(name));
        fs::create_dir(&path).expect("a fresh directory can be made below the base");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the owner may change the mode");
        Self { path }
    }

    /// The path of the directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a world-readable file and returns its path.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, content).expect("the scratch directory takes a file");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The directory of this test process; the reaper removes it when the process ends.
pub(crate) fn base() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        // Short, because the path of a Unix socket below it must have at most 107 bytes.
        let path = parent().join(format!("att-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("the temporary directory takes a directory");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the owner may change the mode");
        path
    })
}

/// The directory in which the tests' directory is created: `$TMPDIR` if set, else the memory file system if it has room,
/// else `/tmp`. On a disk these tests spend most of their time in fsync, above all in `initdb`. No test depends on fsync:
/// tests kill processes, not the machine.
fn parent() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if std::env::var_os("TMPDIR").is_none() && has_room(memory) { memory.to_owned() } else { std::env::temp_dir() }
}

/// Whether `directory` allows programs to run and has three times the room that the whole suite uses.
fn has_room(directory: &Path) -> bool {
    const NEEDED: u64 = 4 << 30;
    let Ok(stat) = statvfs(directory) else { return false };
    let free = stat.blocks_available() * stat.fragment_size();
    !stat.flags().contains(FsFlags::ST_NOEXEC) && free.min(available_memory()) >= NEEDED
}

/// The memory that can be used without swapping; 0 if unknown.
fn available_memory() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib: u64 = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default();
    kib * 1024
}

/// `name` with a number that is unique in this process.
pub(crate) fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A free port outside the kernel's range for clients, so that a server can be restarted on it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (std::process::id().wrapping_mul(37).wrapping_add(step) % 12_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
