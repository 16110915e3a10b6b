//! An appliance that runs PostgreSQL and Redis itself, on a small disk.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::clients::WRITERS;
use crate::deployment::Deployment;
use crate::disruption::Action::{Fill, Kill, Stop, Terminate};
use crate::disruption::Disruption;
use crate::disruption::Target::{self, Backend, Disk, Postmaster, Redis};
use crate::ledger::Ledger;
use crate::support::choice::Choice;
use crate::support::{
    Appliance, Mount, Scratch, Sql, children_of, eventually, free_port, is_alive, try_signal, wait_for_cache,
};

/// Enough for the programs, the cluster, and the records of a long run.
const DISK: &str = "size=700m";

const DISRUPTIONS: &[Disruption] = &[
    Disruption(Postmaster, Kill),
    Disruption(Postmaster, Stop),
    Disruption(Backend, Kill),
    Disruption(Backend, Stop),
    Disruption(Redis, Kill),
    Disruption(Redis, Stop),
    Disruption(Target::Appliance, Kill),
    Disruption(Target::Appliance, Terminate),
    Disruption(Target::Appliance, Stop),
    Disruption(Disk, Fill),
];

/// The deployment.
pub struct Managed {
    appliance: Appliance,
    address: SocketAddr,
    ledger: Arc<Ledger>,
    choice: Choice,
    // Unmounted and removed after the appliance has ended.
    disk: Mount,
    _directory: Scratch,
}

impl Managed {
    /// Starts it. It mounts a file system, which needs root.
    pub fn start() -> Self {
        let directory = Scratch::new("chaos");
        let disk = Mount::memory(directory.path(), DISK);
        let data = disk.path().join("data");
        let listen = format!("127.0.0.1:{}", free_port());
        let appliance = Appliance::builder().existing_cluster().data_dir(&data).listen(&listen).start();
        wait_for_cache(&appliance);
        let address = appliance.address();
        let ledger = Arc::new(Ledger::new(WRITERS));
        Self { appliance, address, ledger, choice: Choice::new(0), disk, _directory: directory }
    }

    /// Stops a process for a while, if it still runs.
    fn stop_for(&self, pid: u32, duration: Duration) -> Instant {
        try_signal(pid, Signal::SIGSTOP);
        thread::sleep(duration);
        try_signal(pid, Signal::SIGCONT);
        Instant::now()
    }

    /// Kills a process, if it still runs, and waits until it has ended; a server, until there is another one. Processes of a killed
    /// server may answer for a moment.
    fn kill(&mut self, target: Target, pid: u32) -> Instant {
        let killed = Instant::now();
        try_signal(pid, Signal::SIGKILL);
        eventually("there is another process", || match target {
            Backend => (!is_alive(pid)).then_some(()),
            _ => self.process(target).filter(|other| *other != pid).map(drop),
        });
        killed
    }

    /// A process of the deployment, if it runs at present.
    fn process(&mut self, target: Target) -> Option<u32> {
        match target {
            Postmaster => self.appliance.postgres_child().map(|process| process.pid),
            Redis => self.appliance.redis_child().map(|process| process.pid),
            Backend => {
                let postmaster = self.appliance.postgres_child()?.pid;
                let backends = children_of(postmaster);
                (!backends.is_empty()).then(|| self.choice.of(&backends).pid)
            }
            _ => Some(self.appliance.pid()),
        }
    }
}

impl Deployment for Managed {
    fn name(&self) -> &'static str {
        "managed"
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        vec![self.address]
    }

    fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    fn sql(&self) -> Sql {
        self.appliance.sql()
    }

    fn disruptions(&self) -> &'static [Disruption] {
        DISRUPTIONS
    }

    fn disrupt(&mut self, disruption: Disruption, duration: Duration) -> Instant {
        match disruption {
            Disruption(Target::Appliance, Kill) => {
                self.appliance.kill();
                let killed = Instant::now();
                self.appliance.start_again();
                killed
            }
            Disruption(Target::Appliance, Terminate) => {
                self.appliance.stop();
                let stopped = Instant::now();
                self.appliance.start_again();
                stopped
            }
            Disruption(Disk, _) => {
                let filler = self.disk.fill();
                thread::sleep(duration);
                drop(filler);
                Instant::now()
            }
            Disruption(target, action) => {
                // It may be ending at this moment.
                let Some(pid) = self.process(target) else { return Instant::now() };
                match action {
                    Kill => self.kill(target, pid),
                    _ => self.stop_for(pid, duration),
                }
            }
        }
    }
}
