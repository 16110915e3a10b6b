//! Signals: the first SIGTERM or SIGINT requests a graceful stop, a second one a forced stop; SIGHUP requests a reload of the
//! configuration.
//!
//! Policy: no signal that another program may send by mistake ends the appliance. Those that would end a process by default and have no
//! meaning here are caught and ignored; SIGPIPE is ignored by the runtime of the language. SIGQUIT, which asks for a core dump, and the
//! signals of a fault of the program keep their meaning.

use std::io;

use nix::sys::signal::Signal as NixSignal;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that end a process by default and mean nothing to the appliance.
const IGNORED: [NixSignal; 7] = [
    NixSignal::SIGUSR1,
    NixSignal::SIGUSR2,
    NixSignal::SIGALRM,
    NixSignal::SIGVTALRM,
    NixSignal::SIGPROF,
    NixSignal::SIGIO,
    NixSignal::SIGPWR,
];

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
        for ignored in IGNORED {
            // The handler stays when its stream is dropped.
            drop(signal(SignalKind::from_raw(ignored as i32))?);
        }
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
