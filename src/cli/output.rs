//! What a command writes for the person in front of it.
//!
//! Policy: a reader that went away (`attendance-api config show | head`) is no error and never a panic. Where standard error
//! goes to the journal, an error is one line like those of the log, so that the journal has one form and `-p err` finds it.

use std::io::{self, Write};

use super::Error;
use crate::telemetry::log;

/// Writes an answer to standard output.
///
/// # Errors
/// When it cannot be written for another reason than that nobody reads it.
pub fn print(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}

/// Writes an error to standard error, its causes below it, one line each.
pub fn print_error(error: &Error) {
    let mut stderr = io::stderr().lock();
    if let Error::Migrate(error) = error {
        // Liquibase's layout: scripts look for it, and the message has lines of its own.
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
        // standard error is the last place to tell anything; when it is closed there is none
        writeln!(stderr, "attendance-api: {line}").ok();
    }
}

/// Writes a line to standard error as it is.
pub fn note(line: &str) {
    writeln!(io::stderr().lock(), "{line}").ok();
}

/// Writes a remark to standard error.
pub fn warn(text: &str) {
    writeln!(io::stderr().lock(), "attendance-api: warning: {text}").ok();
}

/// A message and its causes. A cause that only repeats what stands above it is left out.
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
    fn causes_are_told_once() {
        let error = Error::Runtime(io::Error::other("no threads\n left"));
        let lines = chain(&error);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1], "caused by: no threads left");
    }
}
