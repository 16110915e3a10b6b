//! What can be cached.

use bytes::Bytes;

/// A value of a cache. Clones must be cheap, for example an [`Arc`](std::sync::Arc), because every hit is one.
pub trait CacheValue: Clone + Send + Sync + 'static {
    /// The size that the limits of stored and queued values refer to, in bytes.
    fn size(&self) -> usize;

    /// The memory that the value takes beside `size` when it is kept in this process under `key`, in bytes. An estimate.
    fn overhead(&self, key: &str) -> usize;

    /// Appends the form in which the value is stored in Redis.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads what [`CacheValue::encode`] wrote; `None` if it is anything else. Redis may hold anything.
    fn decode(encoded: Bytes) -> Option<Self>;
}
