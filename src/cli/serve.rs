//! `attendance-api serve`

use clap::Args;

use super::error::Error;
use super::flags::{self, ConfigFlags};
use super::{banner, help, runtime};
use crate::appliance::{self, Options, Reloadable};
use crate::config::Flags;

/// Serve the API
///
/// Starts PostgreSQL and Redis (or connects to those that the configuration names), brings the schema up to date, and serves.
/// SIGTERM or Ctrl-C stops it: requests in flight are finished first; a second signal stops at once.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = help::SERVE)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFlags,
    /// Listen on this IP address and port; port 0 takes a free one [default: 0.0.0.0:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

impl Arguments {
    /// The flags in the form that the configuration expects.
    pub fn flags(&self) -> Flags {
        Flags { listen: self.listen.clone(), ..self.config.flags() }
    }
}

/// Serves until a signal stops it.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let flags = arguments.flags();
    let loaded = flags::load(&flags)?;
    let (config, config_file) = (loaded.config.clone(), loaded.file.clone());
    let user = appliance::drop_privileges(&config)?;
    let reload = Some(Reloadable::new(flags, loaded));
    let options = Options { config_file, user, reload, seed_records: Vec::new(), on_ready: banner::show };
    runtime::run_multi_threaded(runtime::worker_threads(&config), appliance::run(config, options))
}
