//! The listening socket that the service manager passes (socket activation).
//!
//! Policy: exactly one listening TCP socket, or the start fails; it is used instead of `server.listen`. Children never inherit
//! it: its descriptor is closed on `exec`, and the variables that announce it are not in the environment of a child.

use std::io;

use nix::sys::socket::{getsockopt, sockopt};
use tokio::net::TcpListener;

/// Why the passed socket cannot be served on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The appliance serves one address.
    #[error("{0} sockets were passed")]
    TooMany(usize),
    /// The descriptor has been used before: a bug.
    #[error("the socket was taken already")]
    AlreadyTaken,
    /// The socket is connected or unbound.
    #[error("the socket does not listen")]
    NotListening,
    /// The descriptor is no TCP socket, or the environment variables are malformed.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// The socket that was passed, if one was.
///
/// # Errors
/// When several were passed, or one that cannot be served on.
pub(super) fn listener() -> Result<Option<TcpListener>, Error> {
    // Checks that the variables are meant for this process, and sets close-on-exec.
    let count = sd_notify::listen_fds()?.len();
    if count == 0 {
        return Ok(None);
    }
    if count > 1 {
        return Err(Error::TooMany(count));
    }
    let socket = listenfd::ListenFd::from_env().take_tcp_listener(0)?.ok_or(Error::AlreadyTaken)?;
    if !getsockopt(&socket, sockopt::AcceptConn).is_ok_and(|listens| listens) {
        return Err(Error::NotListening);
    }
    socket.set_nonblocking(true)?;
    let listener = TcpListener::from_std(socket)?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "listening on the service manager's socket; server.listen is not used");
    Ok(Some(listener))
}
