//! `attendance-api completions`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{CommandLine, Error, help, output};

/// Print the completions of a shell
///
/// The package installs those of bash, zsh and fish.
#[derive(Debug, Args)]
#[command(after_long_help = help::COMPLETIONS)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut CommandLine::command(), "attendance-api", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
