//! The line that each request leaves.
//!
//! Policy: the same fields and the same escaping as every other line (`log.rs`), but written straight into bytes: it is
//! the one line that a busy server writes all the time. It is an event of the target `access` at `info` to the level
//! filter.

use std::cell::RefCell;
use std::fmt::{self, Display, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::Level;

use super::log::{self, Format};
use super::nonblocking_writer::LineQueue;
use super::timestamp;

/// Longer lines give their buffer back.
const KEPT: usize = 4096;

/// Where access lines are written.
#[derive(Debug, Clone)]
pub struct AccessLog {
    format: Format,
    lines: Arc<LineQueue>,
    /// Whether the level lets events at `info` through: the filter itself would be asked for every request.
    wanted: Arc<AtomicBool>,
}

/// One request and its answer.
#[derive(Debug)]
pub struct Access<'a, R> {
    /// `GET /path HTTP/1.1`
    pub request: R,
    /// Its method.
    pub method: &'a str,
    /// Status of the answer.
    pub status: u16,
    /// Who asked.
    pub remote: IpAddr,
    /// Time taken, in microseconds.
    pub micros: u64,
    /// The id that is in the answer, too.
    pub request_id: &'a str,
    /// The cache's part.
    pub cache: &'a str,
}

impl AccessLog {
    pub(super) fn new(format: Format, lines: Arc<LineQueue>, wanted: Arc<AtomicBool>) -> Self {
        Self { format, lines, wanted }
    }

    /// Writes the line of a request, unless the level forbids it.
    pub fn write<R: Display>(&self, access: &Access<'_, R>) {
        thread_local!(static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
        if !self.wanted.load(Ordering::Relaxed) {
            return;
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            match self.format {
                Format::Json | Format::Journal => {
                    log::begin(self.format, Level::INFO, line);
                    access.json(line);
                }
                Format::Text => access.text(line),
            }
            self.lines.push(line);
            if line.capacity() > KEPT {
                *line = Vec::new();
            }
        });
    }
}

impl<R: Display> Access<'_, R> {
    fn json(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(b"{\"timestamp\":\"");
        timestamp::append_now(line);
        line.extend_from_slice(
            b"\",\"level\":\"INFO\",\"levelname\":\"INFO\",\"message\":\"request answered\",\"target\":\"access\",\"request\":\"",
        );
        // Writing into bytes cannot fail.
        let _ = write!(Escaped(line), "{}", self.request);
        line.extend_from_slice(b"\",\"status_code\":");
        append_decimal(line, self.status.into());
        line.extend_from_slice(b",\"method\":\"");
        let _ = Escaped(line).write_str(self.method);
        line.extend_from_slice(b"\",\"remote_address\":\"");
        append_address(line, self.remote);
        line.extend_from_slice(b"\",\"duration_ms\":");
        append_millis(line, self.micros);
        line.extend_from_slice(b",\"request_id\":\"");
        let _ = Escaped(line).write_str(self.request_id);
        line.extend_from_slice(b"\",\"cache\":\"");
        line.extend_from_slice(self.cache.as_bytes());
        line.extend_from_slice(b"\"}\n");
    }

    fn text(&self, line: &mut Vec<u8>) {
        timestamp::append_now(line);
        line.extend_from_slice(b"  INFO access: request answered request=");
        // What would break the line is escaped as it is in JSON.
        let _ = write!(Escaped(line), "{}", self.request);
        line.extend_from_slice(b" status_code=");
        append_decimal(line, self.status.into());
        line.extend_from_slice(b" method=");
        let _ = Escaped(line).write_str(self.method);
        line.extend_from_slice(b" remote_address=");
        append_address(line, self.remote);
        line.extend_from_slice(b" duration_ms=");
        append_millis(line, self.micros);
        line.extend_from_slice(b" request_id=");
        let _ = Escaped(line).write_str(self.request_id);
        line.extend_from_slice(b" cache=");
        line.extend_from_slice(self.cache.as_bytes());
        line.push(b'\n');
    }
}

/// The inside of a JSON string.
struct Escaped<'a>(&'a mut Vec<u8>);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~' if byte != b'"' && byte != b'\\')) {
            self.0.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        for character in text.chars() {
            match character {
                '"' | '\\' => self.0.extend_from_slice(&[b'\\', character as u8]),
                control if control.is_control() => {
                    self.0.extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes());
                }
                other => self.0.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Ok(())
    }
}

pub(super) fn append_decimal(line: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[at..]);
}

/// Milliseconds with three decimals.
fn append_millis(line: &mut Vec<u8>, micros: u64) {
    append_decimal(line, micros / 1000);
    let rest = (micros % 1000) as u16;
    let digit = |place: u16| b'0' + (rest / place % 10) as u8;
    line.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
}

fn append_address(line: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(four) => {
            let [first, rest @ ..] = four.octets();
            append_decimal(line, first.into());
            for octet in rest {
                line.push(b'.');
                append_decimal(line, octet.into());
            }
        }
        IpAddr::V6(six) => {
            let _ = write!(Escaped(line), "{six}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access<'a>(request: &'a str, remote: &str) -> Access<'a, &'a str> {
        Access {
            request,
            method: "GET",
            status: 200,
            remote: remote.parse().unwrap(),
            micros: 1_234_005,
            request_id: "r-1",
            cache: "hit",
        }
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut line = Vec::new();
        write(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line_is_json_whatever_was_asked_for() {
        for (request, remote) in [
            ("GET / HTTP/1.1", "127.0.0.1"),
            ("GET /\"\\\u{1}\u{7f}ü\n HTTP/1.1", "::1"),
            ("GET /\u{2028}😀 HTTP/1.1", "2001:db8::7"),
        ] {
            let line = written(|line| access(request, remote).json(line));
            assert_eq!(line.matches('\n').count(), 1);
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["request"], request);
            assert_eq!(value["remote_address"], remote);
            assert_eq!(value["status_code"], 200);
            assert_eq!(value["duration_ms"], 1234.005);
            assert_eq!((&value["request_id"], &value["cache"]), (&"r-1".into(), &"hit".into()));
        }
    }

    #[test]
    fn a_text_stays_one_line() {
        let line = written(|line| access("GET /\n\u{1b}[2J\u{7f}\u{9b} HTTP/1.1", "10.0.0.255").text(line));
        assert!(line.ends_with(
            "status_code=200 method=GET remote_address=10.0.0.255 duration_ms=1234.005 request_id=r-1 cache=hit\n"
        ));
        assert_eq!(line.chars().filter(|c| c.is_control()).count(), 1, "{line}");
    }

    #[test]
    fn numbers_are_written_whole() {
        for number in [0, 9, 10, 200, u64::MAX] {
            assert_eq!(written(|line| append_decimal(line, number)), number.to_string());
        }
        assert_eq!(written(|line| append_millis(line, 7)), "0.007");
        assert_eq!(written(|line| append_millis(line, 12_340)), "12.340");
    }
}
