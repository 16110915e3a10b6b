//! Log lines on standard output.
//!
//! Policy: one event is one line, JSON for machines or text for a person. Writing never holds a request: lines
//! go through a bounded buffer to a thread of their own (`lines.rs`), and what it had to drop is counted. Values a client
//! sent are escaped; secrets never come this far, because they do not print. The line of a request is in `access.rs`.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::access::AccessLog;
use super::nonblocking_writer::{LineQueue, Writer};
use super::timestamp;

/// Libraries whose chatter at `info` tells an operator nothing.
const QUIET: [&str; 7] = ["hyper", "tokio_postgres", "refinery_core", "mini_redis", "pg_embed", "reqwest", "rustls"];

/// Keeps the writer alive; what is queued is written when it is dropped.
#[derive(Debug)]
pub struct Logging {
    format: Format,
    lines: Arc<LineQueue>,
    filter: reload::Handle<EnvFilter, Registry>,
    /// Whether lines of requests are wanted.
    access: Arc<AtomicBool>,
    _writer: Writer,
}

/// The format of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json,
    /// The same behind its priority (`<6>`), which the journal takes off.
    Journal,
    /// For a person.
    Text,
}

impl Format {
    /// Text on a terminal, JSON elsewhere.
    pub fn for_stdout() -> Self {
        if io::stdout().is_terminal() { Self::Text } else { Self::Json }
    }
}

/// Logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The subscriber is already set.
    #[error("logging can be set up only once")]
    AlreadySet,
    /// No thread can be started.
    #[error("no thread can be started for the log: {0}")]
    Thread(io::Error),
}

impl Logging {
    /// Sends all events of the process to standard output from now on.
    pub fn start(format: Format, level: Level) -> Result<Self, Error> {
        Self::start_on(io::stdout(), format, level)
    }

    /// The same to standard error, for a command whose standard output is an answer.
    pub fn start_on_stderr(format: Format, level: Level) -> Result<Self, Error> {
        Self::start_on(io::stderr(), format, level)
    }

    fn start_on(output: impl io::Write + Send + 'static, format: Format, level: Level) -> Result<Self, Error> {
        let format = if format == Format::Json && is_the_journal(STDOUT) { Format::Journal } else { format };
        let lines = Arc::new(LineQueue::default());
        let events = Events { format, lines: Arc::clone(&lines) };
        let (filtered, filter) = reload::Layer::new(filter(level));
        tracing_subscriber::registry().with(filtered).with(events).try_init().map_err(|_| Error::AlreadySet)?;
        let writer = Writer::start(Arc::clone(&lines), output).map_err(Error::Thread)?;
        Ok(Self { format, lines, filter, access: Arc::new(AtomicBool::new(tells_requests(level))), _writer: writer })
    }

    /// Events below this level are left out from now on.
    pub fn set_level(&self, level: Level) {
        // It fails only when the subscriber is gone, and then nothing is logged any more.
        let _ = self.filter.reload(filter(level));
        self.access.store(tells_requests(level), Ordering::Relaxed);
    }

    /// Where the lines of requests go.
    pub fn access(&self) -> AccessLog {
        AccessLog::new(self.format, Arc::clone(&self.lines), Arc::clone(&self.access))
    }

    /// The count of lines that were dropped.
    pub fn dropped(&self) -> DroppedLines {
        DroppedLines(Arc::clone(&self.lines))
    }
}

const STDOUT: &str = "/proc/self/fd/1";
const STDERR: &str = "/proc/self/fd/2";

/// The line of the failure that ends the process, where standard error goes to the journal. It is told after the log has
/// ended, or before it began.
pub fn journal_error(message: &str) -> Option<Vec<u8>> {
    is_the_journal(STDERR).then(|| json_object(Format::Journal, Level::ERROR, message, env!("CARGO_PKG_NAME"), &[]))
}

/// Whether what is written there goes to the journal: systemd tells the device and inode of that stream.
fn is_the_journal(descriptor: &str) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    std::fs::metadata(descriptor).is_ok_and(|file| stream == format!("{}:{}", file.dev(), file.ino()))
}

/// Begins a line with its priority, as syslog counts them, where that is wanted.
pub(super) fn begin(format: Format, level: Level, line: &mut Vec<u8>) {
    if format == Format::Journal {
        line.extend_from_slice(match level {
            Level::ERROR => b"<3>",
            Level::WARN => b"<4>",
            Level::INFO => b"<6>",
            _ => b"<7>",
        });
    }
}

/// Counts lines dropped because standard output could not take them.
#[derive(Debug, Clone)]
pub struct DroppedLines(Arc<LineQueue>);

impl DroppedLines {
    /// How many so far.
    pub fn count(&self) -> u64 {
        self.0.dropped()
    }
}

/// Requests are told at `info`.
fn tells_requests(level: Level) -> bool {
    level >= Level::INFO
}

fn filter(level: Level) -> EnvFilter {
    let mut directives = level.to_string().to_lowercase();
    if level <= Level::INFO {
        for target in QUIET {
            let _ = write!(directives, ",{target}=warn");
        }
    }
    EnvFilter::new(directives)
}

/// Turns events into lines.
struct Events {
    format: Format,
    lines: Arc<LineQueue>,
}

impl<S: Subscriber> Layer<S> for Events {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = match self.format {
            Format::Json | Format::Journal => json_line(self.format, event),
            Format::Text => text_line(event),
        };
        self.lines.push(&line);
    }
}

fn json_line(format: Format, event: &Event<'_>) -> Vec<u8> {
    let mut fields = JsonFields { rest: Vec::with_capacity(320), message: String::new() };
    event.record(&mut fields);
    let metadata = event.metadata();
    json_object(format, *metadata.level(), &fields.message, metadata.target(), &fields.rest)
}

/// `rest`: further members, each behind a comma.
fn json_object(format: Format, level: Level, message: &str, target: &str, rest: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(message.len() + rest.len() + 192);
    begin(format, level, &mut line);
    line.extend_from_slice(b"{\"timestamp\":\"");
    timestamp::append_now(&mut line);
    line.extend_from_slice(b"\",\"level\":\"");
    line.extend_from_slice(level.as_str().as_bytes());
    line.extend_from_slice(b"\",\"levelname\":\"");
    line.extend_from_slice(python_level(level).as_bytes());
    line.extend_from_slice(b"\",\"message\":");
    append_json(&mut line, message);
    line.extend_from_slice(b",\"target\":");
    append_json(&mut line, target);
    line.extend_from_slice(rest);
    line.extend_from_slice(b"}\n");
    line
}

fn text_line(event: &Event<'_>) -> Vec<u8> {
    let mut fields = TextFields::default();
    event.record(&mut fields);
    let metadata = event.metadata();
    let mut line =
        format!("{} {:>5} {}: {}{}", now(), metadata.level(), metadata.target(), fields.message, fields.rest);
    // One event stays one line, whatever is in it.
    if line.contains(|c: char| c.is_control()) {
        line = line.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect();
    }
    line.push('\n');
    line.into_bytes()
}

fn now() -> String {
    let mut text = Vec::with_capacity(32);
    timestamp::append_now(&mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// The Python service's names.
fn python_level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        _ => "DEBUG",
    }
}

fn append_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Texts and numbers always serialise, and a Vec takes every byte.
    let _ = serde_json::to_writer(out, value);
}

struct JsonFields {
    rest: Vec<u8>,
    message: String,
}

impl JsonFields {
    fn add<T: serde::Serialize + ?Sized>(&mut self, field: &Field, value: &T) {
        self.rest.push(b',');
        append_json(&mut self.rest, field.name());
        self.rest.push(b':');
        append_json(&mut self.rest, value);
    }
}

impl Visit for JsonFields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else if !field.name().starts_with("log.") {
            self.add(field, &format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else if !field.name().starts_with("log.") {
            self.add(field, value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, &value);
    }
}

#[derive(Default)]
struct TextFields {
    rest: String,
    message: String,
}

impl Visit for TextFields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else if !field.name().starts_with("log.") {
            let _ = write!(self.rest, " {}={value:?}", field.name());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else if !field.name().starts_with("log.") {
            let _ = write!(self.rest, " {}={value}", field.name());
        }
    }
}
