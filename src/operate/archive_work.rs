//! Keeps the archive of point-in-time recovery: a copy of the WAL as it is written, and base backups.
//!
//! Policy: the slot exists before the first base, so the WAL from every base on is kept until it is copied. PostgreSQL keeps no more than
//! `backup.wal_max_lag`; when that does not suffice the slot is lost, which is reported, and a new lineage with a new base begins. An archive that would take
//! the space of the database, or has its largest size, is paused without a slot. Copied WAL counts when it is on disk: every step
//! syncs it.
//! A receiver that has stalled (its disk may hang) is ended, because a server whose message it does not read would wait for it at its next checkpoint, without a
//! limit. File operations run on other threads, because a hanging disk must not block requests. A step may be interrupted at any moment and repeated; no other
//! repair is needed. Nothing here affects requests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::archive_limit::Room;
use super::archive_server::{self, ServerState};
use super::archive_status::ArchiveStatus;
use super::archive_upkeep::{BaseSpan, Upkeep};
use super::base_backup;
use super::base_description::Base;
use super::file_worker::FileWorker;
use super::lineage::{self, Lineage};
use super::operator::{Operator, Server};
use super::ownership::{self, Owner};
use super::stream::limited;
use super::wal_rate::WalRate;
use super::wal_segment::Lsn;
use super::{Error, FileLock, clock, directory};
use crate::managed::Endpoint;
use crate::managed::client_programs::{ClientPrograms, Login};
use crate::managed::wal_receiver::WalReceiverHandle;

/// After a base that failed.
const BASE_RETRY: Duration = Duration::from_secs(300);
/// The copy is behind when no commit was confirmed for so long.
const BEHIND_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// The limit of the connection.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A receiver that copies nothing for so long, although there is WAL for it, is ended and started again.
const RECEIVER_STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// A base is made each seventh of the days that are kept, but not more often than once a day.
const BASES_KEPT: i64 = 7;
/// A base is also made after so much WAL, as a fraction of what the archive may have: old WAL can only be removed before a base.
const WAL_FRACTION: u64 = 4;
/// And not before so much of it, in bytes.
const MIN_WAL_BETWEEN_BASES: u64 = 256 << 20;
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
    /// The largest size of the archive in bytes, if there is one.
    pub max_bytes: Option<u64>,
    /// The program that copies.
    pub receiver: WalReceiverHandle,
    /// How long the server may take to stop.
    pub server_stop_timeout: Duration,
}

/// The lineage into which the receiver writes, and the right to do so.
struct Current {
    lineage: Lineage,
    _lock: FileLock,
}

/// The state between two steps.
pub(super) struct Work {
    options: ArchiverOptions,
    status: watch::Sender<ArchiveStatus>,
    files: FileWorker,
    upkeep: Upkeep,
    programs: Option<(ClientPrograms, Login)>,
    client: Option<Client>,
    current: Option<Current>,
    /// A position that the WAL had reached, and when.
    sample: Option<(Lsn, Timestamp)>,
    /// The position up to which the copy is on disk.
    synced: Lsn,
    /// How far the copy was when it last advanced or had nothing to copy, and when.
    progress: Option<(Lsn, Instant)>,
    rate: WalRate,
    /// The base that is being made.
    base: JoinSet<Result<Base, Error>>,
    /// A base that was taken. It needs the WAL up to a position that is known after it was taken, and restores every moment from then on.
    taken: Option<(Base, Option<(Lsn, Timestamp)>)>,
    /// The bases of the lineage.
    bases: Option<BaseSpan>,
    is_nearly_full: bool,
    base_not_before: Instant,
    last_confirmed: Timestamp,
    failure: Option<String>,
    base_failure: Option<String>,
    /// Why no WAL is copied at present.
    paused: Option<String>,
}

impl Work {
    pub(super) fn new(options: ArchiverOptions, status: watch::Sender<ArchiveStatus>) -> Self {
        Self {
            options,
            status,
            files: FileWorker::default(),
            upkeep: Upkeep::default(),
            programs: None,
            client: None,
            current: None,
            sample: None,
            synced: Lsn(0),
            progress: None,
            rate: WalRate::default(),
            base: JoinSet::new(),
            taken: None,
            bases: None,
            is_nearly_full: false,
            base_not_before: Instant::now(),
            last_confirmed: clock::now(),
            failure: None,
            base_failure: None,
            paused: None,
        }
    }

    /// One step, whose errors are logged and reported.
    pub(super) async fn step_and_report(&mut self) {
        let outcome = self.step().await;
        if let Err(error) = &outcome {
            // The connection may be the reason.
            self.client = None;
            let text = error.to_string();
            if self.failure.as_ref() != Some(&text) {
                tracing::warn!(%error, "the copy of the WAL cannot be kept");
            }
        }
        self.failure = outcome.err().map(|error| error.to_string());
        self.publish();
    }

    async fn step(&mut self) -> Result<(), Error> {
        let server = self.server_state().await?;
        self.status.send_if_modified(|status| {
            std::mem::replace(&mut status.has_receiver, server.has_receiver) != server.has_receiver
        });
        let room = self.room().await?;
        self.rate.measure(server.flushed, std::time::Instant::now());
        self.keep_up(&server);
        if !self.has_room(room, &server).await? {
            return Ok(());
        }
        let is_current = |current: &&Current| server.has_usable_slot() && server.is_of(&current.lineage);
        match self.current.as_ref().filter(is_current).map(|current| current.lineage.clone()) {
            None => self.begin(&server).await,
            Some(lineage) => {
                self.confirm(&lineage, &server).await?;
                self.end_stalled_receiver(&server).await;
                self.keep_bases(&lineage, &server, room).await
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

    /// The room for the archive.
    async fn room(&self) -> Result<Room, Error> {
        let (directory, layout) = (self.options.directory.clone(), self.options.operator.layout.clone());
        let max = self.options.max_bytes;
        let measure = move || {
            directory::prepare(&directory)?;
            Room::of(&directory, &layout, max)
        };
        self.files.run(&self.options.directory, measure).await
    }

    /// Removes what is too old, and looks at what there is, in the background.
    fn keep_up(&mut self, server: &ServerState) {
        let lineage = self.current.as_ref().map(|current| &current.lineage);
        if let Some(bases) = self.upkeep.take_bases(lineage) {
            self.bases = bases;
        }
        if lineage.is_none() && self.paused.is_none() {
            return;
        }
        let (options, layout) = (&self.options, &self.options.operator.layout);
        self.upkeep.start_if_due(&options.directory, layout, lineage, options.days, server.flushed);
    }

    /// Whether WAL may be copied. Otherwise the slot is removed, because PostgreSQL would keep WAL for it.
    async fn has_room(&mut self, room: Room, server: &ServerState) -> Result<bool, Error> {
        let bytes = self.upkeep.archive_size(server.flushed);
        self.report_size(bytes, room);
        let required = room.require(bytes.unwrap_or(0), self.paused.is_some(), &self.options.directory);
        let Err(reason) = required else {
            if self.paused.take().is_some() {
                tracing::info!("there is room for the copy of the WAL again");
            }
            return Ok(true);
        };
        if self.paused.is_none() {
            self.forget_current();
            self.options.receiver.end().await;
            let client = self.client.as_ref().ok_or(Error::NoArchive)?;
            archive_server::drop_slot(client).await?;
            tracing::error!(%reason, "the copy of the WAL is paused: moments from now until the next base backup cannot be restored");
            self.status.send_modify(|status| status.slots_lost += 1);
        }
        self.paused = Some(reason.to_string());
        Ok(false)
    }

    fn report_size(&mut self, bytes: Option<u64>, room: Room) {
        let Some(bytes) = bytes else { return };
        let limit = room.limit(bytes);
        self.status.send_if_modified(|status| {
            // A new value only when it differs clearly, because each wakes the monitor.
            let is_changed = status.size.is_none_or(|(before, _)| before.abs_diff(bytes) >= 1 << 20);
            status.size = Some((bytes, limit));
            is_changed
        });
        let is_nearly_full = bytes > limit / 10 * 9;
        if is_nearly_full && !self.is_nearly_full {
            tracing::warn!(bytes, limit, "the archive of the WAL has nearly its largest size");
        }
        self.is_nearly_full = is_nearly_full;
    }

    fn forget_current(&mut self) {
        self.current = None;
        self.sample = None;
        self.progress = None;
        self.synced = Lsn(0);
        self.taken = None;
        self.bases = None;
        self.base = JoinSet::new();
    }

    /// Continues the newest lineage, or begins one.
    async fn begin(&mut self, server: &ServerState) -> Result<(), Error> {
        self.forget_current();
        if self.upkeep.is_running() {
            return Ok(());
        }
        let (directory, layout) = (self.options.directory.clone(), self.options.operator.layout.clone());
        let state = server.clone();
        let find = move || find_continued(&directory, &Owner::identified(&layout, &directory)?, &state);
        let (lineage, lock) = match self.files.run(&self.options.directory, find).await? {
            Some(found) => found,
            None => self.begin_lineage(server).await?,
        };
        let (programs, login) = self.programs().await?;
        let (segments, options) = (lineage.segments_directory(), &self.options);
        let started =
            options.receiver.start(&programs, &login, &segments, archive_server::SLOT, options.server_stop_timeout);
        started.await.map_err(Error::at(&segments))?;
        tracing::info!(directory = %lineage.path.display(), "the WAL is copied");
        self.bases = self.span(&lineage).await?;
        self.upkeep.renew();
        self.current = Some(Current { lineage, _lock: lock });
        Ok(())
    }

    async fn begin_lineage(&mut self, server: &ServerState) -> Result<(Lineage, FileLock), Error> {
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
        let (directory, layout) = (self.options.directory.clone(), self.options.operator.layout.clone());
        let (system, timeline) = (server.system, server.timeline);
        let begin = move || {
            let owner = Owner::identified(&layout, &directory)?;
            let lineage = Lineage::begin(&lineage::archive(&directory), &owner, system, timeline, clock::now())?;
            let lock = ownership::lock(&lineage.path)?.ok_or(Error::NoArchive)?;
            Ok((lineage, lock))
        };
        self.files.run(&self.options.directory, begin).await
    }

    async fn span(&self, lineage: &Lineage) -> Result<Option<BaseSpan>, Error> {
        let lineage = lineage.clone();
        self.files.run(&self.options.directory, move || BaseSpan::of(&lineage.bases()?.good)).await
    }

    /// Brings to the disk what was copied, and notes how far the copy is.
    async fn confirm(&mut self, lineage: &Lineage, server: &ServerState) -> Result<(), Error> {
        let (copied, synced) = (server.copied(), self.synced);
        let reached = self.sample.filter(|(position, _)| copied >= *position).map(|(_, moment)| moment);
        if copied > synced || reached.is_some() {
            let (of, path) = (lineage.clone(), &self.options.directory);
            let sync = move || {
                let is_synced = copied <= synced || of.sync(copied)?;
                if is_synced && let Some(moment) = reached {
                    of.confirm(moment)?;
                }
                Ok(is_synced)
            };
            if self.files.run(path, sync).await? {
                self.synced = copied.max(synced);
                if let Some(moment) = reached {
                    self.last_confirmed = moment;
                    self.sample = None;
                }
            }
        }
        self.sample.get_or_insert((server.flushed, server.moment));
        self.status.send_modify(|status| status.lag_bytes = server.flushed.0.saturating_sub(copied.0));
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

    /// Makes a base when it is time.
    async fn keep_bases(&mut self, lineage: &Lineage, server: &ServerState, room: Room) -> Result<(), Error> {
        if let Some(done) = self.base.try_join_next() {
            match done.unwrap_or_else(|error| Err(error.into())) {
                Ok(base) => self.taken = Some((base, None)),
                Err(error) => self.note_failed_base(&error),
            }
            // The next step reads the position up to which it needs WAL: that is after its end in any case.
            return Ok(());
        }
        if let Some((base, end)) = self.taken.take() {
            return self.complete_base(lineage, server, base, end).await;
        }
        if self.base.is_empty() && self.is_base_due(server.flushed) {
            self.start_base(lineage, server, room).await?;
        }
        Ok(())
    }

    /// Completes a base that was taken, when the WAL up to its end is on the disk; `end` is known from the step after it was taken on.
    async fn complete_base(
        &mut self,
        lineage: &Lineage,
        server: &ServerState,
        base: Base,
        end: Option<(Lsn, Timestamp)>,
    ) -> Result<(), Error> {
        let (position, moment) = end.unwrap_or((server.flushed, server.moment));
        if self.synced < position {
            self.taken = Some((base, Some((position, moment))));
            return Ok(());
        }
        let (of, last_moment) = (lineage.clone(), moment.max(self.last_confirmed));
        let completed = self.files.run(&self.options.directory, move || complete(&of, &base, moment, last_moment));
        match completed.await {
            Ok(()) => self.base_failure = None,
            Err(error) => self.note_failed_base(&error),
        }
        self.bases = self.span(lineage).await?;
        self.upkeep.renew();
        Ok(())
    }

    /// Begins to take a base, if there is room for it.
    async fn start_base(&mut self, lineage: &Lineage, server: &ServerState, room: Room) -> Result<(), Error> {
        let client = self.client.as_ref().ok_or(Error::NoArchive)?;
        let database_bytes = archive_server::size(client).await?;
        if let Err(error) = room.require_for_base(database_bytes, self.rate, &self.options.directory) {
            self.note_failed_base(&error);
            return Ok(());
        }
        let (programs, login) = self.programs().await?;
        let (lineage, start) = (lineage.clone(), server.flushed_text.clone());
        self.base.spawn(async move {
            limited("a base backup", Box::pin(base_backup::take(&lineage, &programs, &login, start))).await
        });
        Ok(())
    }

    fn is_base_due(&self, flushed: Lsn) -> bool {
        if Instant::now() < self.base_not_before {
            return false;
        }
        let Some(bases) = self.bases else { return true };
        let days = (self.options.days / BASES_KEPT).max(1);
        let (now, newest) = (clock::now(), bases.newest);
        let is_old = now.duration_since(newest) >= SignedDuration::from_hours(24 * days);
        let limit = self.status.borrow().size.map_or(u64::MAX, |(_, limit)| limit);
        let wal = flushed.0.saturating_sub(bases.newest_start.0);
        let has_much_wal = wal >= (limit / WAL_FRACTION).max(bases.newest_bytes * 2).max(MIN_WAL_BETWEEN_BASES);
        is_old || !clock::is_credible(newest, now) || has_much_wal
    }

    fn note_failed_base(&mut self, error: &Error) {
        tracing::error!(%error, "a base backup failed");
        self.base_failure = Some(format!("a base backup failed: {error}"));
        self.base_not_before = Instant::now() + BASE_RETRY;
    }

    fn publish(&self) {
        let behind = clock::now().duration_since(self.last_confirmed) > BEHIND_AFTER;
        let behind = behind.then(|| format!("the copy of the WAL is behind since {}", self.last_confirmed));
        let problem = self.paused.clone().or_else(|| self.failure.clone()).or(behind);
        let problem = problem.or_else(|| self.base_failure.clone()).or_else(|| self.upkeep.failure.clone());
        self.status.send_if_modified(|status| {
            let next = ArchiveStatus {
                earliest: self.bases.map(|bases| bases.first),
                latest: self.bases.map(|bases| bases.newest.max(self.last_confirmed)),
                problem,
                ..status.clone()
            };
            let is_changed = *status != next;
            *status = next;
            is_changed
        });
    }
}

/// The newest lineage of this owner, if the WAL of the server continues it and no other process writes into it. What killed processes left of bases is
/// removed.
fn find_continued(directory: &Path, owner: &Owner, server: &ServerState) -> Result<Option<(Lineage, FileLock)>, Error> {
    let mut own = Lineage::all(&lineage::archive(directory))?;
    own.retain(|lineage| owner.has_lineage(&lineage.path));
    let mut newest = None;
    for lineage in own {
        let Some(lock) = ownership::lock(&lineage.path)? else { continue };
        base_backup::remove_incomplete(&lineage)?;
        if server.is_of(&lineage) {
            newest = Some((lineage, lock));
        }
    }
    match newest {
        Some((lineage, lock)) if server.continues(&lineage)? => Ok(Some((lineage, lock))),
        _ => Ok(None),
    }
}

/// Makes a base of the files that were taken, when all WAL that they need is there.
fn complete(lineage: &Lineage, base: &Base, moment: Timestamp, last_moment: Timestamp) -> Result<(), Error> {
    lineage.segments_from(base.first_segment()?)?;
    base_backup::complete(base, moment)?;
    lineage.confirm(last_moment)?;
    tracing::info!(file = %base.file.display(), "a base backup is complete");
    Ok(())
}
