//! How much memory PostgreSQL gets by default.
//!
//! Policy: a fraction of the memory of the machine, or of the limit of the container, within bounds.

use std::fs;

use nix::sys::sysinfo::sysinfo;

/// The smallest default, in bytes.
const MIN_SHARED_BUFFERS: usize = 128 << 20;
/// The largest default, in bytes.
const MAX_SHARED_BUFFERS: usize = 1 << 30;
/// The default is the memory divided by this.
const MEMORY_DIVISOR: usize = 8;

/// The value of `shared_buffers` in bytes, if the configuration has none.
pub fn default_shared_buffers() -> usize {
    let total = sysinfo().map_or(0, |machine| machine.ram_total());
    fraction(total, &fs::read_to_string("/sys/fs/cgroup/memory.max").unwrap_or_default())
}

/// `total` is in bytes; `limit` is the content of cgroup v2's `memory.max`: a number of bytes, or `max`.
fn fraction(total: u64, limit: &str) -> usize {
    let limit = limit.trim().parse().unwrap_or(u64::MAX);
    let available = usize::try_from(total.min(limit)).unwrap_or(usize::MAX);
    (available / MEMORY_DIVISOR).clamp(MIN_SHARED_BUFFERS, MAX_SHARED_BUFFERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_an_eighth_of_the_available_memory_within_bounds() {
        assert_eq!(fraction(4 << 30, "max\n"), 512 << 20);
        assert_eq!(fraction(64 << 30, "max\n"), 1 << 30);
        assert_eq!(fraction(512 << 20, "max\n"), 128 << 20);
        assert_eq!(fraction(64 << 30, "2147483648\n"), 256 << 20);
        assert_eq!(fraction(0, ""), 128 << 20);
    }

    #[test]
    fn the_kernel_reports_the_memory_of_the_machine() {
        assert!(sysinfo().unwrap().ram_total() > 64 << 20);
    }
}
