//! Which state of the data a value was read under.
//!
//! Policy: a value is valid only while the generation of its scopes is the one that was current before the data was read. Which
//! generation is current is known to a coherence protocol (`private.rs`, `shared.rs`).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A state of the data of some scopes. Two generations of one set of scopes are equal only if nothing was changed between them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Generation {
    /// Counted by this process, whose seed is part of the stored form.
    Private {
        /// Differs from the seed of every other process.
        seed: u64,
        /// The sum of the scopes' counters.
        count: u64,
    },
    /// Kept in a Redis that others share: the epoch's token and those of the scopes.
    Shared(Arc<str>),
}

impl Generation {
    /// The generation that consists of these tokens; `None` if one of them is missing.
    pub(super) fn shared(epoch: &str, tokens: &[Option<String>]) -> Option<Self> {
        let mut text = epoch.to_owned();
        for token in tokens {
            text.push('.');
            text.push_str(token.as_deref()?);
        }
        Some(Self::Shared(Arc::from(text)))
    }
}

impl fmt::Display for Generation {
    /// The form in which it is stored with a value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private { seed, count } => write!(f, "{seed:016x}.{count}"),
            Self::Shared(text) => f.write_str(text),
        }
    }
}

/// The right to store a value that is read after the token was issued.
#[derive(Debug, Clone)]
pub struct FillToken {
    pub(super) key: String,
    pub(super) generation: Generation,
    /// A moment before the generation was read, which is before the data was read.
    pub(super) issued_at: Instant,
}

/// Makes tokens that no other process makes and this one makes once.
#[derive(Debug)]
pub(super) struct UniqueTokens {
    seed: u64,
    next: AtomicU64,
}

impl UniqueTokens {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, next: AtomicU64::new(0) }
    }

    pub(super) fn next(&self) -> String {
        format!("{:016x}{:016x}", self.seed, self.next.fetch_add(1, Ordering::Relaxed))
    }
}
