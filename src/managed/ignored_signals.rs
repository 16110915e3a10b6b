//! Signals that this process ignores because the program that started it did.
//!
//! Policy: a shell lets its background commands ignore SIGINT and SIGQUIT, and every program that they execute inherits that. A child that has
//! just been started would then ignore its death signal, and outlive the appliance. What a process *handles* is reset to the default action
//! in the programs that it executes (POSIX, `exec`). So before a child is started, a signal that is ignored gets a handler that does nothing: it still
//! has no effect here, and its default action in the child.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// The signals that end children.
const SIGNALS: [SignalKind; 3] = [SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate()];

/// Gives children the default action of the signals that end them. Must be called inside a runtime.
///
/// # Errors
/// When the kernel does not say what is ignored, or accepts no handler.
pub(super) fn give_children_default_actions() -> io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let ignored = ignored(&status).ok_or_else(|| io::Error::other("/proc/self/status has no ignored signals"))?;
    for kind in SIGNALS {
        if ignored & (1 << (kind.as_raw_value() - 1)) != 0 {
            // The handler stays when the stream of signals is dropped.
            drop(signal(kind)?);
        }
    }
    Ok(())
}

/// The ignored signals of a process, as bits.
fn ignored(status: &str) -> Option<u64> {
    let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(bits.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_as_the_kernel_writes_them() {
        assert_eq!(ignored("Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001006\n"), Some(0x1006));
        assert_eq!(ignored("Name:\tx\n"), None);
        assert_eq!(ignored("SigIgn:\tx\n"), None);
    }
}
