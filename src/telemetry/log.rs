//! Log lines on standard output.
//!
//! Policy: one event is one line, JSON for programs or text for a terminal. Writing never blocks a request: lines go
//! through a bounded queue to a thread of their own (`nonblocking_writer.rs`), which counts the lines that it had to drop. Values from
//! clients are escaped. Secrets cannot get here, because their type does not print them. The line of a request is in `access.rs`.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::access::AccessLog;
use super::format::Format;
use super::nonblocking_writer::{LineQueue, Writer};
use super::timestamp;

/// Libraries whose events at `info` are of no use to an operator.
const QUIET_TARGETS: [&str; 7] =
    ["hyper", "tokio_postgres", "refinery_core", "mini_redis", "pg_embed", "reqwest", "rustls"];

/// Libraries whose warnings are about what the appliance handles: the pool replaces a connection that the server has closed, and what prevents
/// that is the error of a request.
const SILENT_TARGETS: [&str; 1] = ["deadpool"];

/// The log of the process. Dropping it writes what is queued.
#[derive(Debug)]
pub struct Logging {
    format: Format,
    lines: Arc<LineQueue>,
    filter: reload::Handle<EnvFilter, Registry>,
    /// Whether the level admits lines of requests.
    is_access_enabled: Arc<AtomicBool>,
    _writer: Writer,
}

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process already has a subscriber.
    #[error("logging can be set up only once")]
    AlreadySet(#[source] TryInitError),
    /// The operating system has no thread for the writer.
    #[error("no thread can be started for the log: {0}")]
    Thread(#[source] io::Error),
}

impl Logging {
    /// Writes all events of the process to standard output from now on.
    pub fn start(format: Format, level: Level) -> Result<Self, Error> {
        Self::start_on(io::stdout(), format, level)
    }

    /// Writes them to standard error instead, for a command whose standard output is its result.
    pub fn start_on_stderr(format: Format, level: Level) -> Result<Self, Error> {
        Self::start_on(io::stderr(), format, level)
    }

    fn start_on(output: impl io::Write + Send + 'static, format: Format, level: Level) -> Result<Self, Error> {
        let format = if format == Format::Json && is_journal(STDOUT) { Format::Journal } else { format };
        let lines = Arc::new(LineQueue::default());
        let events = Events { format, lines: Arc::clone(&lines) };
        let (filtered, filter) = reload::Layer::new(filter(level));
        tracing_subscriber::registry().with(filtered).with(events).try_init().map_err(Error::AlreadySet)?;
        let writer = Writer::start(Arc::clone(&lines), output).map_err(Error::Thread)?;
        Ok(Self {
            format,
            lines,
            filter,
            is_access_enabled: Arc::new(AtomicBool::new(admits_access(level))),
            _writer: writer,
        })
    }

    /// Sets the least severe level that is written from now on.
    pub fn set_level(&self, level: Level) {
        // It fails only if the subscriber is gone; then nothing is logged any more.
        let _ = self.filter.reload(filter(level));
        self.is_access_enabled.store(admits_access(level), Ordering::Relaxed);
    }

    /// The access log, which shares the writer and the level.
    pub fn access(&self) -> AccessLog {
        AccessLog::new(self.format, Arc::clone(&self.lines), Arc::clone(&self.is_access_enabled))
    }

    /// The counter of dropped lines.
    pub fn dropped(&self) -> DroppedLines {
        DroppedLines(Arc::clone(&self.lines))
    }
}

const STDOUT: &str = "/proc/self/fd/1";
const STDERR: &str = "/proc/self/fd/2";

/// The line for an error that ends the process, if standard error goes to the journal. The command line writes it itself, because the
/// log has ended by then or has not begun.
pub fn journal_error(message: &str) -> Option<Vec<u8>> {
    is_journal(STDERR).then(|| json_object(Format::Journal, Level::ERROR, message, env!("CARGO_PKG_NAME"), &[]))
}

/// Whether a descriptor goes to the journal: `JOURNAL_STREAM` has the device and inode of the journal's stream.
fn is_journal(descriptor: &str) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    std::fs::metadata(descriptor).is_ok_and(|file| stream == format!("{}:{}", file.dev(), file.ino()))
}

/// Counts lines dropped because standard output could not take them.
#[derive(Debug, Clone)]
pub struct DroppedLines(Arc<LineQueue>);

impl DroppedLines {
    /// The number of dropped lines so far.
    pub fn count(&self) -> u64 {
        self.0.dropped()
    }
}

/// Lines of requests have the level `info`.
fn admits_access(level: Level) -> bool {
    level >= Level::INFO
}

fn filter(level: Level) -> EnvFilter {
    let mut directives = level.to_string().to_lowercase();
    if level <= Level::INFO {
        for target in QUIET_TARGETS {
            let _ = write!(directives, ",{target}=warn");
        }
        for target in SILENT_TARGETS {
            let _ = write!(directives, ",{target}=error");
        }
    }
    EnvFilter::new(directives)
}

/// The layer that formats events as lines and queues them.
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

/// `rest` has further members, each after a comma.
fn json_object(format: Format, level: Level, message: &str, target: &str, rest: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(message.len() + rest.len() + 192);
    format.append_priority(level, target, &mut line);
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
    // One event is one line: control characters are escaped.
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

/// The names that the Python service used for levels.
fn python_level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        _ => "DEBUG",
    }
}

fn append_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Strings and numbers always serialise, and writing to a Vec cannot fail.
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
