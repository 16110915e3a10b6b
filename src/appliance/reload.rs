//! Reloads the configuration of a running appliance (SIGHUP).
//!
//! Policy: the configuration is read as at the start. If it has a problem, nothing changes and every problem is logged. Keys that can
//! change without a restart take effect for the connections and requests that begin afterwards; every other changed key is named in the
//! log. The declaration of a key says whether it is reloadable.

use super::systemd;
use crate::config::{self, Config, Environment, Flags, Loaded};
use crate::http::AppState;
use crate::telemetry::log::Logging;

/// A configuration that can be read again, and its values so far.
#[derive(Debug)]
pub struct Reloadable {
    flags: Flags,
    /// The configuration of the start, whose values still apply to keys that need a restart.
    started: Loaded,
    /// The configuration of the last reload, if there was one.
    last: Option<Loaded>,
    /// The configuration in force: that of the start, with the reloadable keys as they were read last.
    effective: Config,
}

impl Reloadable {
    /// The configuration that was loaded at the start, with these flags.
    pub fn new(flags: Flags, loaded: Loaded) -> Self {
        Self { flags, effective: loaded.config.clone(), started: loaded, last: None }
    }

    /// The configuration of the start as text, without secrets.
    pub(super) fn show(&self) -> String {
        self.started.show()
    }

    /// Reads the configuration again and applies it.
    fn reload(&mut self, app: &AppState, logging: &Logging) {
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
        app.set_logged_requests(self.effective.log.access);
        logging.set_level(self.effective.log.level);
        tracing::info!(changed = changed.join(", "), "the configuration was read again");
        if !waiting.is_empty() {
            tracing::warn!(keys = waiting.join(", "), "these keys have changed and take effect after a restart");
        }
        self.last = Some(loaded);
    }
}

/// Reloads the configuration. An appliance that was started without one only logs that.
pub(super) fn reload(reloadable: Option<&mut Reloadable>, app: &AppState, logging: &Logging) {
    match reloadable {
        Some(reloadable) => reloadable.reload(app, logging),
        None => tracing::info!("this appliance was started without a configuration; there is nothing to read again"),
    }
}
