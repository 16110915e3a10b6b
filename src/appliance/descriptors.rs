//! How many client connections the process can afford.
//!
//! Policy: the limit of open files is raised as far as this user may. What does not fit under it is not accepted:
//! clients that took the last descriptor would take the database and the cache from everybody.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors for all but clients and the database: runtime, log, children, cache, lock.
const RESERVED_FDS: usize = 64;

/// At most `wanted` client connections, so many as fit beside `database` connections.
pub(super) fn clamp_connections(wanted: usize, database: usize) -> usize {
    let limit = raise();
    let most = limit.saturating_sub(RESERVED_FDS + database).max(1);
    if most < wanted {
        tracing::warn!(
            max_connections = most,
            wanted,
            open_files = limit,
            "the limit of open files allows fewer connections than server.max_connections: raise it (ulimit -n, LimitNOFILE=)"
        );
    }
    most.min(wanted)
}

/// Raises the soft limit to the hard one and returns what holds from now on.
fn raise() -> usize {
    // A system that does not tell its limit has none that we could keep to.
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return usize::MAX };
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    usize::try_from(if raised { hard } else { soft }).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_and_fits_is_granted() {
        assert_eq!(clamp_connections(1, 1), 1);
        assert!(clamp_connections(usize::MAX, 8) >= 1);
    }
}
