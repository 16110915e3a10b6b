//! `attendance-api serve`

use clap::Args;

use super::flags::{self, ConfigFlags};
use super::{Failure, banner, help, runtime};
use crate::appliance::{self, Options};
use crate::config::{Flags, Loaded};

/// Serve the API until told to stop
///
/// Starts PostgreSQL and Redis (or connects to those the configuration names), brings the schema up to date, and
/// serves. SIGTERM or Ctrl-C stops it: requests in flight are finished first; a second signal stops at once.
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
    /// The flags as the configuration takes them.
    pub fn flags(&self) -> Flags {
        Flags { listen: self.listen.clone(), ..self.config.flags() }
    }
}

/// Serves until told to stop.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Loaded { config, file, .. } = flags::load(&arguments.flags())?;
    let user = appliance::drop_privileges(&config)?;
    let options = Options { config_file: file, user, samples: Vec::new(), ready: banner::show };
    runtime::run_on_all_processors(appliance::run(config, options))
}
