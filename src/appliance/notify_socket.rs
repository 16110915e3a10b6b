//! Sends messages to the service manager (`NOTIFY_SOCKET`) without ever waiting for it.
//!
//! Policy: the kernel holds few unread messages, and then a sender would block until the service manager reads them, which a manager that
//! hangs never does. So a message that does not fit is not waited for: one that is repeated soon anyway (the watchdog, a longer
//! time-out) is dropped, and one that is not (ready, stopping) is kept and sent later, in order, for a limited time. One log line says
//! when messages begin to fail, not one for each message.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

/// The variable with the path of the socket; an abstract one begins with `@`.
const VARIABLE: &str = "NOTIFY_SOCKET";
/// The most messages that are kept; a further one replaces the oldest.
const MAX_PENDING: usize = 16;
/// The time between two attempts to send the messages that are kept.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// How long messages are kept.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// Whether a message is worth keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// It is sent once.
    Once,
    /// A message like it follows soon.
    Repeated,
}

static OUTBOX: Mutex<Outbox> = Mutex::new(Outbox { pending: VecDeque::new(), is_failing: false });

/// The messages that did not fit into the socket yet.
struct Outbox {
    pending: VecDeque<String>,
    /// Whether the last message could not be sent.
    is_failing: bool,
}

fn outbox() -> MutexGuard<'static, Outbox> {
    OUTBOX.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends a message, or keeps it for later. Returns at once. Without a service manager it does nothing.
pub(super) fn send(message: String, delivery: Delivery) {
    let Some(path) = std::env::var_os(VARIABLE) else { return };
    let mut outbox = outbox();
    if !outbox.pending.is_empty() {
        outbox.keep(message, delivery);
        return;
    }
    match try_send(&path, &message) {
        Ok(()) => outbox.is_failing = false,
        Err(error) => {
            outbox.report(&error);
            if error.kind() == io::ErrorKind::WouldBlock
                && outbox.keep(message, delivery)
                && let Ok(runtime) = Handle::try_current()
            {
                runtime.spawn(send_pending());
            }
        }
    }
}

impl Outbox {
    /// Keeps a message that is sent once; whether it was kept.
    fn keep(&mut self, message: String, delivery: Delivery) -> bool {
        if delivery == Delivery::Repeated {
            return false;
        }
        if self.pending.len() == MAX_PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back(message);
        true
    }

    /// Sends what is kept, as far as the socket takes it; whether nothing is left.
    fn flush(&mut self, path: &OsStr) -> bool {
        while let Some(message) = self.pending.front() {
            match try_send(path, message) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                sent => {
                    self.pending.pop_front();
                    match sent {
                        Ok(()) => self.is_failing = false,
                        Err(error) => self.report(&error),
                    }
                }
            }
        }
        true
    }

    fn report(&mut self, error: &io::Error) {
        if !self.is_failing {
            tracing::warn!(%error, "the service manager could not be notified");
        }
        self.is_failing = true;
    }
}

async fn send_pending() {
    let Some(path) = std::env::var_os(VARIABLE) else { return };
    let deadline = Instant::now() + RETRY_TIMEOUT;
    while Instant::now() < deadline {
        sleep(RETRY_INTERVAL).await;
        if outbox().flush(&path) {
            return;
        }
    }
    let mut outbox = outbox();
    tracing::warn!(
        messages = outbox.pending.len(),
        "the service manager does not read its notifications; they are dropped"
    );
    outbox.pending.clear();
}

fn try_send(path: &OsStr, message: &str) -> io::Result<()> {
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    socket.send(message.as_bytes()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("attendance-notify-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn messages_that_do_not_fit_are_kept_in_order_within_a_limit_and_repeated_ones_are_not() {
        let directory = directory();
        let path = directory.join("socket");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let mut filled = 0;
        while try_send(path.as_os_str(), "filler").is_ok() {
            filled += 1;
        }
        let mut outbox = Outbox { pending: VecDeque::new(), is_failing: false };
        assert!(!outbox.keep("WATCHDOG=1".to_owned(), Delivery::Repeated));
        for number in 0..MAX_PENDING + 2 {
            assert!(outbox.keep(number.to_string(), Delivery::Once));
        }
        assert!(!outbox.flush(path.as_os_str()));
        assert_eq!(outbox.pending.len(), MAX_PENDING);
        let mut read = Vec::new();
        let mut buffer = [0; 64];
        loop {
            let is_empty = outbox.flush(path.as_os_str());
            while let Ok(length) = manager.recv(&mut buffer) {
                read.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
            if is_empty {
                break;
            }
        }
        let kept: Vec<String> = (2..MAX_PENDING + 2).map(|number| number.to_string()).collect();
        assert_eq!(read[filled..], kept);
        // A socket that is gone is an error of each message, and none is kept.
        drop(manager);
        outbox.keep("READY=1".to_owned(), Delivery::Once);
        assert!(outbox.flush(path.as_os_str()) && outbox.is_failing);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn an_abstract_socket_is_reached() {
        let name = format!("attendance-notify-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        try_send(OsStr::new(&format!("@{name}")), "READY=1").unwrap();
        let mut buffer = [0; 64];
        assert_eq!(manager.recv(&mut buffer).unwrap(), 7);
    }
}
