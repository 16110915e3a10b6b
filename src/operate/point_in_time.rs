//! Restores the database of a given moment from the archive: a base backup, and the WAL after it.
//!
//! Policy: as for `restore`, the new cluster is complete, checked and on disk before anything is renamed. The settings of the recovery are on the
//! command line of the scratch server only, so nothing of them is left in the cluster. A moment after the last commit restores everything; that the WAL is
//! whole up to its end is checked, because PostgreSQL takes a damaged record for the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio_postgres::Client;

use super::Error;
use super::base_backup;
use super::base_description::Base;
use super::inventory::Inventory;
use super::layout::Layout;
use super::lineage::{self, Lineage, Window};
use super::loader::DATABASE_NAME;
use super::ownership::Owner;
use super::restore;
use super::scratch::ScratchDir;
use super::space::{self, Beside};
use super::stream::{PROGRAM_TIMEOUT, limited};
use super::wal_segment::{Lsn, PARTIAL_SUFFIX, SEGMENT_BYTES};
use crate::database::migrations;
use crate::managed::client_programs::ClientPrograms;
use crate::managed::scratch_cluster::{self, ScratchCluster, ScratchTimeouts};

/// So much may follow the last complete record. Records of the appliance's statements are smaller.
const MAX_INCOMPLETE_RECORD_BYTES: u64 = 1 << 20;
/// The directory of the WAL beside the cluster.
const WAL_DIRECTORY: &str = "wal";
/// The working directory of a server is its cluster. A status above 125 ends the recovery: a file that cannot be copied must not be taken for the end of
/// the WAL.
const RESTORE_COMMAND: &str =
    r#"restore_command=if test -e "../../wal/%f"; then cp "../../wal/%f" "%p" || exit 126; else exit 1; fi"#;
/// How much larger WAL is than what it adds to tables and indexes.
const WAL_PER_GROWTH: u64 = 3;
/// How much WAL the server has at a time, in bytes: it copies each file, and uses old ones again.
const MAX_WAL_BYTES: u64 = 1 << 30;
/// What a server needs besides its files, in bytes.
const CLUSTER_BYTES: u64 = 200 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// The time for the replay of the WAL.
const REPLAY_TIMEOUT: Duration = PROGRAM_TIMEOUT;

/// The moment that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The state with exactly the commits up to this time.
    At(Timestamp),
    /// Everything that the archive has.
    Latest,
}

/// What was restored.
#[derive(Debug)]
pub struct Recovered {
    /// Where the cluster before is kept, if there was one.
    pub kept: Option<PathBuf>,
    /// What the restored database contains.
    pub content: Inventory,
    /// The time of the last commit that was replayed; none if the base had all of them.
    pub last_commit: Option<Timestamp>,
    /// The end of the base.
    pub base: Timestamp,
}

/// Restores a moment from the archive in the directory `backups`. Only for the holder of the lock of the data directory.
///
/// # Errors
/// When it cannot be restored; then nothing has changed.
pub async fn restore(
    moment: Moment,
    backups: &Path,
    layout: &Layout,
    programs: &ClientPrograms,
    timeouts: ScratchTimeouts,
    now: Timestamp,
) -> Result<Recovered, Error> {
    let (lineage, base) = choose(&lineage::archive(backups), &Owner::read(layout, backups), moment, now)?;
    if base.postgres != programs.version().major {
        let ours = programs.version().full.clone();
        return Err(Error::OtherMajor { path: base.file, found: base.postgres, ours });
    }
    // Before the files are listed: the archive may belong to an appliance that goes on writing.
    let end = lineage.end_of_data()?;
    let segments = lineage.segments_from(base.first_segment()?)?;
    let scratch = ScratchDir::create(layout, "recover")?;
    check_space(layout, &base, &segments)?;
    let work = async {
        let cluster_path = scratch.path().join("postgres").join(base.postgres.to_string());
        let (unpacked, target) = (base.clone(), cluster_path.clone());
        tokio::task::spawn_blocking(move || base_backup::unpack(&unpacked, &target)).await??;
        let check = ["--no-parse-wal".as_ref(), "--exit-on-error".as_ref(), cluster_path.as_os_str()];
        programs.run_on_files("pg_verifybackup", check, PROGRAM_TIMEOUT).await?;
        provide_wal(&lineage, segments.values(), scratch.path())?;
        let password = restore::password(layout, scratch.path())?;
        let (cluster, is_at_end) = recover(moment, scratch.path(), &cluster_path, programs, timeouts).await?;
        let finished = finish(&cluster, &lineage, is_at_end.then_some(end), &password).await;
        let path = cluster.path().to_owned();
        cluster.stop().await.map_err(Error::at(&path))?;
        let (content, last_commit) = finished?;
        // A server of an appliance that was killed may still be stopping.
        scratch_cluster::end_stale(layout.data_dir()).await.map_err(Error::at(layout.data_dir()))?;
        let kept = restore::replace(layout, &path, scratch.path(), now)?;
        Ok(Recovered { kept, content, last_commit, base: base.from()? })
    };
    limited("the restore", Box::pin(work)).await
}

/// The lineage that has the moment, and the newest base before it.
fn choose(archive: &Path, owner: &Owner, moment: Moment, now: Timestamp) -> Result<(Lineage, Base), Error> {
    let mut windows: Vec<(Window, Lineage)> = Vec::new();
    for lineage in own_lineages(archive, owner)? {
        match lineage.window() {
            Ok(window) => windows.extend(window.map(|window| (window, lineage))),
            Err(error) => tracing::warn!(%error, "a part of the archive cannot be read"),
        }
    }
    let refused = |moment: Timestamp, reason: &str| Error::OutsideOfArchive {
        moment: moment.to_string(),
        reason: reason.to_owned(),
        windows: describe(windows.iter().map(|(window, _)| window)),
    };
    let Some((newest, _)) = windows.last() else { return Err(Error::EmptyArchive { path: archive.to_owned() }) };
    let (wanted, (_, lineage)) = match moment {
        Moment::Latest => (newest.to, windows.last().ok_or(Error::NoArchive)?),
        // After a clock was set back, the archive may end later than now.
        Moment::At(time) if time > now => {
            let reason =
                format!("it is in the future: it is {now} now (`--to latest` restores the end of the archive)");
            return Err(refused(time, &reason));
        }
        Moment::At(time) => {
            let holds = |(window, _): &&(Window, Lineage)| window.from <= time && time <= window.to;
            let reason = if time > newest.to {
                "it is after the end of the archive (`--to latest` restores its end)"
            } else {
                "it is before the first base backup, or between two of them that no WAL connects"
            };
            (time, windows.iter().rev().find(holds).ok_or_else(|| refused(time, reason))?)
        }
    };
    let bases = lineage.bases()?;
    for damaged in &bases.damaged {
        tracing::warn!(file = %damaged.file.display(), problem = damaged.problem, "a base backup cannot be used");
    }
    let is_before = |base: &&Base| base.from().is_ok_and(|from| from <= wanted);
    let base = bases.good.iter().rev().find(is_before).or(bases.good.first()).ok_or(Error::NoArchive)?;
    Ok((lineage.clone(), base.clone()))
}

/// The lineages of this data directory; without any, those of another one, if they are of one database.
fn own_lineages(archive: &Path, owner: &Owner) -> Result<Vec<Lineage>, Error> {
    let all = Lineage::all(archive)?;
    let own: Vec<Lineage> = all.iter().filter(|lineage| owner.has_lineage(&lineage.path)).cloned().collect();
    if !own.is_empty() {
        return Ok(own);
    }
    let systems: BTreeSet<u64> = all.iter().map(|lineage| lineage.system).collect();
    if systems.len() > 1 {
        let systems = systems.iter().map(|system| format!("{system}-*")).collect::<Vec<_>>().join(", ");
        return Err(Error::SeveralSystems { path: archive.to_owned(), systems });
    }
    Ok(all)
}

fn describe<'a>(windows: impl Iterator<Item = &'a Window>) -> String {
    windows.map(|window| format!("{} to {}", window.from, window.to)).collect::<Vec<_>>().join(", ")
}

/// Refuses to begin where the cluster would not have room: the files of the base, what the replay adds to them, and the files of WAL that the server has
/// at a time.
fn check_space(layout: &Layout, base: &Base, segments: &BTreeMap<u64, PathBuf>) -> Result<(), Error> {
    let wal = segments.len() as u64 * SEGMENT_BYTES;
    let needed = base.unpacked_bytes + wal / WAL_PER_GROWTH + wal.min(MAX_WAL_BYTES) + CLUSTER_BYTES;
    space::require_for_cluster(layout.data_dir(), &layout.root(), needed, Beside::Alone)
}

/// Makes the directory from which the server takes its WAL: links to the segments, and a copy of an incomplete one under its final name and in its
/// final size. Timelines of other lineages are marked as taken.
fn provide_wal<'a>(
    lineage: &Lineage,
    segments: impl Iterator<Item = &'a PathBuf>,
    scratch: &Path,
) -> Result<(), Error> {
    let directory = scratch.join(WAL_DIRECTORY);
    fs::create_dir(&directory).map_err(Error::at(&directory))?;
    for path in segments {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match name.strip_suffix(PARTIAL_SUFFIX) {
            None => symlink(path, directory.join(name)).map_err(Error::at(path))?,
            Some(name) => {
                let copy = directory.join(name);
                fs::copy(path, &copy)
                    .and_then(|_| fs::File::options().write(true).open(&copy)?.set_len(SEGMENT_BYTES))
                    .map_err(Error::at(path))?;
            }
        }
    }
    let archive = lineage.path.parent().unwrap_or(&lineage.path);
    for other in Lineage::all(archive)?.iter().filter(|other| other.timeline > lineage.timeline) {
        let path = directory.join(format!("{:08X}.history", other.timeline));
        fs::write(&path, "").map_err(Error::at(&path))?;
    }
    Ok(())
}

/// Starts a server on the unpacked base, which replays the WAL up to the moment. Returns also whether it has replayed all WAL that it could read.
async fn recover(
    moment: Moment,
    scratch: &Path,
    cluster: &Path,
    programs: &ClientPrograms,
    timeouts: ScratchTimeouts,
) -> Result<(ScratchCluster, bool), Error> {
    let signal = cluster.join("recovery.signal");
    fs::write(&signal, "").map_err(Error::at(&signal))?;
    let mut settings = vec![RESTORE_COMMAND.to_owned(), "recovery_target_timeline=current".to_owned()];
    let to_end = settings.clone();
    if let Moment::At(time) = moment {
        // PostgreSQL does not accept the form of RFC 3339 here.
        let time = time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S%.6f+00").to_string();
        settings.extend([format!("recovery_target_time={time}"), "recovery_target_action=promote".to_owned()]);
    }
    let timeouts = ScratchTimeouts { start: REPLAY_TIMEOUT, ..timeouts };
    let start = async |settings: &[String]| {
        Box::pin(ScratchCluster::recover(scratch, programs.installation(), DATABASE_NAME, settings, timeouts)).await
    };
    match start(&settings).await? {
        Some(cluster) => Ok((cluster, moment == Moment::Latest)),
        // No commit follows the moment.
        None => Ok((start(&to_end).await?.ok_or(Error::NoArchive)?, true)),
    }
}

/// Checks the recovered database, and makes it one of its own: a new identity, and the password of this data directory. `end` is that of the WAL, if
/// all of it was to be replayed.
async fn finish(
    cluster: &ScratchCluster,
    lineage: &Lineage,
    end: Option<Lsn>,
    password: &str,
) -> Result<(Inventory, Option<Timestamp>), Error> {
    let client = cluster.endpoint().database()?.connect(CONNECT_TIMEOUT).await?;
    let last_commit = check_end(&client, lineage, end).await?;
    let content = Inventory::read(&client).await.map_err(Error::statement("count its rows"))?;
    refuse_newer_schema(&client, &content).await?;
    let own = format!("ALTER ROLE CURRENT_USER PASSWORD '{}'", password.replace('\'', "''"));
    client.batch_execute(&own).await.map_err(Error::statement("set the password of its superuser"))?;
    restore::renew_identity(&client).await?;
    Ok((content, last_commit))
}

/// Refuses WAL that ended too early, and returns the time of the last commit.
async fn check_end(client: &Client, lineage: &Lineage, end: Option<Lsn>) -> Result<Option<Timestamp>, Error> {
    let query = "SELECT coalesce(pg_last_wal_replay_lsn()::text, ''), \
        (extract(epoch FROM pg_last_xact_replay_timestamp()) * 1000000)::bigint";
    let row = client.query_typed_one(query, &[]).await.map_err(Error::statement("say what it has replayed"))?;
    let reached: String = row.get(0);
    let last_commit = row.get::<_, Option<i64>>(1).and_then(|time| Timestamp::from_microsecond(time).ok());
    // The last record may be incomplete. A position that cannot be read is before every end.
    let position = Lsn::parse(&reached).map_or(0, |position| position.0);
    if end.is_some_and(|end| position + MAX_INCOMPLETE_RECORD_BYTES < end.0) {
        return Err(Error::WalDamaged { path: lineage.segments_directory(), reached });
    }
    Ok(last_commit)
}

async fn refuse_newer_schema(client: &Client, content: &Inventory) -> Result<(), Error> {
    if !content.rows.contains_key("attendance_api.refinery_schema_history") {
        return Ok(());
    }
    let newest = "SELECT coalesce(max(version), 0)::int8 FROM attendance_api.refinery_schema_history";
    let found: i64 = client.query_typed_one(newest, &[]).await.map_err(Error::statement("say its schema"))?.get(0);
    let known = migrations::newest_known();
    if found > known {
        return Err(Error::NewerSchema { appliance: "a newer version".to_owned(), found, known });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::managed::testing::scratch;

    #[test]
    fn a_file_of_wal_that_cannot_be_copied_has_another_status_than_a_missing_one() {
        let directory = scratch("restore-command");
        let cluster = directory.join("postgres/16");
        fs::create_dir_all(&cluster).unwrap();
        fs::create_dir(directory.join(WAL_DIRECTORY)).unwrap();
        fs::write(directory.join(WAL_DIRECTORY).join("present"), "wal").unwrap();
        let command = RESTORE_COMMAND.strip_prefix("restore_command=").unwrap();
        let status = |file: &str, target: &str| {
            let script = command.replace("%f", file).replace("%p", target);
            Command::new("/bin/sh").arg("-c").arg(script).current_dir(&cluster).status().unwrap().code()
        };
        assert_eq!(status("missing", "copy"), Some(1));
        assert_eq!(status("present", "copy"), Some(0));
        assert_eq!(fs::read_to_string(cluster.join("copy")).unwrap(), "wal");
        // PostgreSQL ends for a status above 125, and takes others for the end of the WAL.
        assert_eq!(status("present", "no-directory/copy"), Some(126));
    }
}
