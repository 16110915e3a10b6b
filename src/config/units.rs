//! Durations and sizes as people write them.
//!
//! Policy: a whole number and a unit; a bare number is seconds or bytes. Nothing is rounded and nothing overflows:
//! a number that does not fit is rejected like any other wrong value.

use std::time::Duration;

/// In milliseconds, as bounds of durations are declared.
pub const MILLISECOND: u64 = 1;
/// In milliseconds.
pub const SECOND: u64 = 1000;
/// In milliseconds.
pub const HOUR: u64 = 3600 * SECOND;
/// In milliseconds.
pub const DAY: u64 = 24 * HOUR;
/// In bytes.
pub const KIB: u64 = 1 << 10;
/// In bytes.
pub const MIB: u64 = 1 << 20;
/// In bytes.
pub const GIB: u64 = 1 << 30;

/// Reads `50ms`, `20s`, `5m`, `1h`, `30d` or a plain number of seconds. `None` when it is none of these.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" | "min" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        "d" => number.checked_mul(86_400).map(Duration::from_secs),
        _ => None,
    }
}

/// Reads `64KiB`, `1MiB`, `10MB` or a plain number of bytes; the case of the unit does not matter. In bytes.
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Writes a duration in the form that [`duration`] reads.
pub fn show_duration(value: Duration) -> String {
    let seconds = value.as_secs();
    match (value.subsec_millis(), seconds) {
        // A single day is usually meant as so many hours.
        (0, s) if s > 86_400 && s % 86_400 == 0 => format!("{}d", s / 86_400),
        (0, s) if s > 0 && s % 3600 == 0 => format!("{}h", s / 3600),
        (0, s) => format!("{s}s"),
        _ => format!("{}ms", value.as_millis()),
    }
}

/// Writes a size in the form that [`size`] reads.
pub fn show_size(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    units
        .into_iter()
        .find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift)
        .map_or_else(|| bytes.to_string(), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

/// The number in front and the unit behind it. Spaces between them are accepted, because many people write one.
fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_whole_number_and_a_known_unit() {
        for (text, millis) in
            [("50ms", 50), ("20s", 20_000), ("5m", 300_000), ("1h", 3_600_000), ("2d", 172_800_000), ("75", 75_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1s", "1.5s", "1 day", "20sec", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_need_a_whole_number_and_a_known_unit() {
        for (text, bytes) in [("1MiB", 1 << 20), ("64KiB", 65_536), ("10MB", 10_000_000), ("1 mib", 1 << 20), ("7", 7)]
        {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5MiB", "1MiBs", "18446744073709551615KiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn a_shown_value_is_read_as_the_original() {
        for seconds in [0, 90, 7200, 86_400, 90_000, 172_800, 400 * 86_400] {
            let value = Duration::from_secs(seconds);
            assert_eq!(duration(&show_duration(value)), Some(value));
        }
        assert_eq!(duration(&show_duration(Duration::from_millis(1900))), Some(Duration::from_millis(1900)));
        for bytes in [0, 1, 1000, 1024, 128 << 20, 1 << 40] {
            assert_eq!(size(&show_size(bytes)), Some(bytes));
        }
    }
}
