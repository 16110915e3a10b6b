//! A command of the administrator, run by a shell.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::command::ChildCommand;
use super::helper::{self, run_helper};

/// Runs `command` with `argument` as its `$1`. Its environment has the home directory, where programs for remote copies have their keys.
///
/// # Errors
/// When it fails or takes longer than `timeout`.
pub async fn run(command: &str, argument: &Path, timeout: Duration) -> Result<(), helper::Error> {
    let mut shell = ChildCommand::new("/bin/sh", Signal::SIGTERM).args(["-c", command, "copy_command"]).arg(argument);
    if let Some(home) = std::env::var_os("HOME") {
        shell = shell.env("HOME", home);
    }
    run_helper(&shell, timeout).await.map(drop)
}
