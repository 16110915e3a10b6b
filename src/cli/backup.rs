//! `attendance-api backup`: make, list, verify and restore backups.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::backup_keys::{EncryptionFlags, KeyFlags};
use super::error::Error;
use super::flags::ConfigFlags;
use super::{help, output, runtime};
use crate::appliance;
use crate::appliance::backup::{self as work, Restorable};
use crate::config::{Config, PostgresService};
use crate::operate::Inventory;
use crate::operate::base_description::DamagedFile;
use crate::operate::lineage::{Contents, ListedWindow};
use crate::operate::list::ListedBackup;
use crate::operate::operator::Created;
use crate::operate::point_in_time::{Moment, Recovered};
use crate::telemetry::format::Format;
use crate::telemetry::log::Logging;

/// Make, list, verify and restore backups of the database
///
/// A backup is one file with the whole database, the roles of its server and the configuration without secrets. It is made while the appliance
/// serves, and needs no password to be restored.
#[derive(Debug, Args)]
#[command(after_long_help = help::BACKUP)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Create),
    List(List),
    Verify(Verify),
    Restore(Restore),
    Forget(Forget),
}

/// Make a backup
///
/// The file is complete when the command ends, and only its owner can read it. The appliance may serve meanwhile; if it does not run, its PostgreSQL is
/// started for the backup.
#[derive(Debug, Args)]
#[command(after_long_help = help::BACKUP_CREATE)]
struct Create {
    /// Write this file, which must not exist [default: a file with the time in its name, in the directory of backups]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// A word for the name of the file. The schedule never removes backups with a label
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    #[command(flatten)]
    encryption: EncryptionFlags,
    #[command(flatten)]
    config: ConfigFlags,
}

/// List the backups, and the moments that can be restored
#[derive(Debug, Args)]
#[command(after_long_help = help::BACKUP_LIST)]
struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    key: KeyFlags,
    #[command(flatten)]
    config: ConfigFlags,
}

/// Prove that a backup can be restored
///
/// Checks every byte of the file, restores it into a temporary database cluster, compares that with what the backup says it contains, and removes it.
#[derive(Debug, Args)]
#[command(after_long_help = help::BACKUP_VERIFY)]
struct Verify {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    key: KeyFlags,
    #[command(flatten)]
    config: ConfigFlags,
}

/// Restore a backup, or the database of a moment, into the managed database
///
/// The appliance must not run. The backup, or with --to the state of that moment, is checked and restored into a new database cluster, which then takes
/// the place of the old one; the old one is kept beside it until `attendance-api backup forget`.
#[derive(Debug, Args)]
#[command(after_long_help = help::BACKUP_RESTORE)]
struct Restore {
    /// The backup
    #[arg(value_name = "FILE", required_unless_present = "to", conflicts_with = "to")]
    file: Option<PathBuf>,
    /// Restore this moment from the base backups and the WAL of `backup.wal: true`: a time with its offset from UTC, or `latest`
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<Moment>,
    #[command(flatten)]
    key: KeyFlags,
    #[command(flatten)]
    config: ConfigFlags,
}

/// Reads the value of `--to`.
fn moment(text: &str) -> Result<Moment, String> {
    if text == "latest" {
        return Ok(Moment::Latest);
    }
    let time = text.parse().map(Moment::At);
    time.map_err(|_| {
        "expected a time such as 2026-01-31T12:00:00Z or 2026-01-31T13:00:00+01:00, or `latest`".to_owned()
    })
}

/// Remove the database clusters that restores have replaced
///
/// Also removes base backups and WAL (backup.wal: true) that are older than `backup.wal_days`, even if `backup.wal` is off.
#[derive(Debug, Args)]
#[command(after_long_help = help::BACKUP_FORGET)]
struct Forget {
    #[command(flatten)]
    config: ConfigFlags,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let _logging = Logging::start_on_stderr(Format::Text, tracing::Level::WARN).map_err(appliance::Error::from)?;
    match &arguments.command {
        Command::Create(arguments) => create(arguments),
        Command::List(arguments) => list(arguments),
        Command::Verify(arguments) => verify(arguments),
        Command::Restore(arguments) => restore(arguments),
        Command::Forget(arguments) => forget(arguments),
    }
}

fn create(arguments: &Create) -> Result<(), Error> {
    let loaded = arguments.config.load()?;
    let output = arguments.output.as_deref().map(absolute).transpose()?;
    // Read before rights are given up.
    let encryption = arguments.encryption.encryption(&work::keys(&loaded.config))?;
    let options = work::BackupOptions { output, label: arguments.label.clone(), encryption };
    let created = match work::create_by_running_appliance(&loaded.config, &options)? {
        Some(created) => created,
        None => {
            work::drop_privileges_for_data(&loaded.config)?;
            let shown = loaded.show();
            multi_threaded(work::create(&loaded.config, shown, &options))?
        }
    };
    let Created { path, bytes, duration, manifest } = created;
    output::print(&format!(
        "{}\n{}, {}, in {:.1} s\n",
        path.display(),
        content(&manifest.content),
        size(bytes),
        duration.max(Duration::from_millis(100)).as_secs_f64()
    ))
}

/// What `backup list --json` prints.
#[derive(Serialize)]
struct Listed {
    backups: Vec<ListedBackup>,
    /// What point-in-time recovery can restore.
    base: Vec<JsonWindow>,
    /// What cannot be used of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damaged: Vec<DamagedFile>,
}

/// A range of moments that can be restored.
#[derive(Serialize)]
struct JsonWindow {
    from: String,
    to: String,
    /// Whether another appliance has made it, in a directory of backups that both use.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    of_another: bool,
}

fn list(arguments: &List) -> Result<(), Error> {
    let config = arguments.config.load()?.config;
    let key = arguments.key.key_of_list(&work::keys(&config))?;
    let Restorable { directory, backups, archive } = work::list_backups(&config, &key)?;
    let Contents { windows, damaged } = archive;
    if arguments.json {
        let json = |ListedWindow { window, is_own }: &ListedWindow| JsonWindow {
            from: window.from.to_string(),
            to: window.to.to_string(),
            of_another: !is_own,
        };
        let listed = Listed { backups, base: windows.iter().map(json).collect(), damaged };
        let text = serde_json::to_string(&listed).map_err(|error| Error::Output(error.into()))?;
        return output::print(&format!("{text}\n"));
    }
    if backups.is_empty() && windows.is_empty() && damaged.is_empty() {
        return output::print(&format!("There are no backups in {}.\n", directory.display()));
    }
    let lines = backups.iter().map(line).chain(windows.iter().map(window_line)).chain(damaged.iter().map(damaged_line));
    output::print(&lines.collect::<String>())
}

/// One window of the list.
fn window_line(ListedWindow { window, is_own }: &ListedWindow) -> String {
    let what = if *is_own { "any moment (backup restore --to)" } else { "any moment of another appliance" };
    format!("{} to {}  {what}\n", window.from, window.to)
}

/// What cannot be used.
fn damaged_line(damaged: &DamagedFile) -> String {
    format!("{}  damaged: {}\n", damaged.file.display(), damaged.problem)
}

/// One backup of the list.
fn line(backup: &ListedBackup) -> String {
    let what = match (&backup.problem, backup.records) {
        (Some(problem), _) => problem.clone(),
        (None, None) if backup.encrypted => "encrypted".to_owned(),
        (None, Some(records)) if backup.encrypted => format!("{}, encrypted", counted(records, "record")),
        (None, records) => counted(records.unwrap_or_default(), "record"),
    };
    format!("{}  {:>9}  {what}  {}\n", backup.created, size(backup.bytes), backup.file.display())
}

fn verify(arguments: &Verify) -> Result<(), Error> {
    let config = arguments.config.load()?.config;
    let path = absolute(&arguments.file)?;
    let mut file = work::open_backup(&path)?;
    let key = arguments.key.key_of(&mut file, &work::keys(&config))?;
    work::drop_privileges_for_data(&config)?;
    let backup = multi_threaded(work::verify_backup(&config, &path, file, key))?;
    output::print(&format!("{} can be restored: {}\n", path.display(), content(&backup.manifest().content)))
}

fn restore(arguments: &Restore) -> Result<(), Error> {
    let config = arguments.config.load()?.config;
    let (mut text, kept) = match (&arguments.file, arguments.to) {
        (Some(file), _) => restore_file(&config, file, &arguments.key)?,
        (None, to) => restore_moment(&config, to.unwrap_or(Moment::Latest))?,
    };
    if let Some(kept) = kept {
        text.push_str(&format!(
            "The replaced database is kept in {}; `attendance-api backup forget` removes it.\n",
            kept.display()
        ));
    }
    if matches!(config.postgres.service, PostgresService::External(_)) {
        text.push_str("The configuration names an external PostgreSQL, which was not changed: remove postgres.host to use what was restored.\n");
    }
    output::print(&text)
}

/// Restores a backup. Returns what was restored in words, and where the replaced database is kept.
fn restore_file(config: &Config, file: &Path, key: &KeyFlags) -> Result<(String, Option<PathBuf>), Error> {
    let path = absolute(file)?;
    let mut file = work::open_backup(&path)?;
    let key = key.key_of(&mut file, &work::keys(config))?;
    work::drop_privileges_for_data(config)?;
    let (backup, kept) = multi_threaded(work::restore_backup(config, &path, file, key))?;
    let manifest = backup.manifest();
    let what = content(&manifest.content);
    Ok((format!("restored {what} of {} into {}\n", manifest.created, config.data_dir.display()), kept))
}

/// Restores a moment, like [`restore_file`].
fn restore_moment(config: &Config, moment: Moment) -> Result<(String, Option<PathBuf>), Error> {
    work::drop_privileges_for_data(config)?;
    let Recovered { kept, content: found, last_commit, base } = multi_threaded(work::restore_moment(config, moment))?;
    let last = match last_commit {
        Some(time) => format!("the last change is of {time}"),
        None => format!("without any change after the base backup of {base}"),
    };
    Ok((format!("restored {}, {last}, into {}\n", content(&found), config.data_dir.display()), kept))
}

fn forget(arguments: &Forget) -> Result<(), Error> {
    let config = arguments.config.load()?.config;
    let removed = multi_threaded(work::forget(&config))?;
    match removed.is_empty() {
        true => output::print("There is no replaced database, and nothing in the archive is too old.\n"),
        false => output::print(&removed.iter().map(|path| format!("removed {}\n", path.display())).collect::<String>()),
    }
}

fn multi_threaded<T>(work: impl Future<Output = Result<T, appliance::Error>>) -> Result<T, Error> {
    runtime::run_multi_threaded(runtime::processor_count(), work)
}

/// What a backup contains, in words.
fn content(content: &Inventory) -> String {
    let tables = u64::try_from(content.rows.len()).unwrap_or(u64::MAX);
    let (records, rows, tables) =
        (counted(content.records(), "record"), counted(content.total_rows(), "row"), counted(tables, "table"));
    format!("{records} ({rows} in {tables})")
}

fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A number of bytes in words.
fn size(bytes: u64) -> String {
    // The precision of a float suffices for a text.
    let bytes = bytes as f64;
    match bytes {
        0.0..1e6 => format!("{:.1} kB", bytes / 1e3),
        1e6..1e9 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.1} GB", bytes / 1e9),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source: io::Error| Error::Path { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_the_largest_unit() {
        assert_eq!([size(999), size(1_500_000), size(2_340_000_000)], ["1.0 kB", "1.5 MB", "2.3 GB"]);
    }

    #[test]
    fn a_list_without_base_backups_is_complete_json() {
        let text =
            serde_json::to_string(&Listed { backups: Vec::new(), base: Vec::new(), damaged: Vec::new() }).unwrap();
        assert_eq!(text, r#"{"backups":[],"base":[]}"#);
    }
}
