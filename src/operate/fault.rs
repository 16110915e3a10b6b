//! Places at which a test ends the process, to see what the next start makes of it.
//!
//! Policy: only builds with debug assertions have them.

/// Kills this process if `ATTENDANCE_FAULT` names this place.
#[cfg(debug_assertions)]
pub(super) fn point(name: &str) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::getpid;
    if std::env::var("ATTENDANCE_FAULT").is_ok_and(|wanted| wanted == name) {
        // It cannot fail for this process itself, and does not return.
        let _ = kill(getpid(), Signal::SIGKILL);
    }
}

/// Does nothing in a release build.
#[cfg(not(debug_assertions))]
pub(super) fn point(_: &str) {}
