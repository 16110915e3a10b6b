//! What is known about backups, also after a restart: `DATA/operate/state.json`.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Error;
use super::layout::Layout;
use crate::managed::secret_file;

/// What is known. Times are RFC 3339.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The configured directory of backups, for commands without a configuration.
    pub directory: Option<PathBuf>,
    /// The identity of the data directory, for directories of backups that several appliances use.
    pub id: Option<String>,
    /// The backups that were made in directories of backups and not removed since.
    pub files: Vec<PathBuf>,
    /// The version that has migrated the database last.
    pub version: Option<String>,
    /// The end of the last backup that succeeded.
    pub last_success: Option<String>,
    /// Its size in bytes.
    pub bytes: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The last backup that failed.
    pub last_failure: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The backup that `backup.copy_command` could not copy, until it succeeds. A backup that is made by a command does not change it, because it is not copied.
    pub copy_failure: Option<CopyFailure>,
    /// The end of the last verification that succeeded.
    pub last_verified: Option<String>,
    /// The last verification that failed.
    pub last_verify_failure: Option<String>,
    /// Why.
    pub verify_reason: Option<String>,
    /// Whether PostgreSQL has a slot for the archive of point-in-time recovery.
    pub has_slot: bool,
    /// Since when there is a schedule.
    pub scheduled_since: Option<String>,
}

/// A backup that could not be copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyFailure {
    /// Its file.
    pub file: PathBuf,
    /// When it was made.
    pub made_at: String,
    /// Why it is not copied.
    pub reason: String,
}

impl State {
    /// Reads the state; an unreadable one is as good as none.
    pub fn read(layout: &Layout) -> Self {
        let text = std::fs::read_to_string(layout.state()).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Changes the state.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn update(layout: &Layout, change: impl FnOnce(&mut Self)) -> Result<Self, Error> {
        let mut state = Self::read(layout);
        let before = state.clone();
        change(&mut state);
        if state != before {
            layout.prepare()?;
            let path = layout.state();
            let text = serde_json::to_string(&state).map_err(|source| Error::Encode { source })?;
            secret_file::write(&path, &text).map_err(Error::at(&path))?;
        }
        Ok(state)
    }

    /// The directory of backups.
    pub fn directory(&self, layout: &Layout) -> PathBuf {
        self.directory.clone().unwrap_or_else(|| layout.default_backups())
    }
}

/// A time of the state.
pub fn time(text: Option<&String>) -> Option<Timestamp> {
    text.and_then(|text| text.parse().ok())
}

/// A time for the state, in whole seconds.
pub fn text(time: Timestamp) -> String {
    whole_seconds(time).to_string()
}

/// A time without its fraction of a second.
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
