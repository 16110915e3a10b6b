//! Keeps the archive of point-in-time recovery: a copy of the WAL as it is written, and base backups.
//!
//! Policy: the slot exists before the first base, so the WAL from every base on is kept until it is copied. PostgreSQL keeps no more than
//! `backup.wal_max_lag`; when that does not suffice the slot is lost, which is reported, and a new lineage with a new base begins. A receiver that
//! has stalled (its disk may hang) is ended, because a server whose message it does not read would wait for it at its next checkpoint, without a limit. Every second
//! attempt at something is the same step again, so an interruption at any moment needs no other repair. Nothing here affects requests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::archive_retention;
use super::archive_server::{self, ServerState};
use super::base_backup;
use super::lineage::{self, Base, Lineage};
use super::operator::{Operator, Server};
use super::space;
use super::stream::limited;
use super::wal_segment::Lsn;
use super::{Error, directory};
use crate::managed::Endpoint;
use crate::managed::client_programs::{ClientPrograms, Login};
use crate::managed::wal_receiver::WalReceiverHandle;

/// Time between two steps.
const STEP_INTERVAL: Duration = Duration::from_millis(400);
/// After a base that failed.
const BASE_RETRY: Duration = Duration::from_secs(300);
/// The copy is behind when no commit was confirmed for so long.
const BEHIND_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// What stays free beside a base, in bytes.
const FREE_BESIDE_BASE: u64 = 64 << 20;
/// The limit of the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A receiver that copies nothing for so long, although there is WAL for it, is ended and started again.
const RECEIVER_STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// A base is made each seventh of the days that are kept, but not more often than once a day.
const BASES_KEPT: i64 = 7;
/// The name of the file with the password of the programs, in the directory of this module.
const PASSWORD_FILE: &str = "wal.pgpass";

/// What is kept, and where.
#[derive(Debug)]
pub struct ArchiverOptions {
    /// The database.
    pub operator: Arc<Operator>,
    /// The directory of backups.
    pub directory: PathBuf,
    /// How many days back a moment can be restored.
    pub days: i64,
    /// The program that copies.
    pub receiver: WalReceiverHandle,
    /// How long the server may take to stop.
    pub server_stop_timeout: Duration,
}

/// What is known about the archive, for reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveStatus {
    /// How much WAL is not copied yet, in bytes.
    pub lag_bytes: u64,
    /// The first moment that can be restored without a gap up to now.
    pub earliest: Option<Timestamp>,
    /// The last moment.
    pub latest: Option<Timestamp>,
    /// How often the slot was lost since the start.
    pub slots_lost: u64,
    /// What is wrong.
    pub problem: Option<String>,
}

/// The task; it ends when this is dropped, and a base that is being made is given up. The receiver goes on until it is stopped.
#[derive(Debug)]
pub struct Archiver {
    task: JoinHandle<()>,
    status: watch::Receiver<ArchiveStatus>,
}

impl Archiver {
    /// Starts the task.
    pub fn start(options: ArchiverOptions) -> Self {
        let (sender, status) = watch::channel(ArchiveStatus::default());
        Self { task: tokio::spawn(run(options, sender)), status }
    }

    /// What is known, now and whenever it changes.
    pub fn status(&self) -> watch::Receiver<ArchiveStatus> {
        self.status.clone()
    }
}

impl Drop for Archiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Removes the slot of an archive that is not kept any more: for it PostgreSQL would keep WAL.
///
/// # Errors
/// When the server does not answer.
pub async fn drop_slot(operator: &Operator) -> Result<(), Error> {
    let Server::Managed(superuser) = &operator.server else { return Ok(()) };
    let client = superuser.database()?.connect(CONNECT_TIMEOUT).await?;
    archive_server::drop_slot(&client).await
}

async fn run(options: ArchiverOptions, status: watch::Sender<ArchiveStatus>) {
    let mut work = Work {
        options,
        status,
        programs: None,
        client: None,
        current: None,
        sample: None,
        progress: None,
        base: JoinSet::new(),
        taken: None,
        bases: None,
        base_not_before: Instant::now(),
        last_confirmed: Timestamp::now(),
        failure: None,
        base_failure: None,
    };
    loop {
        let outcome = work.step().await;
        if let Err(error) = &outcome {
            // The connection may be the reason.
            work.client = None;
            let text = error.to_string();
            if work.failure.as_ref() != Some(&text) {
                tracing::warn!(%error, "the copy of the WAL cannot be kept");
            }
        }
        work.failure = outcome.err().map(|error| error.to_string());
        work.publish();
        sleep(STEP_INTERVAL).await;
    }
}

/// Refuses a base for which there is no room: it would take that of the database, if both are on one disk. A compressed base has at most about half the size.
fn require_space(path: &Path, database_bytes: u64) -> Result<(), Error> {
    let (free, needed) = (space::free_bytes(path)?, database_bytes / 2 + FREE_BESIDE_BASE);
    if free >= needed {
        return Ok(());
    }
    Err(Error::NoSpaceForBase { path: path.to_owned(), free: free >> 20, needed: needed >> 20 })
}

struct Work {
    options: ArchiverOptions,
    status: watch::Sender<ArchiveStatus>,
    programs: Option<(ClientPrograms, Login)>,
    client: Option<Client>,
    /// The lineage into which the receiver writes.
    current: Option<Lineage>,
    /// A position that the WAL had reached, and when.
    sample: Option<(Lsn, Timestamp)>,
    /// How far the copy was when it last advanced or had nothing to copy, and when.
    progress: Option<(Lsn, Instant)>,
    /// The base that is being made.
    base: JoinSet<Result<Base, Error>>,
    /// A base that was taken. It needs the WAL up to a position that is known after it was taken, and restores every moment from then on.
    taken: Option<(Base, Option<(Lsn, Timestamp)>)>,
    /// The first and the last base of the lineage.
    bases: Option<(Timestamp, Timestamp)>,
    base_not_before: Instant,
    last_confirmed: Timestamp,
    failure: Option<String>,
    base_failure: Option<String>,
}

impl Work {
    async fn step(&mut self) -> Result<(), Error> {
        let server = self.server_state().await?;
        let is_current = |lineage: &Lineage| server.has_usable_slot() && server.is_of(lineage);
        match self.current.clone().filter(is_current) {
            None => self.begin(&server).await,
            Some(lineage) => {
                self.confirm(&lineage, &server)?;
                self.end_stalled_receiver(&server).await;
                self.keep_bases(&lineage, &server).await
            }
        }
    }

    async fn server_state(&mut self) -> Result<ServerState, Error> {
        let client = match self.client.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => self.superuser()?.database()?.connect(CONNECT_TIMEOUT).await?,
        };
        let state = ServerState::read(&client).await?;
        self.client = Some(client);
        Ok(state)
    }

    fn superuser(&self) -> Result<&Endpoint, Error> {
        match &self.options.operator.server {
            Server::Managed(superuser) => Ok(superuser),
            Server::External(_) => Err(Error::NoArchive),
        }
    }

    async fn programs(&mut self) -> Result<(ClientPrograms, Login), Error> {
        if let Some(found) = &self.programs {
            return Ok(found.clone());
        }
        let layout = &self.options.operator.layout;
        layout.prepare()?;
        let password_file = layout.root().join(PASSWORD_FILE);
        let login = Login::of(self.superuser()?, &password_file).map_err(Error::at(&password_file))?;
        let found = (self.options.operator.programs().await?, login);
        Ok(self.programs.insert(found).clone())
    }

    /// Continues the newest lineage, or begins one.
    async fn begin(&mut self, server: &ServerState) -> Result<(), Error> {
        self.current = None;
        self.sample = None;
        self.progress = None;
        self.taken = None;
        self.base = JoinSet::new();
        let archive = lineage::archive(&self.options.directory);
        directory::prepare(&self.options.directory)?;
        let all = Lineage::all(&archive)?;
        for lineage in all.iter().filter(|lineage| lineage.system == server.system) {
            base_backup::remove_incomplete(lineage)?;
        }
        let newest = all.into_iter().rev().find(|lineage| server.is_of(lineage));
        let lineage = match newest {
            Some(newest) if server.continues(&newest)? => newest,
            _ => self.begin_lineage(server).await?,
        };
        let (programs, login) = self.programs().await?;
        let (segments, options) = (lineage.segments_directory(), &self.options);
        let started =
            options.receiver.start(&programs, &login, &segments, archive_server::SLOT, options.server_stop_timeout);
        started.await.map_err(Error::at(&segments))?;
        tracing::info!(directory = %lineage.path.display(), "the WAL is copied");
        self.bases = bases(&lineage)?;
        self.current = Some(lineage);
        Ok(())
    }

    async fn begin_lineage(&mut self, server: &ServerState) -> Result<Lineage, Error> {
        self.options.receiver.end().await;
        let client = self.client.as_ref().ok_or(Error::NoArchive)?;
        archive_server::drop_slot(client).await?;
        archive_server::create_slot(client).await?;
        if server.is_slot_lost() {
            tracing::error!(
                "PostgreSQL has removed WAL that was not copied yet (backup.wal_max_lag): moments between the last copy and the base that is made now cannot be \
                 restored"
            );
            self.status.send_modify(|status| status.slots_lost += 1);
        }
        self.base_not_before = Instant::now();
        Lineage::begin(&lineage::archive(&self.options.directory), server.system, server.timeline, Timestamp::now())
    }

    /// Notes how far the copy is.
    fn confirm(&mut self, lineage: &Lineage, server: &ServerState) -> Result<(), Error> {
        if let Some((position, moment)) = self.sample
            && server.copied() >= position
        {
            lineage.confirm(moment)?;
            self.last_confirmed = moment;
            self.sample = None;
        }
        self.sample.get_or_insert((server.flushed, server.moment));
        self.status.send_modify(|status| status.lag_bytes = server.flushed.0.saturating_sub(server.copied().0));
        Ok(())
    }

    /// Ends a receiver that copies nothing although there is WAL for it. The next step starts another.
    async fn end_stalled_receiver(&mut self, server: &ServerState) {
        let copied = server.copied();
        let (position, since) = *self.progress.get_or_insert((copied, Instant::now()));
        if copied > position || copied >= server.flushed {
            self.progress = Some((copied, Instant::now()));
        } else if since.elapsed() >= RECEIVER_STALL_TIMEOUT {
            tracing::warn!(
                stalled_seconds = RECEIVER_STALL_TIMEOUT.as_secs(),
                "the copy of the WAL has stalled, and its program is started again; check the disk of the backups"
            );
            self.options.receiver.end().await;
            self.current = None;
        }
    }

    /// Makes a base when it is time, and removes what is too old.
    async fn keep_bases(&mut self, lineage: &Lineage, server: &ServerState) -> Result<(), Error> {
        if let Some(done) = self.base.try_join_next() {
            match done.unwrap_or_else(|error| Err(error.into())) {
                Ok(base) => self.taken = Some((base, None)),
                Err(error) => self.note_failed_base(&error),
            }
            // Its position is that of the next step, which is after its end in any case.
            return Ok(());
        }
        if let Some((base, end)) = self.taken.take() {
            let (position, moment) = end.unwrap_or((server.flushed, server.moment));
            if server.copied() < position {
                self.taken = Some((base, Some((position, moment))));
                return Ok(());
            }
            match complete(lineage, &base, moment, &self.options) {
                Ok(()) => self.base_failure = None,
                Err(error) => self.note_failed_base(&error),
            }
            lineage.confirm(moment.max(self.last_confirmed))?;
            self.bases = bases(lineage)?;
        } else if self.base.is_empty() && self.is_base_due() {
            let client = self.client.as_ref().ok_or(Error::NoArchive)?;
            if let Err(error) = require_space(&lineage.path, archive_server::size(client).await?) {
                self.note_failed_base(&error);
                return Ok(());
            }
            let (programs, login) = self.programs().await?;
            let (lineage, start) = (lineage.clone(), server.flushed_text.clone());
            self.base.spawn(async move {
                limited("a base backup", Box::pin(base_backup::take(&lineage, &programs, &login, start))).await
            });
        }
        Ok(())
    }

    fn is_base_due(&self) -> bool {
        let days = (self.options.days / BASES_KEPT).max(1);
        let is_old = |newest| Timestamp::now().duration_since(newest) >= SignedDuration::from_hours(24 * days);
        Instant::now() >= self.base_not_before && self.bases.is_none_or(|(_, newest)| is_old(newest))
    }

    fn note_failed_base(&mut self, error: &Error) {
        tracing::error!(%error, "a base backup failed");
        self.base_failure = Some(format!("a base backup failed: {error}"));
        self.base_not_before = Instant::now() + BASE_RETRY;
    }

    fn publish(&self) {
        let behind = Timestamp::now().duration_since(self.last_confirmed) > BEHIND_AFTER;
        let behind = behind.then(|| format!("the copy of the WAL is behind since {}", self.last_confirmed));
        let problem = self.failure.clone().or(behind).or_else(|| self.base_failure.clone());
        self.status.send_if_modified(|status| {
            let next = ArchiveStatus {
                earliest: self.bases.map(|(first, _)| first),
                latest: self.bases.map(|(_, newest)| newest.max(self.last_confirmed)),
                problem,
                ..status.clone()
            };
            let is_changed = *status != next;
            *status = next;
            is_changed
        });
    }
}

/// The first moments of the first and the last base.
fn bases(lineage: &Lineage) -> Result<Option<(Timestamp, Timestamp)>, Error> {
    let bases = lineage.bases()?;
    let times = bases.first().zip(bases.last()).map(|(first, last)| Ok((first.from()?, last.from()?)));
    times.transpose()
}

/// Makes a base of the files that were taken, and removes what is older than it needs to be.
fn complete(lineage: &Lineage, base: &Base, moment: Timestamp, options: &ArchiverOptions) -> Result<(), Error> {
    lineage.segments_from(base.first_segment()?)?;
    base_backup::complete(base, moment)?;
    tracing::info!(file = %base.file.display(), "a base backup is complete");
    archive_retention::prune(&lineage::archive(&options.directory), lineage, options.days, Timestamp::now())
}
