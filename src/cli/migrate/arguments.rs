//! The command line of `migrate`: Liquibase's commands and options, under Liquibase's names.

use std::sync::LazyLock;

use clap::{Args, Subcommand};

use super::liquibase_option::Flags;

/// Options of every command, before or after its name.
#[derive(Debug, Args)]
pub struct Common {
    #[command(flatten)]
    pub liquibase: Flags,
    /// A value for ${NAME} in changelogs; may be repeated
    #[arg(short = 'D', global = true, value_name = "NAME=VALUE")]
    pub define: Vec<String>,
    /// Read this configuration file instead of the default one (without --url)
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<std::path::PathBuf>,
    /// The data directory of the appliance (without --url)
    #[arg(long, global = true, value_name = "DIRECTORY")]
    pub data_dir: Option<String>,
    /// Set one key of the configuration (without --url); may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// The option of commands that need a tag.
#[derive(Debug, Args)]
pub struct TagOption {
    /// The tag
    #[arg(long, required_unless_present = "bare_tag")]
    tag: Option<String>,
    /// The value without the name of the option, which Liquibase accepts too
    #[arg(value_name = "TAG", hide = true, conflicts_with = "tag")]
    bare_tag: Option<String>,
}

impl TagOption {
    /// The value in either form; the parser requires one of them.
    pub fn tag(&self) -> &str {
        self.tag.as_deref().or(self.bare_tag.as_deref()).unwrap_or_default()
    }
}

/// The options of commands that roll back to a tag.
#[derive(Debug, Args)]
pub struct RollbackTagOption {
    #[command(flatten)]
    tag: TagOption,
    /// Which row to go back to if several have the tag: OLDEST or NEWEST [default: OLDEST]
    #[arg(long, alias = "tagVersion")]
    tag_version: Option<String>,
}

impl RollbackTagOption {
    /// The tag.
    pub fn tag(&self) -> &str {
        self.tag.tag()
    }
}

/// The option of commands that need a number of changesets.
#[derive(Debug, Args)]
pub struct CountOption {
    /// How many changesets
    #[arg(long, required_unless_present = "bare_count")]
    count: Option<usize>,
    /// The value without the name of the option, which Liquibase accepts too
    #[arg(value_name = "COUNT", hide = true, conflicts_with = "count")]
    bare_count: Option<usize>,
}

impl CountOption {
    /// The value in either form; the parser requires one of them.
    pub fn count(&self) -> usize {
        self.count.or(self.bare_count).unwrap_or_default()
    }
}

/// The option of commands that need a date.
#[derive(Debug, Args)]
pub struct DateOption {
    /// A date or time: 2026-01-31, "2026-01-31 10:00:00" or 2026-01-31T10:00:00
    #[arg(long, required_unless_present = "bare_date")]
    date: Option<String>,
    /// The value without the name of the option, which Liquibase accepts too
    #[arg(value_name = "DATE", hide = true, conflicts_with = "date")]
    bare_date: Option<String>,
}

impl DateOption {
    /// The value in either form; the parser requires one of them.
    pub fn date(&self) -> &str {
        self.date.as_deref().or(self.bare_date.as_deref()).unwrap_or_default()
    }
}

/// The option of commands that can list changesets.
#[derive(Debug, Args)]
pub struct VerboseOption {
    /// List the changesets
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub verbose: bool,
}

/// The options that identify a changeset.
#[derive(Debug, Args)]
pub struct ChangeSetOption {
    /// The changeset, as FILE::ID::AUTHOR
    #[arg(long, alias = "changesetIdentifier", required_unless_present = "changeset_id")]
    pub changeset_identifier: Option<String>,
    /// The changeset's file
    #[arg(long, alias = "changesetPath")]
    pub changeset_path: Option<String>,
    /// The changeset's id
    #[arg(long, alias = "changesetId")]
    pub changeset_id: Option<String>,
    /// The changeset's author
    #[arg(long, alias = "changesetAuthor")]
    pub changeset_author: Option<String>,
}

/// The options of commands that destroy data.
#[derive(Debug, Args)]
pub struct ForceOption {
    /// Drop without asking
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub force: bool,
    /// Fail without --force
    #[arg(long, alias = "requireForce", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub require_force: bool,
}

/// The options of `generate-changelog`.
#[derive(Debug, Args)]
pub struct AuthorOption {
    /// The author of the changesets [default: the role, then "(generated)"]
    #[arg(long)]
    pub author: Option<String>,
    /// Overwrite an existing file
    #[arg(long, alias = "overwriteOutputFile", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub overwrite_output_file: bool,
}

/// The commands of Liquibase.
#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "COMMAND", subcommand_help_heading = "Commands")]
pub enum Command {
    /// Run the changesets that have not run yet
    Update,
    /// Show the SQL of update
    UpdateSql,
    /// Run the next COUNT changesets
    UpdateCount(CountOption),
    /// Show the SQL of update-count
    UpdateCountSql(CountOption),
    /// Run the changesets up to the one that sets a tag
    UpdateToTag(TagOption),
    /// Show the SQL of update-to-tag
    UpdateToTagSql(TagOption),
    /// Update, roll the new changesets back, and update again
    UpdateTestingRollback,
    /// Roll back everything that ran after a tag was set
    Rollback(RollbackTagOption),
    /// Show the SQL of rollback
    RollbackSql(RollbackTagOption),
    /// Roll back the newest COUNT changesets
    RollbackCount(CountOption),
    /// Show the SQL of rollback-count
    RollbackCountSql(CountOption),
    /// Roll back everything that ran after a date or time
    RollbackToDate(DateOption),
    /// Show the SQL of rollback-to-date
    RollbackToDateSql(DateOption),
    /// Show how many changesets have not run yet; change nothing
    Status(VerboseOption),
    /// List the changesets that have run
    History,
    /// Check the changelog against the database; change nothing
    Validate,
    /// Tag the newest changeset that has run
    Tag(TagOption),
    /// Show whether a tag is set
    TagExists(TagOption),
    /// Record all changesets as run without running them
    ChangelogSync,
    /// Show the SQL of changelog-sync
    ChangelogSyncSql,
    /// Record the changesets up to the one that sets a tag as run without running them
    ChangelogSyncToTag(TagOption),
    /// Show the SQL of changelog-sync-to-tag
    ChangelogSyncToTagSql(TagOption),
    /// Record the next changeset as run without running it
    MarkNextChangesetRan,
    /// Show the SQL of mark-next-changeset-ran
    MarkNextChangesetRanSql,
    /// Clear all checksums; the next update computes them again
    ClearChecksums,
    /// Compute the checksum of a changeset
    CalculateChecksum(ChangeSetOption),
    /// Show how many changesets have run that the changelog does not contain
    UnexpectedChangesets(VerboseOption),
    /// Show who holds the migration lock
    ListLocks,
    /// Release a migration lock that was left by a process that has ended
    ReleaseLocks,
    /// Drop every table, view and sequence of the schema; asks on a terminal
    DropAll(ForceOption),
    /// Write a changelog that creates the current schema
    GenerateChangelog(AuthorOption),
}

impl Command {
    /// Its name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::UpdateSql => "update-sql",
            Self::UpdateCount(_) => "update-count",
            Self::UpdateCountSql(_) => "update-count-sql",
            Self::UpdateToTag(_) => "update-to-tag",
            Self::UpdateToTagSql(_) => "update-to-tag-sql",
            Self::UpdateTestingRollback => "update-testing-rollback",
            Self::Rollback(_) => "rollback",
            Self::RollbackSql(_) => "rollback-sql",
            Self::RollbackCount(_) => "rollback-count",
            Self::RollbackCountSql(_) => "rollback-count-sql",
            Self::RollbackToDate(_) => "rollback-to-date",
            Self::RollbackToDateSql(_) => "rollback-to-date-sql",
            Self::Status(_) => "status",
            Self::History => "history",
            Self::Validate => "validate",
            Self::Tag(_) => "tag",
            Self::TagExists(_) => "tag-exists",
            Self::ChangelogSync => "changelog-sync",
            Self::ChangelogSyncSql => "changelog-sync-sql",
            Self::ChangelogSyncToTag(_) => "changelog-sync-to-tag",
            Self::ChangelogSyncToTagSql(_) => "changelog-sync-to-tag-sql",
            Self::MarkNextChangesetRan => "mark-next-changeset-ran",
            Self::MarkNextChangesetRanSql => "mark-next-changeset-ran-sql",
            Self::ClearChecksums => "clear-checksums",
            Self::CalculateChecksum(_) => "calculate-checksum",
            Self::UnexpectedChangesets(_) => "unexpected-changesets",
            Self::ListLocks => "list-locks",
            Self::ReleaseLocks => "release-locks",
            Self::DropAll(_) => "drop-all",
            Self::GenerateChangelog(_) => "generate-changelog",
        }
    }

    /// The `--tag-version` argument.
    pub fn tag_version(&self) -> Option<&str> {
        match self {
            Self::Rollback(option) | Self::RollbackSql(option) => option.tag_version.as_deref(),
            _ => None,
        }
    }

    /// The names of all commands.
    pub fn names() -> &'static [String] {
        static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
            let all = Command::augment_subcommands(clap::Command::new("migrate"));
            all.get_subcommands().map(|command| command.get_name().to_owned()).collect()
        });
        &NAMES
    }

    /// Whether it shows something and changes nothing.
    pub fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::UpdateSql
                | Self::UpdateCountSql(_)
                | Self::UpdateToTagSql(_)
                | Self::RollbackSql(_)
                | Self::RollbackCountSql(_)
                | Self::RollbackToDateSql(_)
                | Self::Status(_)
                | Self::History
                | Self::Validate
                | Self::TagExists(_)
                | Self::ChangelogSyncSql
                | Self::ChangelogSyncToTagSql(_)
                | Self::MarkNextChangesetRanSql
                | Self::CalculateChecksum(_)
                | Self::UnexpectedChangesets(_)
                | Self::ListLocks
                | Self::GenerateChangelog(_)
        )
    }

    /// Whether it first finds out without a lock that there is nothing to do.
    pub fn checks_before_it_locks(&self) -> bool {
        matches!(self, Self::Update | Self::UpdateCount(_) | Self::UpdateToTag(_))
    }

    /// Whether it needs a changelog.
    pub fn reads_changelog(&self) -> bool {
        !matches!(
            self,
            Self::History
                | Self::Tag(_)
                | Self::TagExists(_)
                | Self::ClearChecksums
                | Self::ListLocks
                | Self::ReleaseLocks
                | Self::DropAll(_)
                | Self::GenerateChangelog(_)
        )
    }
}
