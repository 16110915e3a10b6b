//! SIGTERM and SIGINT: the first asks for an orderly stop, the second for an immediate one. SIGHUP asks to read the
//! configuration again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that mean something to the appliance.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignalAction {
    /// To stop; the name of the signal.
    Stop(&'static str),
    /// To read the configuration again.
    Reload,
}

impl Signals {
    /// Takes the signals over from the system's default, which would end the process at once.
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next_action(&mut self) -> SignalAction {
        tokio::select! {
            _ = self.terminate.recv() => SignalAction::Stop("SIGTERM"),
            _ = self.interrupt.recv() => SignalAction::Stop("SIGINT"),
            _ = self.hangup.recv() => SignalAction::Reload,
        }
    }

    /// Waits for the next one that stops and returns its name.
    pub(super) async fn next_stop(&mut self) -> &'static str {
        loop {
            match self.next_action().await {
                SignalAction::Stop(signal) => return signal,
                SignalAction::Reload => tracing::info!("the configuration is read again only while serving"),
            }
        }
    }
}
