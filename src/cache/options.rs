//! How a cache behaves.

use std::time::Duration;

/// The settings of a cache.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// Begins every key in Redis.
    pub prefix: String,
    /// Whether no other process uses keys with this prefix.
    pub is_private: bool,
    /// How long a read waits for Redis.
    pub timeout: Duration,
    /// How long a value lives, counted from before its data was read.
    pub ttl: Duration,
    /// The largest value that is stored, in bytes.
    pub max_value: usize,
    /// Memory for values in this process, in bytes; 0 for none.
    pub local_memory: usize,
}
