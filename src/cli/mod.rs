//! The command line: what can be asked of the appliance, one file a subcommand.
//!
//! Policy: a subcommand is thin; it loads the configuration, calls what does the work and prints the answer. All of
//! them end in one place, which maps the outcome to the exit status.

mod banner;
mod children;
mod completions;
mod config;
mod demo;
mod error;
mod flags;
mod healthcheck;
mod help;
mod man;
mod migrate;
mod openapi;
mod output;
mod runtime;
mod seed;
mod serve;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use error::Error;

/// Bad usage, as sysexits.h numbers it.
const USAGE: u8 = 64;

/// An attendance REST API that brings its own PostgreSQL and its own Redis.
///
/// Without a command it serves, with nothing configured: `attendance-api` is `attendance-api serve`.
#[derive(Debug, Parser)]
#[command(
    name = "attendance-api",
    version,
    max_term_width = 110,
    args_conflicts_with_subcommands = true,
    after_help = "attendance-api COMMAND --help tells more about a command.",
    after_long_help = help::MAIN
)]
pub struct CommandLine {
    #[command(flatten)]
    serve: serve::Arguments,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Demo(demo::Arguments),
    Migrate(Box<migrate::Arguments>),
    Config(config::Arguments),
    Healthcheck(healthcheck::Arguments),
    Openapi(openapi::Arguments),
    Version(version::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
    SupervisedChild(children::Supervised),
    MiniRedisChild(children::MiniRedis),
    #[cfg(feature = "download")]
    PgEmbedChild(children::PgEmbed),
}

/// Parses the command line.
///
/// # Errors
/// What was to be printed (help, version or what is wrong) has been printed; the status to exit with.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<CommandLine, ExitCode> {
    CommandLine::try_parse_from(arguments).map_err(|error| {
        // when nobody reads our output there is nobody to tell that
        error.print().ok();
        if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
    })
}

/// Runs what the command line says.
///
/// # Errors
/// Why it did not succeed; [`exit_status`] tells it to the person.
pub fn run(line: CommandLine) -> Result<(), Error> {
    match line.command.unwrap_or(Command::Serve(line.serve)) {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Migrate(arguments) => migrate::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Healthcheck(arguments) => healthcheck::run(&arguments),
        Command::Openapi(_) => openapi::run(),
        Command::Version(_) => version::run(),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
        Command::SupervisedChild(arguments) => children::supervised(&arguments),
        Command::MiniRedisChild(_) => children::mini_redis(),
        #[cfg(feature = "download")]
        Command::PgEmbedChild(arguments) => children::pg_embed(&arguments),
    }
}

/// Tells an error on standard error and gives the status to exit with.
pub fn exit_status(outcome: Result<(), Error>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::print_error(&error);
            ExitCode::from(error.status())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parsed(words: &[&str]) -> CommandLine {
        let words = std::iter::once("attendance-api").chain(words.iter().copied());
        CommandLine::try_parse_from(words).expect("a good command line")
    }

    #[test]
    fn the_definition_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn no_command_is_serve() {
        assert!(parsed(&[]).command.is_none());
        assert_eq!(parsed(&["--listen", "127.0.0.1:0"]).serve.flags().listen.as_deref(), Some("127.0.0.1:0"));
        assert!(matches!(parsed(&["serve", "--set", "log.level=debug"]).command, Some(Command::Serve(_))));
    }

    #[test]
    fn a_child_gets_its_words_as_they_are() {
        let words = ["--parent", "1", "--signal", "SIGINT", "--", "/bin/sh", "-c", "exit", "--help"];
        let line = parsed(&[&["supervised-child"][..], &words].concat());
        let Some(Command::SupervisedChild(child)) = line.command else { panic!("{line:?}") };
        assert_eq!((child.parent, child.signal.as_str()), (1, "SIGINT"));
        assert_eq!(child.command, words[5..]);
    }

    #[test]
    fn every_command_has_a_help_page() {
        for command in CommandLine::command().get_subcommands_mut().filter(|command| !command.is_hide_set()) {
            let help = command.render_long_help().to_string();
            for part in ["Usage:", "Examples:", "Exit status:"] {
                assert!(help.contains(part), "{} lacks {part}\n{help}", command.get_name());
            }
        }
    }
}
