//! Signals: the first SIGTERM or SIGINT requests a graceful stop, a second one a forced stop; SIGHUP requests a reload of the
//! configuration.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that the appliance handles.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignalAction {
    /// A stop; has the name of the signal.
    Stop(&'static str),
    /// A reload of the configuration.
    Reload,
}

impl Signals {
    /// Replaces the default handlers, which would end the process immediately.
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal.
    pub(super) async fn next_action(&mut self) -> SignalAction {
        tokio::select! {
            _ = self.terminate.recv() => SignalAction::Stop("SIGTERM"),
            _ = self.interrupt.recv() => SignalAction::Stop("SIGINT"),
            _ = self.hangup.recv() => SignalAction::Reload,
        }
    }

    /// Waits for the next signal that requests a stop and returns its name. A reload is only logged.
    pub(super) async fn next_stop(&mut self) -> &'static str {
        loop {
            match self.next_action().await {
                SignalAction::Stop(signal) => return signal,
                SignalAction::Reload => tracing::info!("the configuration is read again only while serving"),
            }
        }
    }
}
