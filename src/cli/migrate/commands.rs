//! Runs the commands: which function of the library each calls, and what it prints.

use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

use liquibase_compat::{ChangeSetId, Event, Outcome, Report, RollbackTarget, ScriptHeader, UpdateTarget};
use tokio_postgres::Client;

use super::arguments::{ChangeSetOption, Command, ForceOption};
use super::console::Console;
use super::settings::Settings;
use super::{generate, text};
use crate::cli::jdbc;
use crate::cli::migrate_error::Error;
use crate::cli::output;
use crate::database::migrations::{self, LoadedChangelog};
use crate::database::{self, Database};

/// A command and what it works on.
#[derive(Debug)]
pub struct Invocation<'a> {
    /// The command.
    pub command: &'a Command,
    /// The changelog, if the command needs one.
    pub changelog: Option<LoadedChangelog>,
    /// Whether it is the appliance's database with the changelog that the appliance applies; then `update` includes the appliance's
    /// own tables.
    pub is_own_database: bool,
    /// How long to wait for a server that is not up yet.
    pub connect_timeout: Duration,
    /// The options.
    pub settings: &'a Settings,
}

/// A command that is running.
struct Session<'a> {
    database: Database,
    client: Client,
    changelog: Option<LoadedChangelog>,
    settings: &'a Settings,
    /// `jdbc:postgresql://host:port/name`
    url: String,
    user: String,
    console: &'a mut Console,
}

/// Runs a command.
///
/// # Errors
/// The error of the command; the console has what it printed before.
pub async fn execute(database: Database, invocation: Invocation<'_>, console: &mut Console) -> Result<(), Error> {
    let mut loaded = invocation.changelog.map(|loaded| loaded.with_observer(print_event));
    if let (true, Command::Update, Some(loaded)) = (invocation.is_own_database, invocation.command, &loaded) {
        let migrated = migrations::run(&database, loaded, invocation.connect_timeout, None).await?;
        console.output.push_str(&migrated.to_string());
        return Ok(());
    }
    let client = match invocation.command.checks_before_it_locks() {
        true => database.connect_to_read(invocation.connect_timeout).await?,
        false => database.connect(invocation.connect_timeout).await?,
    };
    if let Some(loaded) = &mut loaded
        && let Some((changelog, options)) = loaded.for_database(&client).await?
    {
        (loaded.changelog, loaded.options) = (changelog, options);
    }
    let failed = |source| database::Error::Statement { what: "say who is logged in", source };
    let user: String = client.query_typed_one("SELECT current_user::text", &[]).await.map_err(failed)?.get(0);
    let url = jdbc::address(&database);
    let mut session =
        Session { database, client, changelog: loaded, settings: invocation.settings, url, user, console };
    match invocation.command {
        Command::History
        | Command::Tag(_)
        | Command::TagExists(_)
        | Command::ClearChecksums
        | Command::ListLocks
        | Command::ReleaseLocks
        | Command::DropAll(_) => session.without_changelog(invocation.command).await,
        Command::GenerateChangelog(option) => {
            generate::run(&mut session.client, option, invocation.settings, session.console).await
        }
        Command::Status(verbose) => {
            session.status(verbose.verbose || invocation.is_own_database, invocation.is_own_database).await
        }
        command => session.with_changelog(command).await,
    }
}

/// Prints an event of a run when it happens.
fn print_event(event: &Event<'_>) {
    match event {
        // A reader of standard output that has gone is not a reason to end a migration.
        Event::Output { message, target: "STDOUT" } => drop(output::print(&format!("{message}\n"))),
        event => output::print_message(&text::event(event)),
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
                let rows = liquibase_compat::history(&self.client, &self.settings.options).await?;
                self.console.output.push_str(&text::history(&rows, &self.url));
            }
            Command::Tag(option) => {
                let mut lock = self.database.lock(&mut self.client, &self.settings.lock).await?;
                liquibase_compat::tag(&mut lock, option.tag(), &self.settings.options).await?;
                lock.release().await?;
                output::print_message(&format!("Successfully tagged '{name}'"));
            }
            Command::TagExists(option) => {
                let exists = liquibase_compat::tag_exists(&self.client, option.tag(), &self.settings.options).await?;
                let verdict = if exists { "already exists" } else { "does not exist" };
                output::print_message(&format!("The tag '{}' {verdict} in '{name}'.", option.tag()));
            }
            Command::ClearChecksums => {
                let mut lock = self.database.lock(&mut self.client, &self.settings.lock).await?;
                liquibase_compat::clear_checksums(&mut lock, &self.settings.options).await?;
                lock.release().await?;
            }
            Command::ListLocks => {
                let held = liquibase_compat::list_locks(&self.client, &self.settings.options).await?;
                self.print(&format!("Database change log locks for {name}"));
                self.print(&match held {
                    Some(held) => format!(" - {} at {}", held.holder, held.since),
                    None => " - No locks".to_owned(),
                });
            }
            Command::ReleaseLocks => {
                liquibase_compat::release_locks(&mut self.client, &self.settings.options).await?;
                output::print_message(&format!("Successfully released all database change log locks for '{name}'"));
            }
            Command::DropAll(option) => self.drop_all(option).await?,
            _ => {}
        }
        Ok(())
    }

    async fn drop_all(&mut self, option: &ForceOption) -> Result<(), Error> {
        let name = self.database_name();
        if !option.force && (option.require_force || !(self.settings.is_headless || confirm(&name))) {
            return Err(Error::NotDropped);
        }
        let mut lock = self.database.lock(&mut self.client, &self.settings.lock).await?;
        liquibase_compat::drop_all(&mut lock, &self.settings.options).await?;
        lock.release().await?;
        output::print_message(&format!("All objects dropped from {name}"));
        Ok(())
    }

    async fn status(&mut self, verbose: bool, is_own_database: bool) -> Result<(), Error> {
        let Some(loaded) = self.changelog.take() else { return Ok(()) };
        let pending = liquibase_compat::status(&self.client, &loaded.changelog, &loaded.options).await?;
        let name = self.database_name();
        if pending.is_empty() {
            self.print(&format!("{name} is up to date"));
        } else {
            let are = if pending.len() == 1 { "changeset has" } else { "changesets have" };
            self.print(&format!("{} {are} not been applied to {name}", pending.len()));
        }
        if verbose {
            pending.iter().for_each(|pending| self.print(&format!("     {}", pending.changeset)));
        }
        if is_own_database {
            let tables = migrations::appliance_status(&mut self.client).await?;
            self.console.output.push_str(&tables);
        }
        Ok(())
    }

    async fn with_changelog(&mut self, command: &Command) -> Result<(), Error> {
        let Some(loaded) = self.changelog.take() else { return Ok(()) };
        match command {
            Command::Validate => {
                liquibase_compat::validate(&mut self.client, &loaded.changelog, &loaded.options).await?;
                output::print_message("No validation errors found.");
            }
            Command::CalculateChecksum(option) => {
                let id = changeset_id(option)?;
                let sum =
                    liquibase_compat::calculate_checksum(&self.client, &loaded.changelog, &id, &loaded.options).await?;
                self.print(&sum.to_string());
            }
            Command::UnexpectedChangesets(option) => self.unexpected_changesets(&loaded, option.verbose).await?,
            command => match Operation::of(command)? {
                Operation::Update { title, target } => self.update(&loaded, title, &target).await?,
                Operation::UpdateSql(target) => self.update_sql(&loaded, &target).await?,
                Operation::TestRollback => self.testing_rollback(&loaded).await?,
                Operation::Rollback(target) => self.rollback(&loaded, &target).await?,
                Operation::RollbackSql(target) => self.rollback_sql(&loaded, &target).await?,
                Operation::Sync(target) => self.sync(&loaded, &target).await?,
                Operation::SyncSql(target) => self.sync_sql(&loaded, &target).await?,
                Operation::None => {}
            },
        }
        Ok(())
    }

    async fn unexpected_changesets(&mut self, loaded: &LoadedChangelog, verbose: bool) -> Result<(), Error> {
        let found = liquibase_compat::unexpected_changesets(&self.client, &loaded.changelog, &loaded.options).await?;
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

    async fn update(&mut self, loaded: &LoadedChangelog, title: &str, target: &UpdateTarget) -> Result<(), Error> {
        warn_about_unknown_tag(loaded, target);
        let (changelog, options) = (&loaded.changelog, &loaded.options);
        if let Some(report) = liquibase_compat::check_up_to_date(&self.client, changelog, options, target).await? {
            return self.print_update(loaded, title, Ok(report));
        }
        let mut lock = self.database.lock(&mut self.client, &self.settings.lock).await?;
        let done = liquibase_compat::update_to(&mut lock, &loaded.changelog, &loaded.options, target).await;
        let released = lock.release().await;
        self.print_update(loaded, title, done)?;
        Ok(released?)
    }

    async fn testing_rollback(&mut self, loaded: &LoadedChangelog) -> Result<(), Error> {
        let mut lock = self.database.lock(&mut self.client, &self.settings.lock).await?;
        let (changelog, options, shows_summary) = (&loaded.changelog, &loaded.options, self.settings.shows_summary);
        // Before the messages of what follows.
        let print_first = |report: &Report| {
            if shows_summary {
                // A reader of standard output that has gone is not a reason to end a migration.
                let _ = output::print(&text::summary(report, changelog.len()));
            }
        };
        let done = liquibase_compat::update_testing_rollback(&mut lock, changelog, options, print_first).await;
        let released = lock.release().await;
        self.print_update(loaded, "Update-testing-rollback", done)?;
        Ok(released?)
    }

    /// Prints what an update did, also if it failed before its end.
    fn print_update(
        &mut self,
        loaded: &LoadedChangelog,
        title: &str,
        done: Result<Report, liquibase_compat::Error>,
    ) -> Result<(), Error> {
        let total = loaded.changelog.len();
        match done {
            Ok(report) => {
                output::print_message(&match report.changesets.is_empty() {
                    true => "Database is up to date, no changesets to execute".to_owned(),
                    false => format!("Liquibase: {title} has been successful. Rows affected: {}", report.run_count()),
                });
                self.print_summary(&report, total);
                Ok(())
            }
            Err(error) => {
                if let liquibase_compat::Error::ChangeSet { report, .. } = &error {
                    self.print_summary(report, total);
                }
                Err(error.into())
            }
        }
    }

    fn print_summary(&mut self, report: &Report, total: usize) {
        if self.settings.shows_summary {
            self.console.output.push_str(&text::summary(report, total));
        }
    }

    async fn rollback(&mut self, loaded: &LoadedChangelog, target: &RollbackTarget) -> Result<(), Error> {
        let mut lock = self.database.lock(&mut self.client, &self.settings.lock).await?;
        let done = liquibase_compat::rollback(&mut lock, &loaded.changelog, &loaded.options, target).await;
        let released = lock.release().await;
        done?;
        Ok(released?)
    }

    async fn sync(&mut self, loaded: &LoadedChangelog, target: &UpdateTarget) -> Result<(), Error> {
        warn_about_unknown_tag(loaded, target);
        let mut lock = self.database.lock(&mut self.client, &self.settings.lock).await?;
        let done = liquibase_compat::changelog_sync(&mut lock, &loaded.changelog, &loaded.options, target).await;
        let released = lock.release().await;
        let report = done?;
        let recorded = report.changesets.iter().filter(|(_, outcome)| *outcome == Outcome::Executed).count();
        tracing::info!(recorded, "recorded as run");
        Ok(released?)
    }

    async fn update_sql(&mut self, loaded: &LoadedChangelog, target: &UpdateTarget) -> Result<(), Error> {
        warn_about_unknown_tag(loaded, target);
        let LoadedChangelog { changelog, options, .. } = loaded;
        let header = self.script_header(loaded);
        let script = liquibase_compat::update_sql(&mut self.client, changelog, options, target, &header).await?;
        self.console.output.push_str(&script);
        Ok(())
    }

    async fn sync_sql(&mut self, loaded: &LoadedChangelog, target: &UpdateTarget) -> Result<(), Error> {
        warn_about_unknown_tag(loaded, target);
        let LoadedChangelog { changelog, options, .. } = loaded;
        let header = self.script_header(loaded);
        let script =
            liquibase_compat::changelog_sync_sql(&mut self.client, changelog, options, target, &header).await?;
        self.console.output.push_str(&script);
        Ok(())
    }

    async fn rollback_sql(&mut self, loaded: &LoadedChangelog, target: &RollbackTarget) -> Result<(), Error> {
        let LoadedChangelog { changelog, options, .. } = loaded;
        let header = self.script_header(loaded);
        let script = liquibase_compat::rollback_sql(&mut self.client, changelog, options, target, &header).await?;
        self.console.output.push_str(&script);
        Ok(())
    }

    fn script_header(&self, loaded: &LoadedChangelog) -> ScriptHeader {
        let ran_at = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
        ScriptHeader::new(loaded.path.clone(), ran_at, self.database_name())
    }
}

/// What a command with a changelog does, and how far it goes.
enum Operation {
    Update {
        title: &'static str,
        target: UpdateTarget,
    },
    UpdateSql(UpdateTarget),
    TestRollback,
    Rollback(RollbackTarget),
    RollbackSql(RollbackTarget),
    Sync(UpdateTarget),
    SyncSql(UpdateTarget),
    /// None of these.
    None,
}

impl Operation {
    fn of(command: &Command) -> Result<Self, Error> {
        let update = |title, target| Self::Update { title, target };
        Ok(match command {
            Command::Update => update("Update", UpdateTarget::All),
            Command::UpdateCount(option) => update("Update-count", UpdateTarget::Count(option.count())),
            Command::UpdateToTag(option) => update("Update-to-tag", UpdateTarget::Tag(option.tag().to_owned())),
            Command::UpdateSql => Self::UpdateSql(UpdateTarget::All),
            Command::UpdateCountSql(option) => Self::UpdateSql(UpdateTarget::Count(option.count())),
            Command::UpdateToTagSql(option) => Self::UpdateSql(UpdateTarget::Tag(option.tag().to_owned())),
            Command::UpdateTestingRollback => Self::TestRollback,
            Command::Rollback(option) => Self::Rollback(RollbackTarget::Tag(option.tag().to_owned())),
            Command::RollbackCount(option) => Self::Rollback(RollbackTarget::Count(option.count())),
            Command::RollbackToDate(option) => Self::Rollback(RollbackTarget::Date(parse_date(option.date())?)),
            Command::RollbackSql(option) => Self::RollbackSql(RollbackTarget::Tag(option.tag().to_owned())),
            Command::RollbackCountSql(option) => Self::RollbackSql(RollbackTarget::Count(option.count())),
            Command::RollbackToDateSql(option) => Self::RollbackSql(RollbackTarget::Date(parse_date(option.date())?)),
            Command::ChangelogSync => Self::Sync(UpdateTarget::All),
            Command::ChangelogSyncToTag(option) => Self::Sync(UpdateTarget::Tag(option.tag().to_owned())),
            Command::MarkNextChangesetRan => Self::Sync(UpdateTarget::Count(1)),
            Command::ChangelogSyncSql => Self::SyncSql(UpdateTarget::All),
            Command::ChangelogSyncToTagSql(option) => Self::SyncSql(UpdateTarget::Tag(option.tag().to_owned())),
            Command::MarkNextChangesetRanSql => Self::SyncSql(UpdateTarget::Count(1)),
            _ => Self::None,
        })
    }
}

/// For a tag that no changeset sets, Liquibase silently runs the whole changelog. Here this gives a warning.
fn warn_about_unknown_tag(loaded: &LoadedChangelog, target: &UpdateTarget) {
    if let UpdateTarget::Tag(tag) = target
        && !loaded.changelog.sets_tag(tag)
    {
        output::print_warning(&format!("no changeset of {} sets the tag '{tag}': continuing to its end", loaded.path));
    }
}

/// A date or time in the form in which it is compared with the history: `2026-01-31 10:00:00`.
fn parse_date(text: &str) -> Result<String, Error> {
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

fn changeset_id(option: &ChangeSetOption) -> Result<ChangeSetId, Error> {
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

/// Asks on a terminal. Without a terminal the answer is yes, as in Liquibase.
fn confirm(name: &str) -> bool {
    if !io::stdin().is_terminal() {
        return true;
    }
    let mut stderr = io::stderr().lock();
    // If standard error is closed, the question is not seen, and an empty answer means no.
    let _ = write!(stderr, "Drop every table, view and sequence of {name}? [y/N] ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_every_form() {
        for (text, stored) in [
            ("2026-01-31", "2026-01-31 00:00:00"),
            ("2026-01-31 10:00:00", "2026-01-31 10:00:00.000000"),
            ("2026-01-31T10:00:00", "2026-01-31 10:00:00.000000"),
        ] {
            assert_eq!(parse_date(text).unwrap(), stored);
        }
        assert!(parse_date("yesterday").is_err());
    }
}
