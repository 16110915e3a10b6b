//! The ways to disrupt a deployment.

use std::fmt;

/// What is disrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// PostgreSQL's first process, and with it the server.
    Postmaster,
    /// One process of PostgreSQL that serves a connection, or works in the background.
    Backend,
    /// Redis.
    Redis,
    /// The appliance; of several instances, the first one.
    Appliance,
    /// The network to PostgreSQL.
    PostgresNetwork,
    /// The network to Redis.
    RedisNetwork,
    /// The disk of PostgreSQL.
    Disk,
}

/// How it is disrupted. What was ended is started again, and everything else ends after a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Terminate,
    /// SIGSTOP, later SIGCONT.
    Stop,
    /// Connections end.
    Cut,
    /// Nothing is passed on.
    Stall,
    /// Everything is passed on later.
    Delay,
    /// There is no space left.
    Fill,
}

/// One way to disrupt a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disruption(pub Target, pub Action);

impl fmt::Display for Disruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = match self.0 {
            Target::Postmaster => "postmaster",
            Target::Backend => "backend",
            Target::Redis => "Redis",
            Target::Appliance => "appliance",
            Target::PostgresNetwork => "network to PostgreSQL",
            Target::RedisNetwork => "network to Redis",
            Target::Disk => "disk",
        };
        let action = match self.1 {
            Action::Kill => "KILL",
            Action::Terminate => "TERM",
            Action::Stop => "STOP, CONT",
            Action::Cut => "cut",
            Action::Stall => "stalled",
            Action::Delay => "delayed",
            Action::Fill => "full",
        };
        write!(f, "{target} {action}")
    }
}
