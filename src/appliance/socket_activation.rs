//! The listening socket that the service manager passes (socket activation).
//!
//! Policy: one TCP socket that listens, or the start is refused; it is used in place of `server.listen`. Children never
//! get it: it is closed when one is executed, and the variables that announce it are not among those they are given.

use nix::sys::socket::{getsockopt, sockopt};
use tokio::net::TcpListener;

use super::Error;

/// The socket that was passed, if one was.
///
/// # Errors
/// When more than one was passed, or none that can be served on.
pub(super) fn listener() -> Result<Option<TcpListener>, Error> {
    let failed = |error: std::io::Error| Error::PassedSocket(error.to_string());
    // It looks whether the variables are meant for this process, and has the descriptors closed in children.
    let count = sd_notify::listen_fds().map_err(failed)?.len();
    if count == 0 {
        return Ok(None);
    }
    if count > 1 {
        return Err(Error::PassedSocket(format!("{count} sockets were passed")));
    }
    let taken = listenfd::ListenFd::from_env().take_tcp_listener(0).map_err(failed)?;
    let Some(socket) = taken else { return Err(Error::PassedSocket("the socket was taken already".to_owned())) };
    if !getsockopt(&socket, sockopt::AcceptConn).is_ok_and(|listens| listens) {
        return Err(Error::PassedSocket("the socket does not listen".to_owned()));
    }
    socket.set_nonblocking(true).map_err(failed)?;
    let listener = TcpListener::from_std(socket).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!(%address, "listening on the service manager's socket; server.listen is not used");
    Ok(Some(listener))
}
