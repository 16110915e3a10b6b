//! A thread that starts the processes of one child.
//!
//! Policy: the kernel sends the death signal of a child when the thread that spawned it ends, and the threads of a runtime may end at
//! any time. So each supervised child has a thread that only spawns its processes and lives as long as its [`Spawner`];
//! dropping the spawner therefore kills the child with its death signal.

use std::io;
use std::sync::mpsc;
use std::thread;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::ignored_signals;

type Request = (Command, oneshot::Sender<io::Result<Child>>);

/// Starts processes from one long-lived thread.
pub(super) struct Spawner {
    requests: mpsc::Sender<Request>,
}

impl Spawner {
    /// Starts the thread. Must be called inside the runtime that will wait for the processes.
    ///
    /// # Errors
    /// When the system has no thread left, or the signals that end children cannot be given their default action.
    pub(super) fn start(name: &str) -> io::Result<Self> {
        ignored_signals::give_children_default_actions()?;
        let (requests, inbox) = mpsc::channel::<Request>();
        let runtime = Handle::current();
        thread::Builder::new().name(format!("spawn-{name}")).stack_size(256 * 1024).spawn(move || {
            while let Ok((mut command, reply)) = inbox.recv() {
                let _inside = runtime.enter();
                // It fails only while the spawner is being dropped; then the death signal ends the child.
                let _ = reply.send(command.spawn());
            }
        })?;
        Ok(Self { requests })
    }

    /// Starts one process.
    ///
    /// # Errors
    /// The error of the operating system: no such program, no permission, no memory.
    pub(super) async fn spawn(&self, command: Command) -> io::Result<Child> {
        let (reply, answer) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts children has ended");
        self.requests.send((command, reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}
