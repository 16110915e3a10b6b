//! What a running appliance takes over from a configuration that has changed (SIGHUP).
//!
//! Policy: the configuration is read as at the start. One with any problem changes nothing, and every problem is logged. What can
//! change without a restart does, for what begins from then on; every other key that differs is named in the log. Which keys these
//! are is declared with each key.

use super::systemd;
use crate::config::{self, Config, Environment, Flags, Loaded};
use crate::http::AppState;
use crate::telemetry::log::Logging;

/// Where the configuration came from, and what it said last.
#[derive(Debug)]
pub struct Reloadable {
    flags: Flags,
    /// What the process was started with, and keys that wait for a restart still have.
    started: Loaded,
    /// What was read last, if the configuration was read again after the start.
    last: Option<Loaded>,
    /// The configuration in force: that of the start, with the reloadable keys as they were read last.
    effective: Config,
}

impl Reloadable {
    /// The configuration of a start with these flags.
    pub fn new(flags: Flags, loaded: Loaded) -> Self {
        Self { flags, effective: loaded.config.clone(), started: loaded, last: None }
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
        let changed = self.last.as_ref().unwrap_or(&self.started).changes(&loaded).reloadable;
        let waiting = self.started.changes(&loaded).need_restart;
        self.effective.take_reloadable(&loaded.config);
        // The start may have lowered the number of connections to what the file descriptors allow.
        let max_connections = app.limits().max_connections;
        app.set_limits(config::Server { max_connections, ..self.effective.server.clone() });
        app.set_access(self.effective.log.access);
        logging.set_level(self.effective.log.level);
        tracing::info!(changed = changed.join(", "), "the configuration was read again");
        if !waiting.is_empty() {
            tracing::warn!(keys = waiting.join(", "), "these keys have changed and take effect after a restart");
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
