//! Log lines on standard output.
//!
//! Policy: one event is one line, JSON for machines or text for a person. Writing never holds a request: lines
//! go through a bounded queue to a thread of their own, and what it had to drop is counted. Values a client sent
//! are escaped; secrets never come this far, because they do not print.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::time::SystemTime;

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Lines that may wait to be written; at some 300 bytes each.
const QUEUE: usize = 16_384;
/// Libraries whose chatter at `info` tells an operator nothing.
const QUIET: [&str; 7] = ["hyper", "tokio_postgres", "refinery_core", "mini_redis", "pg_embed", "reqwest", "rustls"];

/// Keeps the writer alive; what is queued is written when it is dropped.
#[derive(Debug)]
pub struct Logging {
    dropped: ErrorCounter,
    _worker: WorkerGuard,
}

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON object.
    Json,
    /// For a person.
    Text,
}

impl Form {
    /// Text on a terminal, JSON elsewhere.
    pub fn fitting_stdout() -> Self {
        if io::stdout().is_terminal() { Self::Text } else { Self::Json }
    }
}

/// The subscriber is already set.
#[derive(Debug, thiserror::Error)]
#[error("logging can be set up only once")]
pub struct AlreadySet;

impl Logging {
    /// Sends all events of the process to standard output from now on.
    pub fn start(form: Form, level: Level) -> Result<Self, AlreadySet> {
        Self::start_on(io::stdout(), form, level)
    }

    /// The same to standard error, for a command whose standard output is an answer.
    pub fn start_on_stderr(form: Form, level: Level) -> Result<Self, AlreadySet> {
        Self::start_on(io::stderr(), form, level)
    }

    fn start_on(output: impl io::Write + Send + 'static, form: Form, level: Level) -> Result<Self, AlreadySet> {
        let builder = NonBlockingBuilder::default().buffered_lines_limit(QUEUE).lossy(true).thread_name("log");
        let (writer, worker) = builder.finish(output);
        let dropped = writer.error_counter();
        let lines = Lines { form, writer };
        tracing_subscriber::registry().with(filter(level)).with(lines).try_init().map_err(|_| AlreadySet)?;
        Ok(Self { dropped, _worker: worker })
    }

    /// The count of lines that were dropped.
    pub fn dropped(&self) -> Dropped {
        Dropped(self.dropped.clone())
    }
}

/// Counts lines dropped because standard output could not take them.
#[derive(Debug, Clone)]
pub struct Dropped(ErrorCounter);

impl Dropped {
    /// How many so far.
    pub fn count(&self) -> u64 {
        self.0.dropped_lines() as u64
    }
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
struct Lines {
    form: Form,
    writer: NonBlocking,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        use std::io::Write as _;
        let line = match self.form {
            Form::Json => json_line(event),
            Form::Text => text_line(event),
        };
        // The queue takes or drops the line; it has no other failure.
        let _ = self.writer.make_writer().write_all(&line);
    }
}

fn json_line(event: &Event<'_>) -> Vec<u8> {
    let level = event.metadata().level();
    let mut fields = JsonFields { rest: Vec::with_capacity(320), message: String::new() };
    event.record(&mut fields);
    let mut line = Vec::with_capacity(fields.rest.len() + 192);
    line.extend_from_slice(b"{\"timestamp\":\"");
    line.extend_from_slice(now().as_bytes());
    line.extend_from_slice(b"\",\"level\":\"");
    line.extend_from_slice(level.as_str().as_bytes());
    line.extend_from_slice(b"\",\"levelname\":\"");
    line.extend_from_slice(python_level(*level).as_bytes());
    line.extend_from_slice(b"\",\"message\":");
    append_json(&mut line, &fields.message);
    line.extend_from_slice(b",\"target\":");
    append_json(&mut line, event.metadata().target());
    line.extend_from_slice(&fields.rest);
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

/// RFC 3339 with microseconds, UTC.
fn now() -> String {
    let now = Timestamp::try_from(SystemTime::now()).unwrap_or_default();
    format!("{now:.6}")
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
