//! The hidden subcommand `mini-redis-child`: serves mini-redis on the listening socket that is its standard input.
//!
//! Policy: the parent owns the socket, so the port stays the same when this process is restarted. The process stores nothing on disk;
//! after any error the supervision starts another one.
//!
//! mini-redis panics in the task of a connection that sends something malformed, which every local user can do. That ends the connection
//! and nothing else, so the panic is not printed.
//!
//! In lists of processes it has a title of its own; an argument names the data directory of its appliance.

use std::ffi::CStr;
use std::future::pending;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::prctl;

/// The name of the hidden subcommand.
pub const SUBCOMMAND: &str = "mini-redis-child";

/// The title of the process in lists of processes.
pub(super) const TITLE: &str = "attendance-redis";
/// [`TITLE`], in the 15 bytes that the kernel has for the name of a process.
const NAME: &CStr = c"attendance-redi";

/// Why mini-redis does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Standard input is not a listening socket.
    #[error("standard input is not a listening socket ({0}); this subcommand is only for the appliance itself")]
    NoSocket(#[source] io::Error),
    /// The kernel rejected the name of the process.
    #[error("cannot name the process: {0}")]
    Name(#[source] Errno),
    /// mini-redis failed to accept connections.
    #[error("mini-redis: {0}")]
    MiniRedis(#[source] mini_redis::Error),
}

/// Serves until a signal ends the process; returns only after an error.
///
/// # Errors
/// When standard input is not a listening socket, or accepting fails repeatedly.
pub fn run_mini_redis() -> Result<(), Error> {
    prctl::set_name(NAME).map_err(Error::Name)?;
    std::panic::set_hook(Box::new(|_| {}));
    let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned().map_err(Error::NoSocket)?);
    listener.local_addr().and_then(|_| listener.set_nonblocking(true)).map_err(Error::NoSocket)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    runtime.map_err(Error::NoSocket)?.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(Error::NoSocket)?;
        mini_redis::server::run(listener, pending::<()>()).await.map_err(Error::MiniRedis)
    })
}
