//! `attendance-api completions`

use clap::{Args, Command};
use clap_complete::Shell;

use super::error::Error;
use super::{help, output};

/// Print completions for a shell
///
/// The package installs those for bash, zsh and fish.
#[derive(Debug, Args)]
#[command(after_long_help = help::COMPLETIONS)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

/// Prints the script that completes the command line of a program.
pub fn run(arguments: &Arguments, mut program: Command) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut program, "attendance-api", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
