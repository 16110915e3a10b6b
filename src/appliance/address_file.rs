//! The file in which commands on this machine find the address of a running appliance: the port may be that of a socket unit, or any free one.
//!
//! Policy: the address is no secret, so the copy in systemd's runtime directory can be read by every user; the data directory is closed to
//! others. A file that was left behind by a killed appliance names an address that refuses connections, which is the right answer.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

const FILE_NAME: &str = "address";
/// The directory below the data directory.
const RUN_DIR: &str = "run";
/// The runtime directory of the packaged service.
const SERVICE_DIR: &str = "/run/attendance-api";
/// The longest address, in bytes: `[0000:…]:65535`.
const MAX_LENGTH: u64 = 64;

/// The files of a running appliance; dropping it removes them.
#[derive(Debug)]
pub(super) struct AddressFiles(Vec<PathBuf>);

impl AddressFiles {
    /// Writes the address into the data directory, if there is one, and into systemd's runtime directory, if it made one.
    pub(super) fn write(data_dir: Option<&Path>, address: SocketAddr) -> Self {
        let private = data_dir.map(|dir| dir.join(RUN_DIR));
        let public = std::env::var_os("RUNTIME_DIRECTORY").filter(|dirs| !dirs.is_empty());
        let public = public.and_then(|dirs| std::env::split_paths(&dirs).next());
        let mut written = Vec::new();
        for dir in private.into_iter().chain(public) {
            let path = dir.join(FILE_NAME);
            match write(&dir, &path, address) {
                Ok(()) => written.push(path),
                // Only `healthcheck` without a URL needs it.
                Err(error) => {
                    tracing::info!(path = %path.display(), %error, "the address could not be written for other commands")
                }
            }
        }
        Self(written)
    }
}

impl Drop for AddressFiles {
    fn drop(&mut self) {
        for path in &self.0 {
            // If it is left behind, it names an address that refuses connections.
            let _ = fs::remove_file(path);
        }
    }
}

fn write(dir: &Path, path: &Path, address: SocketAddr) -> std::io::Result<()> {
    if !dir.is_dir() {
        fs::DirBuilder::new().mode(0o700).create(dir)?;
    }
    // Renamed, so that no reader sees a part of it.
    let partial = path.with_extension("partial");
    fs::write(&partial, format!("{address}\n"))?;
    fs::set_permissions(&partial, fs::Permissions::from_mode(0o644))?;
    fs::rename(&partial, path)
}

/// Where the appliance on this data directory listens, if it runs and this user may read the file.
pub(super) fn of_data_dir(data_dir: &Path) -> Option<SocketAddr> {
    read(&data_dir.join(RUN_DIR))
}

/// Where the packaged service listens, if it runs.
pub(super) fn of_service() -> Option<SocketAddr> {
    read(Path::new(SERVICE_DIR))
}

fn read(dir: &Path) -> Option<SocketAddr> {
    let path = dir.join(FILE_NAME);
    if fs::metadata(&path).ok()?.len() > MAX_LENGTH {
        return None;
    }
    fs::read_to_string(path).ok()?.trim().parse().ok()
}
