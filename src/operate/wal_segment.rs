//! Positions in the WAL, and the files that have it.

/// The size of a file of WAL, in bytes: that of every managed cluster.
pub(super) const SEGMENT_BYTES: u64 = 16 << 20;
/// After the name of a file that is not complete.
pub(super) const PARTIAL_SUFFIX: &str = ".partial";
/// The files of 4 GiB of WAL, in which the name counts.
const SEGMENTS_OF_A_LOG: u64 = (4 << 30) / SEGMENT_BYTES;
/// Hexadecimal digits of a name.
const NAME_DIGITS: usize = 24;

/// A position in the WAL, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lsn(pub(super) u64);

impl Lsn {
    /// Reads PostgreSQL's form, `1A/2B3C`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (high, low) = text.split_once('/')?;
        let number = |digits| u32::from_str_radix(digits, 16).ok().map(u64::from);
        Some(Self(number(high)? << 32 | number(low)?))
    }

    /// The number of the file that has the byte at this position.
    pub(super) fn segment(self) -> u64 {
        self.0 / SEGMENT_BYTES
    }
}

/// A file of WAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    pub(super) timeline: u32,
    pub(super) number: u64,
}

impl Segment {
    /// Reads a name without its suffix.
    pub(super) fn parse(name: &str) -> Option<Self> {
        if name.len() != NAME_DIGITS || !name.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte))
        {
            return None;
        }
        let field = |position: usize| u32::from_str_radix(name.get(position..position + 8)?, 16).ok();
        let (timeline, log, part) = (field(0)?, u64::from(field(8)?), u64::from(field(16)?));
        (part < SEGMENTS_OF_A_LOG).then_some(Self { timeline, number: log * SEGMENTS_OF_A_LOG + part })
    }

    /// Its name.
    pub(super) fn name(self) -> String {
        let (log, part) = (self.number / SEGMENTS_OF_A_LOG, self.number % SEGMENTS_OF_A_LOG);
        format!("{:08X}{log:08X}{part:08X}", self.timeline)
    }

    /// The position of its first byte.
    pub(super) fn start(self) -> Lsn {
        Lsn(self.number * SEGMENT_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_positions_are_those_of_postgresql() {
        for (name, timeline, number) in [
            ("000000010000000000000001", 1, 1),
            ("0000000A00000000000000FF", 10, 255),
            ("000000020000000100000000", 2, 256),
        ] {
            let segment = Segment { timeline, number };
            assert_eq!(Segment::parse(name), Some(segment));
            assert_eq!(segment.name(), name);
        }
        for other in ["00000002.history", "000000010000000000000001.partial", "000000010000000000000100", "a", ""] {
            assert_eq!(Segment::parse(other), None, "{other}");
        }
        assert_eq!(Lsn::parse("0/3000060"), Some(Lsn(0x300_0060)));
        assert_eq!(Lsn::parse("1/0"), Some(Lsn(1 << 32)));
        assert_eq!(Lsn::parse("1/0").unwrap().segment(), 256);
        assert_eq!(Segment { timeline: 1, number: 256 }.start(), Lsn(1 << 32));
        assert_eq!(Lsn::parse("x"), None);
    }
}
