//! What a running appliance takes over from a configuration that has changed (SIGHUP).
//!
//! Policy: the configuration is read as at the start. One with any problem changes nothing, and every problem is logged. What can
//! change without a restart does, for what begins from then on; every other key that differs is named in the log.

use super::systemd;
use crate::config::{self, Environment, Flags, Loaded};
use crate::http::AppState;
use crate::telemetry::log::Logging;

/// The keys that take effect at once.
const RELOADABLE_KEYS: [&str; 8] = [
    "log.level",
    "log.access",
    "server.max_body",
    "server.max_head",
    "server.head_timeout",
    "server.body_timeout",
    "server.idle_timeout",
    "server.write_timeout",
];

/// Where the configuration came from, and what it said last.
#[derive(Debug)]
pub struct Reloadable {
    flags: Flags,
    /// What the process was started with, and keys that wait for a restart still have.
    started: Loaded,
    /// What was read last, where that was not at the start.
    last: Option<Loaded>,
}

impl Reloadable {
    /// The configuration of a start with these flags.
    pub fn new(flags: Flags, loaded: Loaded) -> Self {
        Self { flags, started: loaded, last: None }
    }

    /// Reads the configuration again and takes over what can be.
    fn take_over(&mut self, app: &AppState, logging: &Logging) {
        systemd::reloading();
        match config::load(&self.flags, &Environment::of_process()) {
            Ok(loaded) => self.apply(loaded, app, logging),
            Err(problems) => {
                tracing::error!(%problems, "the changed configuration cannot be used; the one before stays in force");
            }
        }
        systemd::ready("serving");
    }

    fn apply(&mut self, loaded: Loaded, app: &AppState, logging: &Logging) {
        let mut now = self.last.as_ref().unwrap_or(&self.started).changed_keys(&loaded);
        now.retain(|key| RELOADABLE_KEYS.contains(key));
        let mut later = self.started.changed_keys(&loaded);
        later.retain(|key| !RELOADABLE_KEYS.contains(key));
        let fresh = &loaded.config;
        let mut limits = config::Server::clone(&app.limits());
        limits.max_body = fresh.server.max_body;
        limits.max_head = fresh.server.max_head;
        limits.head_timeout = fresh.server.head_timeout;
        limits.body_timeout = fresh.server.body_timeout;
        limits.idle_timeout = fresh.server.idle_timeout;
        limits.write_timeout = fresh.server.write_timeout;
        app.set_limits(limits);
        app.set_access(fresh.log.access);
        logging.set_level(fresh.log.level);
        tracing::info!(changed = now.join(", "), "the configuration was read again");
        if !later.is_empty() {
            tracing::warn!(keys = later.join(", "), "these keys have changed and take effect after a restart");
        }
        self.last = Some(loaded);
    }
}

/// Takes the configuration over. Without one to read there is only a word.
pub(super) fn take_over(reloadable: Option<&mut Reloadable>, app: &AppState, logging: &Logging) {
    match reloadable {
        Some(reloadable) => reloadable.take_over(app, logging),
        None => tracing::info!("this appliance was started without a configuration; there is nothing to read again"),
    }
}
