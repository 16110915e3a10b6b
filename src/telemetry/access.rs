//! The access log: one line for each request.
//!
//! Policy: fields and escaping are those of every other line (`log.rs`), but a line is written directly as bytes, because a busy server
//! writes little else. For the level filter it counts as an event of the target `access` at `info`.

use std::cell::RefCell;
use std::fmt::{self, Display, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::Level;

use super::format::Format;
use super::nonblocking_writer::LineQueue;
use super::timestamp;

/// A buffer that grew beyond this for a long line is freed after it.
const MAX_KEPT_CAPACITY: usize = 4096;
/// Bytes that are compared at once.
const BLOCK: usize = 16;
/// The text of each number of an IPv4 address.
static OCTETS: [([u8; 4], usize); 256] = octets();

/// Writes the access log.
#[derive(Debug, Clone)]
pub struct AccessLog {
    format: Format,
    lines: Arc<LineQueue>,
    /// Whether the log level admits events at `info`: cheaper for each request than the level filter.
    is_enabled: Arc<AtomicBool>,
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
    /// The client.
    pub remote: IpAddr,
    /// Time taken, in microseconds.
    pub micros: u64,
    /// The id that is also in the answer. It contains nothing that has to be escaped.
    pub request_id: &'a [u8],
    /// Whether the cache answered, as the header says it.
    pub cache: &'a str,
}

impl AccessLog {
    pub(super) fn new(format: Format, lines: Arc<LineQueue>, is_enabled: Arc<AtomicBool>) -> Self {
        Self { format, lines, is_enabled }
    }

    /// Writes the line of a request, unless the log level excludes it.
    pub fn write<R: Display>(&self, access: &Access<'_, R>) {
        thread_local!(static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
        if !self.is_enabled.load(Ordering::Relaxed) {
            return;
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            match self.format {
                Format::Json | Format::Journal => {
                    self.format.append_priority(Level::INFO, "access", line);
                    access.json(line);
                }
                Format::Text => access.text(line),
            }
            self.lines.push(line);
            if line.capacity() > MAX_KEPT_CAPACITY {
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
        line.extend_from_slice(self.request_id);
        line.extend_from_slice(b"\",\"cache\":\"");
        line.extend_from_slice(self.cache.as_bytes());
        line.extend_from_slice(b"\"}\n");
    }

    fn text(&self, line: &mut Vec<u8>) {
        timestamp::append_now(line);
        line.extend_from_slice(b"  INFO access: request answered request=");
        // Characters that would break the line are escaped as in JSON.
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
        line.extend_from_slice(self.request_id);
        line.extend_from_slice(b" cache=");
        line.extend_from_slice(self.cache.as_bytes());
        line.push(b'\n');
    }
}

/// Escapes what is written into it for the inside of a JSON string.
struct Escaped<'a>(&'a mut Vec<u8>);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if is_plain(text.as_bytes()) {
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

/// Whether nothing in a text has to be escaped.
fn is_plain(text: &[u8]) -> bool {
    // Without a branch for each byte, and in blocks of a fixed size, so that the compiler compares the bytes of a block at once.
    let mark = |byte: u8| u8::from(!(b' '..=b'~').contains(&byte)) | u8::from(byte == b'"') | u8::from(byte == b'\\');
    let marks = |block: &[u8]| block.iter().fold(0, |marks, byte| marks | mark(*byte));
    let Some(last) = text.last_chunk::<BLOCK>() else { return marks(text) == 0 };
    let (blocks, _) = text.as_chunks::<BLOCK>();
    // The last block overlaps the one before it.
    blocks.iter().fold(marks(last), |found, block| found | marks(block)) == 0
}

fn append_decimal(line: &mut Vec<u8>, mut number: u64) {
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
            let mut text = [0; 16];
            let mut length = 0;
            for octet in four.octets() {
                let (digits, count) = OCTETS[usize::from(octet)];
                text[length..length + digits.len()].copy_from_slice(&digits);
                length += count;
            }
            line.extend_from_slice(&text[..length - 1]);
        }
        IpAddr::V6(six) => {
            let _ = write!(Escaped(line), "{six}");
        }
    }
}

/// The decimal digits of each number with a dot, and how many bytes that is.
const fn octets() -> [([u8; 4], usize); 256] {
    let mut octets = [([0; 4], 0); 256];
    let mut number = 0;
    while number < octets.len() {
        let [hundreds, tens, ones] =
            [b'0' + (number / 100) as u8, b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8];
        octets[number] = match number {
            0..=9 => ([ones, b'.', 0, 0], 2),
            10..=99 => ([tens, ones, b'.', 0], 3),
            _ => ([hundreds, tens, ones, b'.'], 4),
        };
        number += 1;
    }
    octets
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
            request_id: b"r-1",
            cache: "hit",
        }
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut line = Vec::new();
        write(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line_is_valid_json_for_any_request_line() {
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
    fn a_character_is_escaped_wherever_it_is() {
        for length in 1..3 * BLOCK {
            for at in 0..length {
                for (character, escaped) in
                    [('"', "\\\""), ('\\', "\\\\"), ('\u{1f}', "\\u001f"), ('\u{7f}', "\\u007f"), ('é', "é")]
                {
                    let text = |middle: &str| format!("{}{middle}{}", "~".repeat(at), " ".repeat(length - at - 1));
                    let written = written(|line| Escaped(line).write_str(&text(&character.to_string())).unwrap());
                    assert_eq!(written, text(escaped));
                }
            }
        }
    }

    #[test]
    fn an_address_is_written_as_everywhere_else() {
        for number in 0..=255 {
            let address = IpAddr::from([number, 255 - number, number / 3, number / 30]);
            assert_eq!(written(|line| append_address(line, address)), address.to_string());
        }
    }

    #[test]
    fn a_text_line_has_no_control_characters() {
        let line = written(|line| access("GET /\n\u{1b}[2J\u{7f}\u{9b} HTTP/1.1", "10.0.0.255").text(line));
        assert!(line.ends_with(
            "status_code=200 method=GET remote_address=10.0.0.255 duration_ms=1234.005 request_id=r-1 cache=hit\n"
        ));
        assert_eq!(line.chars().filter(|c| c.is_control()).count(), 1, "{line}");
    }

    #[test]
    fn numbers_are_written_with_all_their_digits() {
        for number in [0, 9, 10, 200, u64::MAX] {
            assert_eq!(written(|line| append_decimal(line, number)), number.to_string());
        }
        assert_eq!(written(|line| append_millis(line, 7)), "0.007");
        assert_eq!(written(|line| append_millis(line, 12_340)), "12.340");
    }
}
