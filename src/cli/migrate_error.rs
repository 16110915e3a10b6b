//! The errors of `migrate` commands.

use std::io;
use std::path::PathBuf;

use crate::{appliance, config, database};

/// Why a `migrate` command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The defaults file cannot be read.
    #[error("the defaults file {path} cannot be read: {source}; correct --defaults-file")]
    DefaultsFile {
        /// The file.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
    /// `-D` without a value.
    #[error("-D{0} has no value; write -Dname=value")]
    Definition(String),
    /// A setting is not a number.
    #[error("'{text}' is not a number of {unit}; correct {place}")]
    Number {
        /// The text.
        text: String,
        /// What it counts.
        unit: &'static str,
        /// The setting, as it was written.
        place: String,
    },
    /// A setting has a value that is not supported, or is not supported at all.
    #[error("{place} is not supported: {remedy}")]
    Setting {
        /// The setting, as it was written.
        place: String,
        /// What to do instead.
        remedy: String,
    },
    /// Settings that name nothing, with `strict`.
    #[error("unknown settings: {0}; correct them, or remove --strict")]
    UnknownSettings(String),
    /// The URL is malformed.
    #[error(
        "{place} cannot be used: {source}; write jdbc:postgresql://HOST:PORT/DATABASE or postgres://HOST:PORT/DATABASE"
    )]
    Url {
        /// The setting, as it was written.
        place: String,
        /// What is wrong with it.
        source: config::UrlError,
    },
    /// The JDBC URL is malformed, or asks for something that is not supported.
    #[error(
        "{place} cannot be used: {source}; write jdbc:postgresql://HOST:PORT/DATABASE or postgres://HOST:PORT/DATABASE"
    )]
    Jdbc {
        /// The setting, as it was written.
        place: String,
        /// What is wrong with it.
        source: super::jdbc::Error,
    },
    /// The date is malformed.
    #[error("'{0}' is not a date; write 2026-01-31 or 2026-01-31T10:00:00")]
    Date(String),
    /// The changeset is not identified.
    #[error(
        "the changeset is not identified; give --changeset-identifier=FILE::ID::AUTHOR, or --changeset-path, --changeset-id and --changeset-author"
    )]
    ChangeSet,
    /// A file cannot be written.
    #[error("{path} cannot be written: {source}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The output file exists.
    #[error("{0} exists already; name another file, or add --overwrite-output-file")]
    Exists(String),
    /// The user answered no, or `--require-force` was given without `--force`.
    #[error("nothing was dropped; add --force to drop everything without a question")]
    NotDropped,
    /// The changelog cannot be read.
    #[error(transparent)]
    Load(#[from] liquibase_compat::LoadError),
    /// A rollback failed; the line before names the changeset.
    #[error(transparent)]
    Rollback(Box<liquibase_compat::RollbackError>),
    /// The command failed.
    #[error(transparent)]
    Command(liquibase_compat::Error),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The appliance's own database cannot be used.
    #[error(transparent)]
    Appliance(#[from] appliance::Error),
}

impl From<liquibase_compat::Error> for Error {
    fn from(error: liquibase_compat::Error) -> Self {
        match error {
            liquibase_compat::Error::RollbackImpossible { source, .. } => Self::Rollback(source),
            error => Self::Command(error),
        }
    }
}
