//! How a cache behaves.

use std::time::Duration;

use super::authentication::AuthenticationKey;

/// The settings of a cache.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// What is cached, for the log.
    pub name: &'static str,
    /// Begins every key in Redis.
    pub prefix: String,
    /// Whether no other process uses keys with this prefix.
    pub is_private: bool,
    /// Whether values are used only while it is proven that changes by others are received ([`super::Cache::trust_until`]).
    pub needs_proof: bool,
    /// How long a read waits for Redis.
    pub timeout: Duration,
    /// How long a value lives, counted from before its data was read.
    pub ttl: Duration,
    /// The largest value that is stored, in bytes.
    pub max_value: usize,
    /// Memory for values in this process, in bytes; 0 for none.
    pub local_memory: usize,
    /// Signs what is stored in Redis, so that nothing else is used. Without it, what Redis returns is trusted.
    pub authentication: Option<AuthenticationKey>,
}
