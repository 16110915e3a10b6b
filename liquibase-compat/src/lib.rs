//! Liquibase changelogs on PostgreSQL, without Liquibase.
//!
//! Reads a changelog, compares it with the history in DATABASECHANGELOG, and brings the database up to date: with the same tables,
//! the same rows and the same checksums as Liquibase 4.28, so that both can be used on one database in turn.
//!
//! Three stages, each of them usable alone: [`Changelog::load`] reads (no database), [`plan()`] decides (no database, no side effect),
//! [`update`] carries out. What is done is done under a [`Lock`], which also lends out its connection for other migrations.
//!
//! ```no_run
//! use liquibase_compat::{Changelog, DirectorySource, Lock, LockOptions, Options, update};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let source = DirectorySource::new("migrations")?;
//! let options = Options { contexts: vec!["prod".to_owned()], ..Options::default() };
//! let changelog = Changelog::load(&source, "db.changelog-master.xml", &options)?;
//!
//! let (mut client, connection) =
//!     tokio_postgres::connect("host=localhost user=postgres", tokio_postgres::NoTls).await?;
//! tokio::spawn(connection);
//!
//! let mut lock = Lock::acquire(&mut client, &LockOptions::default()).await?;
//! let report = update(&mut lock, &changelog, &options).await?;
//! lock.release().await?;
//! println!("{} changesets ran, {} had run before", report.run(), report.previously_run);
//! # Ok(())
//! # }
//! ```
//!
//! A plan can be looked at without a database:
//!
//! ```
//! use liquibase_compat::{Changelog, EmbeddedSource, History, Options, Reason, plan};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let source = EmbeddedSource::of_texts(&[(
//!     "log.xml",
//!     r#"<databaseChangeLog><changeSet id="1" author="me"><sql>select 1</sql></changeSet></databaseChangeLog>"#,
//! )]);
//! let changelog = Changelog::load(&source, "log.xml", &Options::default())?;
//! let plan = plan(&changelog, &History::default(), &Options::default())?;
//! assert_eq!(plan.pending()[0].changeset.to_string(), "log.xml::1::me");
//! assert_eq!(plan.pending()[0].reason, Reason::New);
//! # Ok(())
//! # }
//! ```

mod apply;
mod attachment;
mod change;
mod changelog;
mod changeset;
mod changeset_id;
mod checksum;
mod drop_all;
mod error;
mod expression;
mod field;
mod format;
#[cfg(fuzzing)]
pub mod fuzzing;
mod generate;
mod history;
mod inspect;
mod lock;
mod modify_sql;
mod node;
mod options;
mod path;
mod plan;
mod precondition;
mod properties;
mod report;
mod rollback;
mod script;
mod search_path;
mod session;
mod source;
mod sql;
mod update;
mod upkeep;

pub use changelog::Changelog;
pub use changeset_id::ChangeSetId;
pub use checksum::{Checksum, ChecksumVersion};
pub use drop_all::drop_all;
pub use error::{ChecksumMismatch, Error, LoadError, Place, ValidationError};
pub use generate::{GeneratedFormat, generate_changelog};
pub use history::{History, HistoryRow};
pub use inspect::{
    HeldLock, calculate_checksum, history, list_locks, status, tag_exists, unexpected_changesets, validate,
};
pub use lock::{Lock, LockOptions};
pub use options::{Event, Options};
pub use plan::{FilterReason, Pending, Plan, Reason, RollbackTarget, UpdateTarget, plan, plan_rollback, plan_to};
pub use properties::parse_file as parse_properties;
pub use report::{Outcome, Report};
pub use rollback::{rollback, rollback_count, rollback_to_tag};
pub use script::{Heading, changelog_sync_sql, rollback_sql, update_sql};
pub use search_path::SearchPath;
pub use source::{DirectorySource, EmbeddedSource, MAX_FILE_BYTES, Source, SourceError};
pub use update::{changelog_sync, mark_next_changeset_ran, update, update_testing_rollback, update_to};
pub use upkeep::{clear_checksums, release_locks, tag};

/// The README's example, so that it keeps compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
