//! Entry points for the fuzz targets in `fuzz/`, into items that are not public. Compiled only for fuzzing.

use super::config::{Config, TABLE};
use super::environment::Environment;
use super::flags::Flags;
use super::layers;
use super::origin::Origin;
use super::settings::Settings;

/// Reads a text as the configuration file and another as a flag. Each ends in a configuration or in problems, never in neither.
pub fn configuration(file: &str, flag: &str) {
    let mut settings = Settings::new(&TABLE);
    layers::apply_defaults(&mut settings);
    layers::apply_document(&mut settings, file, &|_| Origin::Flag("--config"));
    layers::apply_flags(&mut settings, &Flags { set: vec![flag.to_owned()], ..Flags::default() });
    let config = Config::resolve(&mut settings, &Environment::empty());
    assert!(config.is_some() || !settings.problems.is_empty());
}
