//! Why the server closes a connection before the protocol ends it.

/// Which limit a client exceeded, or for which reason its connection made room for another client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// `first_byte_timeout`: a new connection sent nothing.
    FirstByte,
    /// `head_timeout`: the head of a request was not complete.
    Head,
    /// `idle_timeout`: no request arrived.
    Idle,
    /// `write_timeout`: the client read no byte of its answer.
    Write,
    /// `min_response_rate`: the client read its answer too slowly.
    Rate,
    /// `max_connections`: another client needed the place of a connection that has sent nothing.
    EvictedSilent,
    /// `max_connections`: another client needed the place of a connection whose request has been incomplete for a while.
    EvictedHead,
    /// `max_connections`: another client needed the place of a connection without a request.
    EvictedIdle,
}

impl Overdue {
    /// The name in the log and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstByte => "first_byte_timeout",
            Self::Head => "head_timeout",
            Self::Idle => "idle_timeout",
            Self::Write => "write_timeout",
            Self::Rate => "min_response_rate",
            Self::EvictedSilent => "evicted_silent",
            Self::EvictedHead => "evicted_incomplete",
            Self::EvictedIdle => "evicted_idle",
        }
    }

    /// Whether the client has not read what was written, so that the kernel still holds it.
    pub fn leaves_unread_output(self) -> bool {
        matches!(self, Self::Write | Self::Rate)
    }
}
