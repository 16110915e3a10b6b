//! Writes the output of a child to the log.
//!
//! Policy: one log line for each line, of bounded length and within the limit of `output_limit`; the rest of a longer line is discarded. The
//! last lines are kept, so that the error about a failed start can include them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::task::JoinSet;
use tracing::{Level, debug, error, info, warn};

use super::output_limit::OutputLimit;

/// Longer lines are cut at this many bytes.
const MAX_LINE_BYTES: usize = 4096;
/// The number of last lines that are kept.
const MAX_TAIL_LINES: usize = 20;
/// How long the output of a process that has ended is read: a grandchild may hold the stream open.
const OUTPUT_GRACE: Duration = Duration::from_millis(300);

/// What PostgreSQL reports as FATAL although it only does what was ordered: it starts or stops, or a session was ended by an administrator.
const ORDERED_ENDS: [&str; 4] = [
    "terminating connection due to administrator command",
    "terminating background worker",
    "the database system is shutting down",
    "the database system is starting up",
];

/// The syntax of a program's log lines, from which their level is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogSyntax {
    /// `LEVEL:  message`, further lines indented.
    Postgres,
    /// `PID:ROLE DATE MARK message`.
    Redis,
    /// A helper: its output is kept for the error message and not logged.
    Silent,
}

/// The last lines a child wrote.
#[derive(Clone, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    fn push(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == MAX_TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }

    /// The lines in order, separated by line feeds.
    pub(super) fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Reads the output of one process until it ends.
pub(super) struct Output {
    /// The last lines so far.
    pub(super) tail: Tail,
    readers: JoinSet<()>,
}

impl Output {
    /// Starts to read both of the child's streams.
    pub(super) fn follow(child: &mut Child, log_syntax: LogSyntax, limit: &Arc<OutputLimit>) -> Self {
        let tail = Tail::default();
        let mut readers = JoinSet::new();
        if let Some(stdout) = child.stdout.take() {
            readers.spawn(read(stdout, log_syntax, tail.clone(), Arc::clone(limit)));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.spawn(read(stderr, log_syntax, tail.clone(), Arc::clone(limit)));
        }
        Self { tail, readers }
    }

    /// The last lines of a process that has ended.
    pub(super) async fn last_lines(mut self) -> String {
        let _ = tokio::time::timeout(OUTPUT_GRACE, async { while self.readers.join_next().await.is_some() {} }).await;
        self.tail.text()
    }
}

/// Logs how many lines were left out, in the name of the child.
pub(super) fn report_dropped(log_syntax: LogSyntax, dropped: Option<u64>) {
    let Some(dropped) = dropped else { return };
    match log_syntax {
        LogSyntax::Postgres => warn!(target: "postgres", dropped, "{dropped} lines of its output were left out"),
        LogSyntax::Redis => warn!(target: "redis", dropped, "{dropped} lines of its output were left out"),
        LogSyntax::Silent => {}
    }
}

async fn read(stream: impl AsyncRead + Unpin, log_syntax: LogSyntax, tail: Tail, limit: Arc<OutputLimit>) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    let mut level = Level::INFO;
    while let Ok(true) = next_line(&mut stream, &mut line).await {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if !text.is_empty() {
            tail.push(text);
            let (found, message) = parse(log_syntax, text, level);
            level = found;
            if log_syntax != LogSyntax::Silent {
                let now = Instant::now();
                if limit.admit(now) {
                    emit(log_syntax, level, message);
                }
                report_dropped(log_syntax, limit.due_report(now));
            }
        }
    }
}

/// Reads one line into `line`, without its line feed and cut to [`MAX_LINE_BYTES`]; false at the end of the stream.
async fn next_line(stream: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    loop {
        let chunk = stream.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(!line.is_empty());
        }
        let newline = chunk.iter().position(|&byte| byte == b'\n');
        let part = &chunk[..newline.unwrap_or(chunk.len())];
        line.extend_from_slice(&part[..part.len().min(MAX_LINE_BYTES - line.len())]);
        let consumed = newline.map_or(chunk.len(), |at| at + 1);
        stream.consume(consumed);
        if newline.is_some() {
            return Ok(true);
        }
    }
}

/// The level of a line, which continuation lines inherit, and its message.
fn parse(log_syntax: LogSyntax, text: &str, previous: Level) -> (Level, &str) {
    match log_syntax {
        LogSyntax::Postgres => postgres_level(text, previous),
        LogSyntax::Redis => (redis_level(text), text),
        LogSyntax::Silent => (previous, text),
    }
}

fn emit(log_syntax: LogSyntax, level: Level, message: &str) {
    match (log_syntax, level) {
        (LogSyntax::Postgres, Level::ERROR) => error!(target: "postgres", "{message}"),
        (LogSyntax::Postgres, Level::WARN) => warn!(target: "postgres", "{message}"),
        (LogSyntax::Postgres, Level::INFO) => info!(target: "postgres", "{message}"),
        (LogSyntax::Postgres, _) => debug!(target: "postgres", "{message}"),
        (LogSyntax::Redis, Level::WARN) => warn!(target: "redis", "{message}"),
        (LogSyntax::Redis, Level::INFO) => info!(target: "redis", "{message}"),
        (LogSyntax::Redis, _) => debug!(target: "redis", "{message}"),
        (LogSyntax::Silent, _) => {}
    }
}

/// The level of a line of PostgreSQL, and its message. A level that our own log states is removed from the message.
fn postgres_level(text: &str, previous: Level) -> (Level, &str) {
    let Some((word, message)) = text.split_once(":  ") else {
        return (previous, text.trim_start());
    };
    match word {
        "FATAL" if ORDERED_ENDS.iter().any(|end| message.starts_with(end)) => (Level::INFO, message),
        "PANIC" | "FATAL" | "ERROR" => (Level::ERROR, message),
        "WARNING" => (Level::WARN, message),
        "LOG" | "INFO" | "NOTICE" => (Level::INFO, message),
        word if word.starts_with("DEBUG") => (Level::DEBUG, message),
        // DETAIL, HINT and CONTEXT continue the line before.
        _ => (previous, text.trim_start()),
    }
}

/// The level of a line of Redis, from its mark.
fn redis_level(text: &str) -> Level {
    let mark = text.split_whitespace().find(|word| matches!(*word, "." | "-" | "*" | "#"));
    match mark {
        Some("#") => Level::WARN,
        Some("*") => Level::INFO,
        // A line without a mark does not come from the logger; it may be the message of an abort.
        None => Level::WARN,
        Some(_) => Level::DEBUG,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_lines_get_their_level_and_continuations_inherit_it() {
        let level = |text| postgres_level(text, Level::WARN);
        assert_eq!(level("LOG:  ready"), (Level::INFO, "ready"));
        assert_eq!(level("FATAL:  no"), (Level::ERROR, "no"));
        assert_eq!(level("FATAL:  the database system is shutting down").0, Level::INFO);
        assert_eq!(level("ERROR:  the database system is shutting down").0, Level::ERROR);
        assert_eq!(level("DETAIL:  why"), (Level::WARN, "DETAIL:  why"));
        assert_eq!(level("\tcontinued"), (Level::WARN, "continued"));
    }

    #[test]
    fn redis_lines_get_the_level_of_their_mark() {
        assert_eq!(redis_level("123:M 22 Nov 2026 03:00:00.000 * Ready"), Level::INFO);
        assert_eq!(redis_level("123:M 22 Nov 2026 03:00:00.000 # No"), Level::WARN);
    }

    #[tokio::test]
    async fn long_lines_are_cut_and_the_next_line_is_complete() {
        let mut text = vec![b'x'; 3 * MAX_LINE_BYTES];
        text.extend_from_slice(b"\nnext\nlast");
        let mut stream = BufReader::new(text.as_slice());
        let mut line = Vec::new();
        assert!(next_line(&mut stream, &mut line).await.unwrap());
        assert_eq!(line.len(), MAX_LINE_BYTES);
        assert!(next_line(&mut stream, &mut line).await.unwrap());
        assert_eq!(line, b"next");
        assert!(next_line(&mut stream, &mut line).await.unwrap());
        assert_eq!(line, b"last");
        assert!(!next_line(&mut stream, &mut line).await.unwrap());
    }
}
