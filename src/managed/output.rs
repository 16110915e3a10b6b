//! A child's output as our log lines.
//!
//! Policy: line by line, of bounded length; what is longer is cut, not buffered. The last lines are kept, so that the
//! error about a failed start can say why it failed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::task::JoinSet;
use tracing::{Level, debug, error, info, warn};

/// Longer lines are cut, in bytes.
const MAX_LINE: usize = 4096;
/// So many lines are kept.
const KEPT_LINES: usize = 20;

/// Which program's habits the lines have; also the target of the log events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogSyntax {
    /// `LEVEL:  message`, further lines indented.
    Postgres,
    /// `PID:ROLE DATE MARK message`.
    Redis,
    /// A helper that ends soon: its output is only kept, for the error message.
    Silent,
}

/// The last lines a child wrote.
#[derive(Clone, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    fn push(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }

    /// The lines in order, newline between them.
    pub(super) fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Reads what one process writes, until it ends.
pub(super) struct Output {
    /// The last lines so far.
    pub(super) tail: Tail,
    readers: JoinSet<()>,
}

impl Output {
    /// Starts to read both of the child's streams.
    pub(super) fn follow(child: &mut Child, log_syntax: LogSyntax) -> Self {
        let tail = Tail::default();
        let mut readers = JoinSet::new();
        if let Some(stdout) = child.stdout.take() {
            readers.spawn(read(stdout, log_syntax, tail.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.spawn(read(stderr, log_syntax, tail.clone()));
        }
        Self { tail, readers }
    }

    /// The last lines of a process that has ended. Waits a moment for them: a grandchild may hold the stream open.
    pub(super) async fn last_lines(mut self) -> String {
        let _ = tokio::time::timeout(Duration::from_millis(300), async {
            while self.readers.join_next().await.is_some() {}
        })
        .await;
        self.tail.text()
    }
}

async fn read(stream: impl AsyncRead + Unpin, log_syntax: LogSyntax, tail: Tail) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    let mut level = Level::INFO;
    while let Ok(true) = next_line(&mut stream, &mut line).await {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if !text.is_empty() {
            tail.push(text);
            level = emit(log_syntax, text, level);
        }
    }
}

/// Reads one line into `line`, without its end and cut to [`MAX_LINE`]; false at the end of the stream.
async fn next_line(stream: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    loop {
        let chunk = stream.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(!line.is_empty());
        }
        let newline = chunk.iter().position(|&byte| byte == b'\n');
        let part = &chunk[..newline.unwrap_or(chunk.len())];
        line.extend_from_slice(&part[..part.len().min(MAX_LINE - line.len())]);
        let consumed = newline.map_or(chunk.len(), |at| at + 1);
        stream.consume(consumed);
        if newline.is_some() {
            return Ok(true);
        }
    }
}

/// Logs one line and returns its level, which the lines that continue it inherit.
fn emit(log_syntax: LogSyntax, text: &str, previous: Level) -> Level {
    match log_syntax {
        LogSyntax::Postgres => {
            let (level, message) = postgres_level(text, previous);
            match level {
                Level::ERROR => error!(target: "postgres", "{message}"),
                Level::WARN => warn!(target: "postgres", "{message}"),
                Level::INFO => info!(target: "postgres", "{message}"),
                _ => debug!(target: "postgres", "{message}"),
            }
            level
        }
        LogSyntax::Redis => {
            let level = redis_level(text);
            match level {
                Level::WARN => warn!(target: "redis", "{text}"),
                Level::INFO => info!(target: "redis", "{text}"),
                _ => debug!(target: "redis", "{text}"),
            }
            level
        }
        LogSyntax::Silent => previous,
    }
}

/// The level of a line of PostgreSQL, and its message without the level where that is said by our own.
fn postgres_level(text: &str, previous: Level) -> (Level, &str) {
    let Some((word, message)) = text.split_once(":  ") else {
        return (previous, text.trim_start());
    };
    match word {
        "PANIC" | "FATAL" | "ERROR" => (Level::ERROR, message),
        "WARNING" => (Level::WARN, message),
        "LOG" | "INFO" | "NOTICE" => (Level::INFO, message),
        word if word.starts_with("DEBUG") => (Level::DEBUG, message),
        // DETAIL, HINT, CONTEXT and the like belong to the line before.
        _ => (previous, text.trim_start()),
    }
}

/// The level of a line of Redis, from its mark.
fn redis_level(text: &str) -> Level {
    let mark = text.split_whitespace().find(|word| matches!(*word, "." | "-" | "*" | "#"));
    match mark {
        Some("#") => Level::WARN,
        Some("*") => Level::INFO,
        // A line without a mark is a complaint from outside the logger, such as an abort.
        None => Level::WARN,
        Some(_) => Level::DEBUG,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_postgres_lines() {
        let level = |text| postgres_level(text, Level::WARN);
        assert_eq!(level("LOG:  ready"), (Level::INFO, "ready"));
        assert_eq!(level("FATAL:  no"), (Level::ERROR, "no"));
        assert_eq!(level("DETAIL:  why"), (Level::WARN, "DETAIL:  why"));
        assert_eq!(level("\tcontinued"), (Level::WARN, "continued"));
    }

    #[test]
    fn levels_of_redis_lines() {
        assert_eq!(redis_level("123:M 22 Nov 2026 03:00:00.000 * Ready"), Level::INFO);
        assert_eq!(redis_level("123:M 22 Nov 2026 03:00:00.000 # No"), Level::WARN);
    }

    #[tokio::test]
    async fn long_lines_are_cut_and_the_next_one_is_whole() {
        let mut text = vec![b'x'; 3 * MAX_LINE];
        text.extend_from_slice(b"\nnext\nlast");
        let mut stream = BufReader::new(text.as_slice());
        let mut line = Vec::new();
        assert!(next_line(&mut stream, &mut line).await.unwrap());
        assert_eq!(line.len(), MAX_LINE);
        assert!(next_line(&mut stream, &mut line).await.unwrap());
        assert_eq!(line, b"next");
        assert!(next_line(&mut stream, &mut line).await.unwrap());
        assert_eq!(line, b"last");
        assert!(!next_line(&mut stream, &mut line).await.unwrap());
    }
}
