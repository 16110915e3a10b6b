//! The hidden subcommand `mini-redis-child`: serves mini-redis on the listening socket that is its standard input.
//!
//! Policy: the parent owns the socket, so the port stays the same when this process is restarted. The process stores nothing on disk;
//! after any error the supervision starts another one.
//!
//! mini-redis panics in the task of a connection that sends something malformed, which every local user can do. That ends the connection
//! and nothing else, so the panic is not printed.

use std::future::pending;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;

/// The name of the hidden subcommand.
pub const SUBCOMMAND: &str = "mini-redis-child";

/// Why mini-redis does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Standard input is not a listening socket.
    #[error("standard input is not a listening socket ({0}); this subcommand is only for the appliance itself")]
    NoSocket(#[source] io::Error),
    /// mini-redis failed to accept connections.
    #[error("mini-redis: {0}")]
    MiniRedis(#[source] mini_redis::Error),
}

/// Serves until a signal ends the process; returns only after an error.
///
/// # Errors
/// When standard input is not a listening socket, or accepting fails repeatedly.
pub fn run_mini_redis() -> Result<(), Error> {
    std::panic::set_hook(Box::new(|_| {}));
    let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned().map_err(Error::NoSocket)?);
    listener.local_addr().and_then(|_| listener.set_nonblocking(true)).map_err(Error::NoSocket)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    runtime.map_err(Error::NoSocket)?.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(Error::NoSocket)?;
        mini_redis::server::run(listener, pending::<()>()).await.map_err(Error::MiniRedis)
    })
}
