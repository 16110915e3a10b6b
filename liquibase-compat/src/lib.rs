//! Runs Liquibase changelogs on PostgreSQL, without Liquibase.
//!
//! The crate reads a changelog, compares it with the history in DATABASECHANGELOG, and brings the database up to date. It writes
//! the tables, rows and checksums that Liquibase 4.28 writes, so that both programs can be used in turn on one database.
//!
//! There are three stages, and each can be used alone: [`Changelog::load`] reads files and needs no database, [`plan()`] decides and
//! has no side effects, [`update`] runs. Commands that write need a [`Lock`], which also gives access to its connection for other
//! migrations.
//!
//! ```no_run
//! use liquibase_compat::{Changelog, DirectorySource, Lock, LockOptions, Options, update};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let source = DirectorySource::new("migrations")?;
//! let options = Options::default().with_contexts(["prod"]);
//! let changelog = Changelog::load(&source, "db.changelog-master.xml", &options)?;
//!
//! let (mut client, connection) =
//!     tokio_postgres::connect("host=localhost user=postgres", tokio_postgres::NoTls).await?;
//! tokio::spawn(connection);
//!
//! let mut lock = Lock::acquire(&mut client, &LockOptions::default()).await?;
//! let outcome = update(&mut lock, &changelog, &options).await;
//! lock.release().await?;
//! let report = outcome?;
//! println!("{} changesets ran, {} had run before", report.run_count(), report.previously_run);
//! # Ok(())
//! # }
//! ```
//!
//! [`plan()`] has an example without a database. `examples/` contains two complete programs.

mod apply;
mod change;
mod changelog;
mod changeset;
mod changeset_error;
mod changeset_id;
mod checksum;
mod command_request;
mod database_properties;
mod database_properties_query;
mod drop_all;
mod encoding;
mod error;
mod event;
mod expression;
mod external_file;
mod field;
mod fields;
mod file_content;
mod filter;
mod format;
#[cfg(fuzzing)]
pub mod fuzzing;
mod generate;
mod history;
mod inspect;
mod java_hash;
mod load_error;
mod locations;
mod lock;
mod maintenance;
mod modify_sql;
mod node;
mod options;
mod path;
mod plan;
mod postgres_error;
mod precondition;
mod precondition_error;
mod properties;
#[cfg(test)]
mod recorded_sql;
#[cfg(test)]
mod recorded_text;
#[cfg(test)]
mod recorded_types;
mod report;
mod rollback;
mod rollback_plan;
mod run;
mod scalar;
mod script;
mod search_path;
mod session;
mod source;
mod sql;
mod target;
mod update;
mod validation_error;
mod validation_problem;

pub use change::{ChangeError, LoadDataError};
pub use changelog::Changelog;
pub use changeset_error::{ChangeSetError, RollbackError, SqlGenerationError};
pub use changeset_id::ChangeSetId;
pub use checksum::{Checksum, ChecksumVersion};
pub use database_properties::DatabaseProperties;
pub use drop_all::drop_all;
pub use error::Error;
pub use event::Event;
pub use file_content::FileError;
pub use filter::FilterReason;
pub use generate::{GeneratedFormat, generate_changelog};
pub use history::{History, HistoryRow};
pub use inspect::{
    HeldLock, calculate_checksum, history, list_locks, status, tag_exists, unexpected_changesets, validate,
};
pub use load_error::{LoadError, Location};
pub use locations::Locations;
pub use lock::{Lock, LockOptions};
pub use maintenance::{clear_checksums, release_locks, tag};
pub use modify_sql::ModifySqlError;
pub use options::{MissingProperty, Options, TagVersion};
pub use plan::{PendingChangeSet, Plan, RunReason, plan, plan_to};
pub use postgres_error::{PostgresError, StatementError};
pub use precondition_error::{ConditionError, PreconditionError};
pub use properties::parse_file as parse_properties;
pub use report::{Outcome, Report};
pub use rollback::{rollback, rollback_count, rollback_to_tag};
pub use rollback_plan::plan_rollback;
pub use script::{ScriptHeader, changelog_sync_sql, rollback_sql, update_sql};
pub use search_path::{DuplicateFiles, SearchPath};
pub use source::{DirectorySource, EmbeddedSource, MAX_FILE_BYTES, Source, SourceError};
pub use sql::DataTypeError;
pub use target::{RollbackTarget, UpdateTarget};
pub use update::{
    changelog_sync, check_up_to_date, mark_next_changeset_ran, update, update_testing_rollback, update_to,
};
pub use validation_error::{ChecksumMismatch, ValidationError};
pub use validation_problem::ValidationProblem;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
