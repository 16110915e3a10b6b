//! How much memory there is to use.
//!
//! Policy: what the computer has, or what the container it looks like a computer from may have.

use std::fs;

/// Least and most that is taken for pages without being told.
const BOUNDS: (usize, usize) = (128 << 20, 1 << 30);
/// One part in so many.
const SHARE: usize = 8;

/// What PostgreSQL may keep pages of its tables in, in bytes, where nobody has said.
pub fn for_pages() -> usize {
    let of = |path| fs::read_to_string(path).unwrap_or_default();
    share(&of("/proc/meminfo"), &of("/sys/fs/cgroup/memory.max"))
}

/// `meminfo` as in proc(5), `limit` as in the kernel's documentation of cgroup v2: a number of bytes, or `max`.
fn share(meminfo: &str, limit: &str) -> usize {
    let total =
        meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    let total = total.map_or(0, |kilobytes: usize| kilobytes.saturating_mul(1024));
    let limit = limit.trim().parse().unwrap_or(usize::MAX);
    (total.min(limit) / SHARE).clamp(BOUNDS.0, BOUNDS.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_what_there_is_within_bounds() {
        let meminfo = |megabytes: usize| format!("MemTotal:       {} kB\nMemFree:  5 kB\n", megabytes << 10);
        assert_eq!(share(&meminfo(4096), "max\n"), 512 << 20);
        assert_eq!(share(&meminfo(65_536), "max\n"), 1 << 30);
        assert_eq!(share(&meminfo(512), "max\n"), 128 << 20);
        assert_eq!(share(&meminfo(65_536), "2147483648\n"), 256 << 20);
        assert_eq!(share("", ""), 128 << 20);
        assert!(for_pages() >= BOUNDS.0);
    }
}
