//! The hidden subcommand `mini-redis-child`: mini-redis on a listening socket it is given.
//!
//! Policy: the parent owns the socket, which is this process's standard input, so the port stays the same when this
//! process is restarted. It keeps nothing: whatever goes wrong in it, the supervision ends it and starts another.

use std::future::pending;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;

/// The name of the hidden subcommand.
pub const SUBCOMMAND: &str = "mini-redis-child";

/// Why mini-redis does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Called by hand.
    #[error("standard input is not a listening socket ({0}); this subcommand is only for the appliance itself")]
    NoSocket(#[source] io::Error),
    /// mini-redis gave up.
    #[error("mini-redis: {0}")]
    MiniRedis(String),
}

/// Serves until the process is ended; returns only when that failed.
///
/// # Errors
/// When standard input is not a listening socket, or accepting fails again and again.
pub fn run_mini_redis() -> Result<(), Error> {
    let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned().map_err(Error::NoSocket)?);
    listener.local_addr().and_then(|_| listener.set_nonblocking(true)).map_err(Error::NoSocket)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    runtime.map_err(Error::NoSocket)?.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(Error::NoSocket)?;
        mini_redis::server::run(listener, pending::<()>()).await.map_err(|error| Error::MiniRedis(error.to_string()))
    })
}
