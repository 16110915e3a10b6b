//! The part of the configuration that the command line sets.

use std::path::PathBuf;

/// The flags of the command line that set keys or name the file.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<String>,
    /// `--data-dir`
    pub data_dir: Option<String>,
    /// `--set KEY=VALUE`, in their order.
    pub set: Vec<String>,
}
