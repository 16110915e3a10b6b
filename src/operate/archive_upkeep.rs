//! Periodic upkeep of the archive: removes files that are too old, measures the rest, and looks for damaged descriptions.
//!
//! Policy: a round runs beside the copy of the WAL and does not delay it, because removing thousands of files may take long.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::base_description::{Base, DamagedFile};
use super::file_worker::FileWorker;
use super::layout::Layout;
use super::lineage::{self, Lineage};
use super::ownership::Owner;
use super::wal_segment::Lsn;
use super::{Error, archive_limit, archive_retention, clock};

/// Time between two rounds.
const INTERVAL: Duration = Duration::from_secs(20);
/// The time that a round may take: a lineage has thousands of files.
const ROUND_TIMEOUT: Duration = Duration::from_secs(900);

/// The bases of a lineage, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BaseSpan {
    /// The first moment of the newest base.
    pub(super) newest: Timestamp,
    /// The first moment that can be restored.
    pub(super) first: Timestamp,
    /// The position from which the newest base needs WAL.
    pub(super) newest_start: Lsn,
    /// The size of the newest base, in bytes.
    pub(super) newest_bytes: u64,
}

impl BaseSpan {
    /// The span of these bases, which are in order; `None` without a base.
    pub(super) fn of(bases: &[Base]) -> Result<Option<Self>, Error> {
        let (Some(first), Some(newest)) = (bases.first(), bases.last()) else { return Ok(None) };
        let newest_bytes = newest.file.metadata().map_or(0, |found| found.len());
        let (newest_start, first, newest) = (newest.start()?, first.from()?, newest.from()?);
        Ok(Some(Self { newest, first, newest_start, newest_bytes }))
    }
}

/// What a round has found.
#[derive(Debug)]
struct Found {
    /// The size of the archive, in bytes.
    bytes: u64,
    /// The bases of the current lineage.
    bases: Option<BaseSpan>,
    /// The files that cannot be used.
    damaged: Vec<DamagedFile>,
}

/// A round that is running or has ended.
#[derive(Debug)]
struct Round {
    found: Result<Found, Error>,
    /// The current lineage.
    lineage: Option<Lineage>,
    /// How far the WAL was when it began.
    position: Lsn,
    /// Which version of the bases it may have seen.
    version: u64,
}

/// The rounds, one after the other, and what the last one has found.
#[derive(Debug)]
pub(super) struct Upkeep {
    worker: FileWorker,
    running: JoinSet<Round>,
    not_before: Instant,
    /// Increased when the bases change.
    version: u64,
    size: Option<(u64, Lsn)>,
    damaged: BTreeSet<PathBuf>,
    /// Why the last round has failed.
    pub(super) failure: Option<String>,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self {
            worker: FileWorker::with_timeout(ROUND_TIMEOUT),
            running: JoinSet::new(),
            not_before: Instant::now(),
            version: 0,
            size: None,
            damaged: BTreeSet::new(),
            failure: None,
        }
    }
}

impl Upkeep {
    /// Notes that there is another base or lineage, so a round is due, and what one that runs says about bases is out of date.
    pub(super) fn renew(&mut self) {
        self.version += 1;
        self.not_before = Instant::now();
    }

    /// Whether a round runs. One without a current lineage holds the lock of each for a moment.
    pub(super) fn is_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// The size of the archive when the WAL has reached this position, in bytes; none before the first round has ended.
    pub(super) fn archive_size(&self, position: Lsn) -> Option<u64> {
        self.size.map(|(bytes, measured)| bytes + position.0.saturating_sub(measured.0))
    }

    /// Starts a round on the archive in a directory of backups, if one is due and none runs.
    pub(super) fn start_if_due(
        &mut self,
        directory: &Path,
        layout: &Layout,
        lineage: Option<&Lineage>,
        days: i64,
        position: Lsn,
    ) {
        if !self.running.is_empty() || Instant::now() < self.not_before {
            return;
        }
        self.not_before = Instant::now() + INTERVAL;
        let (directory, layout, lineage) = (directory.to_owned(), layout.clone(), lineage.cloned());
        let (worker, version) = (self.worker.clone(), self.version);
        self.running.spawn(async move {
            let (path, current) = (directory.clone(), lineage.clone());
            let round = move || run(&directory, &layout, current.as_ref(), days, clock::now());
            Round { found: worker.run(&path, round).await, lineage, position, version }
        });
    }

    /// The bases of the current lineage that a round has found since the last call, if one has.
    pub(super) fn take_bases(&mut self, lineage: Option<&Lineage>) -> Option<Option<BaseSpan>> {
        let ended = self.running.try_join_next()?;
        let round = match ended {
            Ok(round) => round,
            Err(error) => {
                self.failure = Some(Error::from(error).to_string());
                return None;
            }
        };
        let is_current = lineage.is_some() && round.lineage.as_ref() == lineage && round.version == self.version;
        match round.found {
            Ok(found) => {
                self.failure = None;
                self.size = Some((found.bytes, round.position));
                self.note_damaged(&found.damaged);
                is_current.then_some(found.bases)
            }
            Err(error) => {
                self.failure = Some(error.to_string());
                None
            }
        }
    }

    fn note_damaged(&mut self, damaged: &[DamagedFile]) {
        for file in damaged.iter().filter(|file| !self.damaged.contains(&file.file)) {
            tracing::warn!(file = %file.file.display(), problem = file.problem, "a base backup cannot be used");
        }
        self.damaged = damaged.iter().map(|file| file.file.clone()).collect();
    }
}

/// Removes what is older than so many days from the archive in a directory of backups, and looks at the rest.
fn run(
    directory: &Path,
    layout: &Layout,
    current: Option<&Lineage>,
    days: i64,
    now: Timestamp,
) -> Result<Found, Error> {
    let archive = lineage::archive(directory);
    let owner = Owner::read(layout, directory);
    archive_retention::prune(&archive, &owner, current, days, now)?;
    let mut damaged = Vec::new();
    let mut bases = None;
    for lineage in Lineage::all(&archive)?.iter().filter(|lineage| owner.has_lineage(&lineage.path)) {
        match lineage.bases() {
            Ok(found) => {
                damaged.extend(found.damaged);
                if current == Some(lineage) {
                    bases = BaseSpan::of(&found.good)?;
                }
            }
            Err(error) => damaged.push(DamagedFile { file: lineage.path.clone(), problem: error.to_string() }),
        }
    }
    Ok(Found { bytes: archive_limit::size(&archive, &owner)?, bases, damaged })
}
