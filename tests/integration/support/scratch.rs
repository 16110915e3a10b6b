//! Directories, names and ports that no other test has.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of its own, removed when dropped. Others may enter it: the appliance and its children are not root.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes a directory whose name starts with `name`.
    pub(crate) fn new(name: &str) -> Self {
        let path = base().join(unique(name));
        fs::create_dir(&path).expect("a fresh directory can be made below the base");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the owner may change the mode");
        Self { path }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file that everybody may read and returns where it is.
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
        // Short: the path of a Unix socket below it may have 107 bytes.
        let path = std::env::temp_dir().join(format!("att-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("the temporary directory takes a directory");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the owner may change the mode");
        path
    })
}

/// `name` with a number that nobody else in this process gets.
pub(crate) fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A port nobody listens on, outside the range the kernel hands to clients: a server may leave it and come back.
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
