//! What an administrator can do about an error of the file system, as the end of an error message.

use std::io;

/// Begins with a semicolon; empty if there is no specific remedy.
pub(super) fn io_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space (100 MB) or choose another data directory"
        }
        io::ErrorKind::PermissionDenied => "; give this user the directory or choose another data directory",
        io::ErrorKind::ReadOnlyFilesystem => "; choose a data directory that can be written",
        _ => "",
    }
}
