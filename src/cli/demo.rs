//! `attendance-api demo`
//!
//! Policy: a demonstration changes nothing outside of its own temporary directory, which is removed at the end. It reads no
//! configuration file and no environment variables, so it never writes its sample records into a database that is in use.

use std::path::{Path, PathBuf};

use clap::Args;

use super::error::Error;
use super::{banner, help, output, runtime, seed};
use crate::appliance::{self, Options};
use crate::config::{self, Config, Environment, Flags};

/// Serve a temporary database with sample records
///
/// Starts the appliance in a temporary directory with three months of records of 50 employees. Ctrl-C stops it and removes
/// everything. No configuration file and no environment variable is read.
#[derive(Debug, Args)]
#[command(after_long_help = help::DEMO)]
pub struct Arguments {
    /// Listen on this IP address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Set one key of the configuration, for example api.date_format=http; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Serves the demonstration until a signal stops it.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let directory = Directory::create()?;
    let config = configuration(arguments, &directory.path)?;
    let outcome = serve(config);
    // An error of the demonstration says more than one of the cleanup.
    outcome.and(directory.remove())
}

fn configuration(arguments: &Arguments, directory: &Path) -> Result<Config, Error> {
    let flags = Flags {
        config: None,
        listen: Some(arguments.listen.clone()),
        data_dir: Some(directory.to_string_lossy().into_owned()),
        set: arguments.set.clone(),
    };
    let loaded = config::load(&flags, &Environment::empty())?;
    loaded.require_managed()?;
    Ok(loaded.config)
}

fn serve(config: Config) -> Result<(), Error> {
    let user = appliance::drop_privileges(&config)?;
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let options = Options {
        config_file: None,
        user,
        reload: None,
        seed_records: seed::records(today),
        on_ready: banner::show_demo,
    };
    runtime::run_multi_threaded(runtime::worker_threads(&config), appliance::run(config, options))
}

/// A directory that is removed when the demonstration ends.
struct Directory {
    path: PathBuf,
    removed: bool,
}

impl Directory {
    fn create() -> Result<Self, Error> {
        let parent = std::env::temp_dir();
        let made = nix::unistd::mkdtemp(&parent.join("attendance-api-demo-XXXXXX"));
        let path = made.map_err(|error| Error::DemoDirectory { path: parent, source: error.into() })?;
        Ok(Self { path, removed: false })
    }

    fn remove(mut self) -> Result<(), Error> {
        self.removed = true;
        std::fs::remove_dir_all(&self.path).map_err(|source| Error::DemoLeftover { path: self.path.clone(), source })
    }
}

impl Drop for Directory {
    /// Cleans up after a demonstration that failed. Its error is reported anyway, so an error of the cleanup is only a warning.
    fn drop(&mut self) {
        if !self.removed && std::fs::remove_dir_all(&self.path).is_err() {
            output::print_warning(&format!("{} could not be removed; remove it yourself", self.path.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_private_and_is_removed() {
        use std::os::unix::fs::PermissionsExt;
        let directory = Directory::create().unwrap();
        let path = directory.path.clone();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        directory.remove().unwrap();
        assert!(!path.exists());
        let path = Directory::create().unwrap().path.clone();
        assert!(!path.exists());
    }

    #[test]
    fn external_services_are_rejected() {
        let arguments = Arguments { listen: "127.0.0.1:0".to_owned(), set: vec!["postgres.host=db".to_owned()] };
        let error = configuration(&arguments, Path::new("/tmp/demo")).unwrap_err();
        assert!(error.to_string().contains("postgres.host names an external service"), "{error}");
    }
}
