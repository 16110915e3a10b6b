//! What is known about the archive of WAL.

use jiff::Timestamp;

/// What is known about the archive, for reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveStatus {
    /// How much WAL is not copied yet, in bytes.
    pub lag_bytes: u64,
    /// The size of the archive and the one that it may have, in bytes; none before it was measured.
    pub size: Option<(u64, u64)>,
    /// The first moment that can be restored without a gap up to now.
    pub earliest: Option<Timestamp>,
    /// The last moment.
    pub latest: Option<Timestamp>,
    /// How often the slot was lost since the start.
    pub slots_lost: u64,
    /// Whether the receiver is connected to the server.
    pub has_receiver: bool,
    /// What is wrong.
    pub problem: Option<String>,
}
