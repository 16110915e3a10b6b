//! The command line: one file per subcommand.
//!
//! Policy: a subcommand is thin: it loads the configuration, calls the layer that does the work, and prints the result. One function
//! maps the results of all to exit statuses.

mod access_work;
mod account;
mod backup;
mod backup_keys;
mod banner;
mod children;
mod completions;
mod config;
mod demo;
mod error;
mod flags;
mod healthcheck;
mod help;
mod jdbc;
mod man;
mod migrate;
mod migrate_error;
mod openapi;
mod output;
mod probe;
mod runtime;
mod secret_input;
mod seed;
mod serve;
mod token;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use error::USAGE;

pub use error::Error;

/// An attendance REST API that brings its own PostgreSQL and its own Redis.
///
/// Without a command it serves: `attendance-api` is `attendance-api serve`. Nothing has to be configured.
#[derive(Debug, Parser)]
#[command(
    name = "attendance-api",
    version,
    max_term_width = 110,
    args_conflicts_with_subcommands = true,
    after_help = "`attendance-api COMMAND --help` explains a command.",
    after_long_help = help::MAIN
)]
pub struct CommandLine {
    #[command(flatten)]
    serve: serve::Arguments,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The subcommands. The last ones are hidden: with them the appliance starts itself as a child.
#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Demo(demo::Arguments),
    Migrate(Box<migrate::Arguments>),
    Backup(backup::Arguments),
    Account(account::Arguments),
    Token(token::Arguments),
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
/// The exit status. The text (help, version or what is wrong) has been printed.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<CommandLine, ExitCode> {
    CommandLine::try_parse_from(flags_last(arguments.into_iter().collect())).map_err(|error| {
        // An error of standard output or standard error cannot be reported anywhere.
        error.print().ok();
        if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
    })
}

/// Moves the flags of the configuration from before a command to the end, where the command understands them:
/// `attendance-api --data-dir DIRECTORY migrate status` is `attendance-api migrate status --data-dir DIRECTORY`.
fn flags_last(mut words: Vec<OsString>) -> Vec<OsString> {
    const FLAGS: [&str; 4] = ["--config", "--data-dir", "--set", "--listen"];
    let text = |at: usize| words.get(at).and_then(|word| word.to_str()).unwrap_or_default();
    let mut command = 1;
    loop {
        let (flag, has_value) = text(command).split_once('=').map_or((text(command), false), |(flag, _)| (flag, true));
        match FLAGS.contains(&flag) {
            true if has_value => command += 1,
            true => command += 2,
            false => break,
        }
    }
    // Without flags before the command there is nothing to move, and the definition of all commands need not be built.
    if command > 1 && CommandLine::command().find_subcommand(text(command)).is_some() {
        words[1..].rotate_left(command - 1);
    }
    words
}

/// Runs what the command line says.
///
/// # Errors
/// Why it failed; [`exit_status`] prints it.
pub fn run(line: CommandLine) -> Result<(), Error> {
    match line.command.unwrap_or(Command::Serve(line.serve)) {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Migrate(arguments) => migrate::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Account(arguments) => account::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Healthcheck(arguments) => healthcheck::run(&arguments),
        Command::Openapi(_) => openapi::run(),
        Command::Version(_) => version::run(),
        Command::Completions(arguments) => completions::run(&arguments, CommandLine::command()),
        Command::Man(arguments) => man::run(&arguments, CommandLine::command()),
        Command::SupervisedChild(arguments) => children::supervised(&arguments),
        Command::MiniRedisChild(_) => children::mini_redis(),
        #[cfg(feature = "download")]
        Command::PgEmbedChild(arguments) => children::pg_embed(&arguments),
    }
}

/// Prints an error to standard error, and returns the exit status.
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
    use super::*;

    fn parsed(words: &[&str]) -> CommandLine {
        let words = std::iter::once("attendance-api").chain(words.iter().copied());
        CommandLine::try_parse_from(words).expect("a good command line")
    }

    #[test]
    fn the_definition_of_the_command_line_is_valid() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn without_a_command_the_command_is_serve() {
        assert!(parsed(&[]).command.is_none());
        assert_eq!(parsed(&["--listen", "127.0.0.1:0"]).serve.flags().listen.as_deref(), Some("127.0.0.1:0"));
        assert!(matches!(parsed(&["serve", "--set", "log.level=debug"]).command, Some(Command::Serve(_))));
    }

    #[test]
    fn flags_of_the_configuration_may_stand_before_the_command() {
        let moved = |words: &[&str]| {
            let words = std::iter::once("attendance-api").chain(words.iter().copied()).map(OsString::from).collect();
            flags_last(words)[1..].iter().map(|word| word.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(moved(&["--data-dir", "d", "migrate", "status"]), "migrate status --data-dir d");
        assert_eq!(moved(&["--set=a=b", "--config", "c", "config", "show"]), "config show --set=a=b --config c");
        for unchanged in
            [&["--data-dir", "migrate"][..], &["--data-dir"], &["migrate", "--data-dir", "d"], &["--help"], &[]]
        {
            assert_eq!(moved(unchanged), unchanged.join(" "));
        }
    }

    #[test]
    fn the_arguments_of_a_child_are_passed_on_unchanged() {
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
            for part in ["Usage:", "Examples:", "`attendance-api --help`"] {
                assert!(help.contains(part), "{} lacks {part}\n{help}", command.get_name());
            }
        }
        let help = CommandLine::command().render_long_help().to_string();
        for part in ["Usage:", "Examples:", "Files:", "Environment:", "Signals:", "Exit status:"] {
            assert!(help.contains(part), "{part}\n{help}");
        }
    }

    #[test]
    fn no_line_below_the_options_is_too_long_for_a_terminal_of_80_columns() {
        let mut program = CommandLine::command();
        program.build();
        let pages = program.get_subcommands().chain([&program]).filter_map(clap::Command::get_after_long_help);
        for page in pages.map(ToString::to_string) {
            assert!(page.lines().all(|line| line.chars().count() <= 76), "{page}");
        }
    }
}
