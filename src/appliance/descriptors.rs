//! Limits client connections to the file descriptors of the process.
//!
//! Policy: the soft limit of open files is raised to the hard limit. Connections that would exceed it are not accepted,
//! because without a free descriptor the process could connect neither to the database nor to the cache.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors for everything but clients and the database: runtime, log, children, cache, lock.
const RESERVED_FDS: usize = 64;

/// The number of client connections to accept: `wanted`, or fewer if they do not fit beside `database` connections.
pub(super) fn clamp_connections(wanted: usize, database: usize) -> usize {
    let limit = raise_limit();
    let available = limit.saturating_sub(RESERVED_FDS + database).max(1);
    if available < wanted {
        tracing::warn!(
            max_connections = available,
            wanted,
            open_files = limit,
            "the limit of open files allows fewer connections than server.max_connections: raise it (ulimit -n, LimitNOFILE=)"
        );
    }
    available.min(wanted)
}

/// Raises the soft limit to the hard limit and returns the limit that applies from now on.
fn raise_limit() -> usize {
    // Without a known limit there is nothing to clamp to.
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return usize::MAX };
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    usize::try_from(if raised { hard } else { soft }).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_fit_are_allowed_and_at_least_one_is() {
        assert_eq!(clamp_connections(1, 1), 1);
        assert!(clamp_connections(usize::MAX, 8) >= 1);
    }
}
