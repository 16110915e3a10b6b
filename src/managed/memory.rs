//! How much memory there is to use.
//!
//! Policy: what the computer has, or what the container it looks like a computer from may have.

use std::fs;

use nix::sys::sysinfo::sysinfo;

/// Least and most that is taken for pages without being told.
const BOUNDS: (usize, usize) = (128 << 20, 1 << 30);
/// One part in so many.
const SHARE: usize = 8;

/// What PostgreSQL may keep pages of its tables in, in bytes, where nobody has said.
pub fn default_shared_buffers() -> usize {
    let total = sysinfo().map_or(0, |of_computer| of_computer.ram_total());
    share(total, &fs::read_to_string("/sys/fs/cgroup/memory.max").unwrap_or_default())
}

/// `total` in bytes; `limit` as in the kernel's documentation of cgroup v2: a number of bytes, or `max`.
fn share(total: u64, limit: &str) -> usize {
    let limit = limit.trim().parse().unwrap_or(u64::MAX);
    let whole = usize::try_from(total.min(limit)).unwrap_or(usize::MAX);
    (whole / SHARE).clamp(BOUNDS.0, BOUNDS.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_what_there_is_within_bounds() {
        assert_eq!(share(4 << 30, "max\n"), 512 << 20);
        assert_eq!(share(64 << 30, "max\n"), 1 << 30);
        assert_eq!(share(512 << 20, "max\n"), 128 << 20);
        assert_eq!(share(64 << 30, "2147483648\n"), 256 << 20);
        assert_eq!(share(0, ""), 128 << 20);
    }

    #[test]
    fn the_computer_says_what_it_has() {
        assert!(sysinfo().unwrap().ram_total() > 64 << 20);
    }
}
