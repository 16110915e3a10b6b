//! Each command: which function of the library it is, and what it prints.

use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

use liquibase_compat::{
    ChangeSetId, Event, Lock, LockOptions, Outcome, Report, RollbackTarget, ScriptHeader, UpdateTarget,
};
use tokio_postgres::Client;

use super::arguments::{ChangeSetOption, Command, ForceOption};
use super::error::Error;
use super::{generate, text};
use crate::cli::output;
use crate::database::migrations::{self, LoadedChangelog};
use crate::database::{self, Database};

/// What goes to standard output, kept until the command has ended: it goes out also when the command fails.
#[derive(Debug, Default)]
pub struct Console {
    /// The text so far.
    pub output: String,
}

/// What is to be done.
#[derive(Debug)]
pub struct Work<'a> {
    /// The command.
    pub command: &'a Command,
    /// The changelog, where the command needs one.
    pub chosen: Option<LoadedChangelog>,
    /// The name of the database; none is one the connection gives.
    pub url: Option<String>,
    /// Whether it is the appliance's database with the changelog the appliance would apply: then its own tables belong to it.
    pub own: bool,
    /// For a server that is not up yet.
    pub patience: Duration,
    /// How long to wait for another migration; none is Liquibase's five minutes.
    pub lock_wait: Option<Duration>,
    /// The file that `generate-changelog` writes; none is standard output.
    pub generated: Option<&'a str>,
}

/// A command under way.
struct Session<'a> {
    client: Client,
    chosen: Option<LoadedChangelog>,
    lock_options: LockOptions,
    /// `jdbc:postgresql://host:port/name`
    url: String,
    user: String,
    console: &'a mut Console,
}

/// Does it.
///
/// # Errors
/// What the command fails with; what was to be printed before is in the console.
pub async fn execute(database: Database, work: Work<'_>, console: &mut Console) -> Result<(), Error> {
    let mut chosen = work.chosen.map(|chosen| chosen.with_observer(tell));
    if let (true, Command::Update, Some(chosen)) = (work.own, work.command, &chosen) {
        let migrated = migrations::run(&database, chosen, work.patience).await?;
        console.output.push_str(&migrated.to_string());
        return Ok(());
    }
    let client = database.connect(work.patience).await?;
    let failed = |source| database::Error::Statement { what: "say who is logged in", source };
    let user: String = client.query_one("SELECT current_user::text", &[]).await.map_err(failed)?.get(0);
    let mut lock_options = LockOptions::default();
    lock_options.timeout = work.lock_wait.unwrap_or(lock_options.timeout);
    let url = work.url.unwrap_or_else(|| format!("jdbc:postgresql://{}", database.address()));
    let mut session = Session { client, chosen: chosen.take(), lock_options, url, user, console };
    match work.command {
        Command::History
        | Command::Tag(_)
        | Command::TagExists(_)
        | Command::ClearChecksums
        | Command::ListLocks
        | Command::ReleaseLocks
        | Command::DropAll(_) => session.without_changelog(work.command).await,
        Command::GenerateChangelog(option) => {
            generate::run(&mut session.client, option, work.generated, session.console).await
        }
        Command::Status(verbose) => session.status(verbose.verbose || work.own, work.own).await,
        command => session.with_changelog(command).await,
    }
}

/// Tells what happens as it happens.
fn tell(event: &Event<'_>) {
    match event {
        // Nobody reading standard output is no reason to end a migration.
        Event::Output { message, target: "STDOUT" } => drop(output::print(&format!("{message}\n"))),
        event => output::note(&text::event(event)),
    }
}

impl Session<'_> {
    fn database_name(&self) -> String {
        format!("{}@{}", self.user, self.url)
    }

    fn print(&mut self, line: &str) {
        self.console.output.push_str(line);
        self.console.output.push('\n');
    }

    async fn without_changelog(&mut self, command: &Command) -> Result<(), Error> {
        let name = self.database_name();
        match command {
            Command::History => {
                let rows = liquibase_compat::history(&self.client).await?;
                self.console.output.push_str(&text::history(&rows, &self.url));
            }
            Command::Tag(option) => {
                let mut lock = Lock::acquire(&mut self.client, &self.lock_options).await?;
                liquibase_compat::tag(&mut lock, option.tag()).await?;
                lock.release().await?;
                output::note(&format!("Successfully tagged '{name}'"));
            }
            Command::TagExists(option) => {
                let exists = liquibase_compat::tag_exists(&self.client, option.tag()).await?;
                let verdict = if exists { "already exists" } else { "does not exist" };
                output::note(&format!("The tag '{}' {verdict} in '{name}'.", option.tag()));
            }
            Command::ClearChecksums => {
                let mut lock = Lock::acquire(&mut self.client, &self.lock_options).await?;
                liquibase_compat::clear_checksums(&mut lock).await?;
                lock.release().await?;
            }
            Command::ListLocks => {
                let held = liquibase_compat::list_locks(&self.client).await?;
                self.print(&format!("Database change log locks for {name}"));
                self.print(&match held {
                    Some(held) => format!(" - {} at {}", held.holder, held.since),
                    None => " - No locks".to_owned(),
                });
            }
            Command::ReleaseLocks => {
                liquibase_compat::release_locks(&mut self.client).await?;
                output::note(&format!("Successfully released all database change log locks for '{name}'"));
            }
            Command::DropAll(option) => self.drop_all(option).await?,
            _ => {}
        }
        Ok(())
    }

    async fn drop_all(&mut self, option: &ForceOption) -> Result<(), Error> {
        let name = self.database_name();
        if !option.force && (option.require_force || !confirmed(&name)) {
            return Err(Error::NotDropped);
        }
        let mut lock = Lock::acquire(&mut self.client, &self.lock_options).await?;
        liquibase_compat::drop_all(&mut lock).await?;
        lock.release().await?;
        output::note(&format!("All objects dropped from {name}"));
        Ok(())
    }

    async fn status(&mut self, verbose: bool, own: bool) -> Result<(), Error> {
        let Some(chosen) = self.chosen.take() else { return Ok(()) };
        let pending = liquibase_compat::status(&self.client, &chosen.changelog, &chosen.options).await?;
        let name = self.database_name();
        if pending.is_empty() {
            self.print(&format!("{name} is up to date"));
        } else {
            self.print(&format!("{} changesets have not been applied to {name}", pending.len()));
        }
        if verbose {
            pending.iter().for_each(|pending| self.print(&format!("     {}", pending.changeset)));
        }
        if own {
            let tables = migrations::appliance_status(&mut self.client).await?;
            self.console.output.push_str(&tables);
        }
        Ok(())
    }

    async fn with_changelog(&mut self, command: &Command) -> Result<(), Error> {
        let Some(chosen) = self.chosen.take() else { return Ok(()) };
        match command {
            Command::Validate => {
                liquibase_compat::validate(&mut self.client, &chosen.changelog, &chosen.options).await?;
                output::note("No validation errors found.");
            }
            Command::CalculateChecksum(option) => {
                let id = identifier(option)?;
                let sum = liquibase_compat::calculate_checksum(&self.client, &chosen.changelog, &id).await?;
                self.print(&sum.to_string());
            }
            Command::UnexpectedChangesets(option) => self.unexpected(&chosen, option.verbose).await?,
            command => match Direction::of(command)? {
                Direction::Forward { title, target } => self.update(&chosen, title, &target).await?,
                Direction::ForwardSql(target) => self.update_sql(&chosen, &target).await?,
                Direction::TestingRollback => self.testing_rollback(&chosen).await?,
                Direction::Back(target) => self.rollback(&chosen, &target).await?,
                Direction::BackSql(target) => self.rollback_sql(&chosen, &target).await?,
                Direction::Record(target) => self.record(&chosen, &target).await?,
                Direction::RecordSql(target) => self.record_sql(&chosen, &target).await?,
                Direction::Nowhere => {}
            },
        }
        Ok(())
    }

    async fn unexpected(&mut self, chosen: &LoadedChangelog, verbose: bool) -> Result<(), Error> {
        let found = liquibase_compat::unexpected_changesets(&self.client, &chosen.changelog, &chosen.options).await?;
        let name = self.database_name();
        if found.is_empty() {
            self.print(&format!("{name} contains no unexpected changes!"));
        } else {
            self.print(&format!("{} unexpected changes were found in {name}", found.len()));
        }
        if verbose {
            found.iter().for_each(|changeset| self.print(&format!("     {changeset}")));
        }
        Ok(())
    }

    async fn update(&mut self, chosen: &LoadedChangelog, title: &str, target: &UpdateTarget) -> Result<(), Error> {
        warn_of_unknown_tag(chosen, target);
        let mut lock = Lock::acquire(&mut self.client, &self.lock_options).await?;
        let done = liquibase_compat::update_to(&mut lock, &chosen.changelog, &chosen.options, target).await;
        let released = lock.release().await;
        self.tell_update(chosen, title, done)?;
        Ok(released?)
    }

    async fn testing_rollback(&mut self, chosen: &LoadedChangelog) -> Result<(), Error> {
        let mut lock = Lock::acquire(&mut self.client, &self.lock_options).await?;
        let done = liquibase_compat::update_testing_rollback(&mut lock, &chosen.changelog, &chosen.options).await;
        let released = lock.release().await;
        self.tell_update(chosen, "Update-testing-rollback", done)?;
        Ok(released?)
    }

    /// Prints what an update did, also one that failed on the way.
    fn tell_update(
        &mut self,
        chosen: &LoadedChangelog,
        title: &str,
        done: Result<Report, liquibase_compat::Error>,
    ) -> Result<(), Error> {
        let total = chosen.changelog.len();
        match done {
            Ok(report) => {
                output::note(&match report.changesets.is_empty() {
                    true => "Database is up to date, no changesets to execute".to_owned(),
                    false => format!("Liquibase: {title} has been successful. Rows affected: {}", report.run_count()),
                });
                self.console.output.push_str(&text::summary(&report, total));
                Ok(())
            }
            Err(error) => {
                if let liquibase_compat::Error::ChangeSet { report, .. } = &error {
                    self.console.output.push_str(&text::summary(report, total));
                }
                Err(error.into())
            }
        }
    }

    async fn rollback(&mut self, chosen: &LoadedChangelog, target: &RollbackTarget) -> Result<(), Error> {
        let mut lock = Lock::acquire(&mut self.client, &self.lock_options).await?;
        let done = liquibase_compat::rollback(&mut lock, &chosen.changelog, &chosen.options, target).await;
        let released = lock.release().await;
        done?;
        Ok(released?)
    }

    async fn record(&mut self, chosen: &LoadedChangelog, target: &UpdateTarget) -> Result<(), Error> {
        warn_of_unknown_tag(chosen, target);
        let mut lock = Lock::acquire(&mut self.client, &self.lock_options).await?;
        let done = liquibase_compat::changelog_sync(&mut lock, &chosen.changelog, &chosen.options, target).await;
        let released = lock.release().await;
        let report = done?;
        let recorded = report.changesets.iter().filter(|(_, outcome)| *outcome == Outcome::Executed).count();
        tracing::info!(recorded, "recorded as run");
        Ok(released?)
    }

    async fn update_sql(&mut self, chosen: &LoadedChangelog, target: &UpdateTarget) -> Result<(), Error> {
        warn_of_unknown_tag(chosen, target);
        let LoadedChangelog { changelog, options, .. } = chosen;
        let header = self.script_header(chosen);
        let script = liquibase_compat::update_sql(&mut self.client, changelog, options, target, &header).await?;
        self.console.output.push_str(&script);
        Ok(())
    }

    async fn record_sql(&mut self, chosen: &LoadedChangelog, target: &UpdateTarget) -> Result<(), Error> {
        warn_of_unknown_tag(chosen, target);
        let LoadedChangelog { changelog, options, .. } = chosen;
        let header = self.script_header(chosen);
        let script =
            liquibase_compat::changelog_sync_sql(&mut self.client, changelog, options, target, &header).await?;
        self.console.output.push_str(&script);
        Ok(())
    }

    async fn rollback_sql(&mut self, chosen: &LoadedChangelog, target: &RollbackTarget) -> Result<(), Error> {
        let LoadedChangelog { changelog, options, .. } = chosen;
        let header = self.script_header(chosen);
        let script = liquibase_compat::rollback_sql(&mut self.client, changelog, options, target, &header).await?;
        self.console.output.push_str(&script);
        Ok(())
    }

    fn script_header(&self, chosen: &LoadedChangelog) -> ScriptHeader {
        let ran_at = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
        ScriptHeader::new(chosen.path.clone(), ran_at, self.database_name())
    }
}

/// Which way a command goes, and how far.
enum Direction {
    Forward {
        title: &'static str,
        target: UpdateTarget,
    },
    ForwardSql(UpdateTarget),
    TestingRollback,
    Back(RollbackTarget),
    BackSql(RollbackTarget),
    Record(UpdateTarget),
    RecordSql(UpdateTarget),
    /// A command that goes neither way.
    Nowhere,
}

impl Direction {
    fn of(command: &Command) -> Result<Self, Error> {
        let forward = |title, target| Self::Forward { title, target };
        Ok(match command {
            Command::Update => forward("Update", UpdateTarget::All),
            Command::UpdateCount(option) => forward("Update-count", UpdateTarget::Count(option.count())),
            Command::UpdateToTag(option) => forward("Update-to-tag", UpdateTarget::Tag(option.tag().to_owned())),
            Command::UpdateSql => Self::ForwardSql(UpdateTarget::All),
            Command::UpdateCountSql(option) => Self::ForwardSql(UpdateTarget::Count(option.count())),
            Command::UpdateToTagSql(option) => Self::ForwardSql(UpdateTarget::Tag(option.tag().to_owned())),
            Command::UpdateTestingRollback => Self::TestingRollback,
            Command::Rollback(option) => Self::Back(RollbackTarget::Tag(option.tag().to_owned())),
            Command::RollbackCount(option) => Self::Back(RollbackTarget::Count(option.count())),
            Command::RollbackToDate(option) => Self::Back(RollbackTarget::Date(moment(option.date())?)),
            Command::RollbackSql(option) => Self::BackSql(RollbackTarget::Tag(option.tag().to_owned())),
            Command::RollbackCountSql(option) => Self::BackSql(RollbackTarget::Count(option.count())),
            Command::RollbackToDateSql(option) => Self::BackSql(RollbackTarget::Date(moment(option.date())?)),
            Command::ChangelogSync => Self::Record(UpdateTarget::All),
            Command::ChangelogSyncToTag(option) => Self::Record(UpdateTarget::Tag(option.tag().to_owned())),
            Command::MarkNextChangesetRan => Self::Record(UpdateTarget::Count(1)),
            Command::ChangelogSyncSql => Self::RecordSql(UpdateTarget::All),
            Command::ChangelogSyncToTagSql(option) => Self::RecordSql(UpdateTarget::Tag(option.tag().to_owned())),
            Command::MarkNextChangesetRanSql => Self::RecordSql(UpdateTarget::Count(1)),
            _ => Self::Nowhere,
        })
    }
}

/// Liquibase goes to the end of the changelog for a tag that nothing sets; here at least somebody hears of it.
fn warn_of_unknown_tag(chosen: &LoadedChangelog, target: &UpdateTarget) {
    if let UpdateTarget::Tag(tag) = target
        && !chosen.changelog.sets_tag(tag)
    {
        output::warn(&format!("no changeset of {} sets the tag '{tag}': going to its end", chosen.path));
    }
}

/// `2026-01-31 10:00:00`, as histories are compared with.
fn moment(text: &str) -> Result<String, Error> {
    let wrong = || Error::Date(text.to_owned());
    let spaced = text.trim().replacen('T', " ", 1);
    if let Ok(date) = spaced.parse::<jiff::civil::Date>()
        && !spaced.contains(' ')
    {
        return Ok(format!("{date} 00:00:00"));
    }
    let time: jiff::civil::DateTime = spaced.parse().map_err(|_| wrong())?;
    Ok(time.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string())
}

fn identifier(option: &ChangeSetOption) -> Result<ChangeSetId, Error> {
    if let Some(text) = &option.changeset_identifier {
        let parts: Vec<&str> = text.split("::").collect();
        let [file, id, author] = parts[..] else { return Err(Error::ChangeSet) };
        return Ok(ChangeSetId { file: file.to_owned(), id: id.to_owned(), author: author.to_owned() });
    }
    match (&option.changeset_path, &option.changeset_id, &option.changeset_author) {
        (Some(file), Some(id), Some(author)) => {
            Ok(ChangeSetId { file: file.clone(), id: id.clone(), author: author.clone() })
        }
        _ => Err(Error::ChangeSet),
    }
}

/// Asks on a terminal. Elsewhere there is nobody to ask, and the command means what it says, as Liquibase's does.
fn confirmed(name: &str) -> bool {
    if !io::stdin().is_terminal() {
        return true;
    }
    let mut stderr = io::stderr().lock();
    // When standard error is closed nobody can answer, and the answer below is no.
    let _ = write!(stderr, "Drop every table, view and sequence of {name}? [y/N] ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_every_form() {
        for (text, stored) in [
            ("2026-01-31", "2026-01-31 00:00:00"),
            ("2026-01-31 10:00:00", "2026-01-31 10:00:00.000000"),
            ("2026-01-31T10:00:00", "2026-01-31 10:00:00.000000"),
        ] {
            assert_eq!(moment(text).unwrap(), stored);
        }
        assert!(moment("yesterday").is_err());
    }
}
