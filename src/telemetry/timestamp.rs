//! The timestamp of a log line: RFC 3339 with microseconds, UTC.
//!
//! Policy: date and second are formatted once per second on each thread, not for every line.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// `2026-01-31T08:30:00`
type Second = [u8; 19];

/// Appends the current time.
pub fn append_now(line: &mut Vec<u8>) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    append(line, since.as_secs(), since.subsec_micros());
}

fn append(line: &mut Vec<u8>, second: u64, micros: u32) {
    thread_local!(static LAST: Cell<(u64, Second)> = const { Cell::new((u64::MAX, [b'0'; 19])) });
    let (last, mut text) = LAST.get();
    if last != second {
        text = write(second);
        LAST.set((second, text));
    }
    line.extend_from_slice(&text);
    let digit = |place: u32| b'0' + (micros / place % 10) as u8;
    line.extend_from_slice(&[b'.', digit(100_000), digit(10_000), digit(1_000), digit(100), digit(10), digit(1), b'Z']);
}

fn write(second: u64) -> Second {
    let timestamp =
        i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok()).unwrap_or_default();
    let mut text = [b'0'; 19];
    let whole = format!("{timestamp:.0}");
    // Years have four digits up to the end of jiff's range.
    if let Some(begin) = whole.as_bytes().first_chunk() {
        text = *begin;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_parses_back_to_the_time() {
        for (second, micros) in [(0, 0), (1_769_848_200, 123_456), (1_769_848_200, 7), (1_769_848_201, 999_999)] {
            let mut line = Vec::new();
            append(&mut line, second, micros);
            let text = String::from_utf8(line).unwrap();
            let back: Timestamp = text.parse().unwrap();
            assert_eq!(text.len(), 27, "{text}");
            assert_eq!(back.as_microsecond(), second as i64 * 1_000_000 + i64::from(micros));
        }
    }
}
