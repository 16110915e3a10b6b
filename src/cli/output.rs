//! What a command prints for its user.
//!
//! Policy: a reader that has gone (`attendance-api config show | head`) is not an error and never a panic. If standard error goes to
//! the journal, an error is one line in the form of the log, so that the journal has one form and `-p err` finds it.

use std::io::{self, Write};

use super::error::Error;
use crate::telemetry::log;

/// Prints the result of a command to standard output.
///
/// # Errors
/// If it cannot be written. A reader that has closed the pipe is not an error.
pub fn print(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}

/// Prints an error to standard error, with its causes below it, one line each.
pub fn print_error(error: &Error) {
    let mut stderr = io::stderr().lock();
    if let Error::Migrate(error) = error {
        // Liquibase's layout, because scripts look for it; the message may have several lines.
        writeln!(stderr, "\nUnexpected error running Liquibase: {error}\n").ok();
        return;
    }
    let lines: Vec<String> = match error {
        Error::Configuration(errors) => errors.lines().collect(),
        error => chain(error),
    };
    if let Some(line) = log::journal_error(&lines.join("; ")) {
        stderr.write_all(&line).ok();
        return;
    }
    for line in lines {
        // An error of standard error itself cannot be reported anywhere.
        writeln!(stderr, "attendance-api: {line}").ok();
    }
}

/// Prints a line to standard error.
pub fn print_message(line: &str) {
    writeln!(io::stderr().lock(), "{line}").ok();
}

/// Prints a warning to standard error.
pub fn print_warning(text: &str) {
    writeln!(io::stderr().lock(), "attendance-api: warning: {text}").ok();
}

/// A message and its causes. A cause whose text is part of an earlier line is left out.
fn chain(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    let mut lines = vec![one_line(error)];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = one_line(error);
        if !lines.iter().any(|line| line.contains(&text)) {
            lines.push(format!("caused by: {text}"));
        }
        cause = error.source();
    }
    lines
}

fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
    error.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_printed_once() {
        let error = Error::Runtime(io::Error::other("no threads\n left"));
        let lines = chain(&error);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1], "caused by: no threads left");
    }
}
