//! Makes a backup each day, and proves each week that one can be restored.
//!
//! Policy: a backup is due when there is none since the last scheduled time, so one that was missed while the appliance did not run is made when it
//! starts. A failure is reported and tried again after an hour; if only the copy failed, only the copy is. Older backups are removed only after a success. A clock that was set back by less than a day
//! neither repeats a backup nor delays the next one; one that was wrong by more is corrected by the next backup. Nothing here affects requests: file operations in the
//! directory of backups, which may be on a network file system, run on other threads and are given up when they do not end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::backup_file::Target;
use super::backup_keys::BackupKeys;
use super::loader::{self, CheckedBackup};
use super::manifest::Trigger;
use super::operator::{Created, Operator};
use super::state::{CopyFailure, State, text, time};
use super::{Error, FileWorker, Owner, clock, list, retention};
use crate::config::{Keep, TimeOfDay};
use crate::managed::shell_command;

/// How often the clock is read.
const POLL_INTERVAL: Duration = Duration::from_secs(20);
/// After a failure.
const RETRY_SECONDS: i64 = 3600;
const DAY_SECONDS: i64 = 86_400;
/// A backup is overdue when the last one is older than a day and this.
const OVERDUE_GRACE_SECONDS: i64 = 2 * 3600;
/// The verification of a week begins a little earlier than seven days after the last one, so that its time does not move.
const VERIFY_SECONDS: i64 = 7 * DAY_SECONDS - 6 * 3600;
const VERIFY_RETRY_SECONDS: i64 = DAY_SECONDS;
/// The time that the removal of old backups may take: a large file takes a while on some file systems.
const RETENTION_TIMEOUT: Duration = Duration::from_secs(900);
/// The time that `backup.copy_command` may take.
const COPY_TIMEOUT: Duration = Duration::from_secs(12 * 3600);

/// What is done when.
#[derive(Debug, Clone)]
pub struct Plan {
    /// When the backup of each day is made, in UTC.
    pub at: TimeOfDay,
    /// Where.
    pub directory: PathBuf,
    /// Which are kept.
    pub keep: Keep,
    /// What copies each to another machine.
    pub copy_command: Option<String>,
    /// Whether one is verified each week.
    pub is_verified: bool,
    /// How they are encrypted, if they are.
    pub keys: BackupKeys,
}

/// The task of the schedule; it ends when this is dropped, and what it is doing is given up.
#[derive(Debug)]
pub struct Schedule(JoinHandle<()>);

impl Schedule {
    /// Starts the task.
    pub fn start(operator: Arc<Operator>, plan: Plan) -> Self {
        Self(tokio::spawn(run(operator, plan)))
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run(operator: Arc<Operator>, plan: Plan) {
    let begun = operator.record(|state| {
        state.scheduled_since.get_or_insert_with(|| text(clock::now()));
    });
    if let Err(error) = begun {
        tracing::warn!(%error, "the state of backups cannot be written");
    }
    let mut seen = State::read(&operator.layout);
    loop {
        // Commands make and verify backups, too.
        let written = State::read(&operator.layout);
        if written != seen {
            operator.status.send_replace(written.clone());
            seen = written;
        }
        let now = clock::now();
        let state = operator.status.borrow().clone();
        if is_backup_due(&state, plan.at, now) {
            back_up(&operator, &plan).await;
        } else if plan.is_verified && is_verification_due(&state, now) {
            verify_newest(&operator, &plan).await;
        } else {
            sleep(POLL_INTERVAL).await;
        }
    }
}

/// The last scheduled time that has passed, in seconds since 1970.
fn last_scheduled(at: TimeOfDay, now: Timestamp) -> i64 {
    let of_day = i64::from(at.hour) * 3600 + i64::from(at.minute) * 60;
    let passed = (now.as_second() - of_day).rem_euclid(DAY_SECONDS);
    now.as_second() - passed
}

/// A moment that was noted, in seconds since 1970, if it can be one of the past.
fn seconds(text: Option<&String>, now: Timestamp) -> Option<i64> {
    time(text).filter(|noted| clock::is_credible(*noted, now)).map(Timestamp::as_second)
}

fn is_backup_due(state: &State, at: TimeOfDay, now: Timestamp) -> bool {
    let covered = seconds(state.last_success.as_ref(), now).or(seconds(state.scheduled_since.as_ref(), now));
    let may_retry = seconds(state.last_failure.as_ref(), now)
        .is_none_or(|failed| !(0..RETRY_SECONDS).contains(&(now.as_second() - failed)));
    let is_covered = covered.is_some_and(|covered| covered >= last_scheduled(at, now)) && state.copy_failure.is_none();
    !is_covered && may_retry
}

fn is_verification_due(state: &State, now: Timestamp) -> bool {
    let older = |text: Option<&String>, limit| seconds(text, now).is_none_or(|at| now.as_second() - at >= limit);
    state.last_success.is_some()
        && older(state.last_verified.as_ref(), VERIFY_SECONDS)
        && older(state.last_verify_failure.as_ref(), VERIFY_RETRY_SECONDS)
}

/// Since when no backup was made, if one is overdue.
pub fn overdue_since(state: &State, now: Timestamp) -> Option<Timestamp> {
    let noted = |text: Option<&String>| time(text).filter(|noted| clock::is_credible(*noted, now));
    let last = noted(state.last_success.as_ref()).or(noted(state.scheduled_since.as_ref()))?;
    (now.as_second() - last.as_second() > DAY_SECONDS + OVERDUE_GRACE_SECONDS).then_some(last)
}

/// Why the last backup failed, or was not copied; `None` if it succeeded.
pub fn failure(state: &State) -> Option<&str> {
    let copy = state.copy_failure.as_ref().map(|failure| failure.reason.as_str());
    state.reason.as_deref().or(copy)
}

async fn back_up(operator: &Operator, plan: &Plan) {
    let recorded = match attempt(operator, plan).await {
        Ok(()) => return,
        Err(error) => {
            tracing::error!(%error, "the scheduled backup failed");
            operator.record(|state| {
                state.last_failure = Some(text(clock::now()));
                state.reason = Some(error.to_string());
            })
        }
    };
    if let Err(error) = recorded {
        tracing::warn!(%error, "the state of backups cannot be written");
    }
}

async fn attempt(operator: &Operator, plan: &Plan) -> Result<(), Error> {
    let before = operator.status.borrow().clone();
    let (file, made_at, created) = match uncopied(operator, plan, &before).await? {
        Some((file, made_at)) => (file, made_at, None),
        None => {
            let created = create(operator, plan).await?;
            (created.path.clone(), text(clock::now()), Some(created))
        }
    };
    let created = created.as_ref();
    if let Some(command) = &plan.copy_command {
        let copied = shell_command::run(command, &file, COPY_TIMEOUT).await;
        if let Err(error) = copied {
            let error = Error::Copy(error);
            let failure = CopyFailure { file, made_at, reason: error.to_string() };
            operator.record(|state| {
                // Without a copy, the backup of this day has not succeeded.
                state.last_success.clone_from(&before.last_success);
                state.copy_failure = Some(failure.clone());
            })?;
            return Err(error);
        }
    }
    operator.record(|state| {
        if state.copy_failure.take().is_some() {
            // Times in whole seconds and UTC have the order of their texts.
            state.last_success = state.last_success.take().max(Some(made_at.clone()));
            state.reason = None;
        }
    })?;
    let (directory, layout, keep) = (plan.directory.clone(), operator.layout.clone(), plan.keep.clone());
    let prune = move || retention::prune(&directory, &Owner::read(&layout, &directory), &keep);
    let removed = FileWorker::with_timeout(RETENTION_TIMEOUT).run(&plan.directory, prune).await?;
    operator.record(|state| state.files.retain(|path| !removed.contains(path)))?;
    tracing::info!(
        file = %file.display(),
        bytes = created.map(|created| created.bytes),
        records = created.map(|created| created.manifest.records()),
        duration_ms = created.map(|created| u64::try_from(created.duration.as_millis()).unwrap_or(u64::MAX)),
        removed = removed.len(),
        "the scheduled backup is complete"
    );
    Ok(())
}

/// The backup of the last scheduled time, if it was made and only its copy is missing: a copy that fails for days must not fill the disk with backups.
async fn uncopied(operator: &Operator, plan: &Plan, state: &State) -> Result<Option<(PathBuf, String)>, Error> {
    let Some(CopyFailure { file, made_at, .. }) = state.copy_failure.clone() else { return Ok(None) };
    let now = clock::now();
    if seconds(Some(&made_at), now).is_none_or(|made_at| made_at < last_scheduled(plan.at, now)) {
        return Ok(None);
    }
    let path = file.clone();
    let exists = operator.files.run(&file, move || path.try_exists().map_err(Error::at(&path))).await?;
    Ok(exists.then_some((file, made_at)))
}

async fn create(operator: &Operator, plan: &Plan) -> Result<Created, Error> {
    let keys = plan.keys.clone();
    let encryption = operator.files.run(plan.keys.path(), move || keys.encryption()).await?;
    let target = Target::Directory(plan.directory.clone());
    operator.create(&target, Trigger::Schedule, None, encryption.as_ref()).await
}

async fn verify_newest(operator: &Operator, plan: &Plan) {
    let outcome = match newest(operator, plan).await {
        Ok(Some(file)) => verify(operator, plan, &file).await.map(|()| Some(file)),
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    let recorded = match outcome {
        Ok(Some(file)) => {
            tracing::info!(file = %file.display(), "the newest backup was restored for a test");
            operator.record(|state| {
                state.last_verified = Some(text(clock::now()));
                state.verify_reason = None;
            })
        }
        // Nothing is proven, and nothing is known to be wrong: the last backup may have gone into another directory.
        Ok(None) => {
            tracing::warn!(directory = %plan.directory.display(), "there is no backup that could be restored for a test");
            operator.record(|state| state.last_verify_failure = Some(text(clock::now())))
        }
        Err(error) => {
            tracing::error!(%error, "the newest backup could not be restored for a test");
            operator.record(|state| {
                state.last_verify_failure = Some(text(clock::now()));
                state.verify_reason = Some(error.to_string());
            })
        }
    };
    if let Err(error) = recorded {
        tracing::warn!(%error, "the state of backups cannot be written");
    }
}

async fn verify(operator: &Operator, plan: &Plan, path: &Path) -> Result<(), Error> {
    let (keys, opened) = (plan.keys.clone(), path.to_owned());
    let open = move || Ok((loader::open(&opened)?, keys.decryption()?));
    let (file, key) = operator.files.run(path, open).await?;
    operator.verify(&CheckedBackup::check(path, file, key).await?).await
}

/// The newest backup of this data directory.
async fn newest(operator: &Operator, plan: &Plan) -> Result<Option<PathBuf>, Error> {
    let (directory, layout) = (plan.directory.clone(), operator.layout.clone());
    let find = move || list::newest_own(&directory, &Owner::read(&layout, &directory));
    Ok(operator.files.run(&plan.directory, find).await?.map(|newest| newest.file))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: TimeOfDay = TimeOfDay { hour: 3, minute: 15 };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn state(success: Option<&str>, failure: Option<&str>, since: &str) -> State {
        State {
            last_success: success.map(str::to_owned),
            last_failure: failure.map(str::to_owned),
            scheduled_since: Some(since.to_owned()),
            ..State::default()
        }
    }

    #[test]
    fn a_backup_is_due_at_its_time_and_after_it_was_missed() {
        let since = "2026-01-30T12:00:00Z";
        for (success, now, expected) in [
            (None, "2026-01-30T13:00:00Z", false),
            (None, "2026-01-31T03:14:59Z", false),
            (None, "2026-01-31T03:15:00Z", true),
            (Some("2026-01-31T03:15:20Z"), "2026-01-31T12:00:00Z", false),
            (Some("2026-01-31T03:15:20Z"), "2026-02-01T03:15:00Z", true),
            (Some("2026-01-31T03:15:20Z"), "2026-02-05T01:00:00Z", true),
            // The clock was set back by an hour after the backup.
            (Some("2026-01-31T03:15:20Z"), "2026-01-31T02:15:30Z", false),
            (Some("2026-01-31T03:15:20Z"), "2026-01-31T03:15:05Z", false),
            (Some("2026-01-31T03:15:20Z"), "2026-01-31T03:15:30Z", false),
            // It was wrong by years, and corrected.
            (Some("2036-01-31T03:15:20Z"), "2026-01-31T02:00:00Z", false),
            (Some("2036-01-31T03:15:20Z"), "2026-01-31T03:15:00Z", true),
        ] {
            assert_eq!(is_backup_due(&state(success, None, since), AT, at(now)), expected, "{success:?} {now}");
        }
    }

    #[test]
    fn a_failed_backup_is_tried_again_after_an_hour() {
        let failed = state(None, Some("2026-01-31T03:15:10Z"), "2026-01-30T12:00:00Z");
        assert!(!is_backup_due(&failed, AT, at("2026-01-31T04:15:00Z")));
        assert!(is_backup_due(&failed, AT, at("2026-01-31T04:15:10Z")));
    }

    #[test]
    fn a_copy_that_failed_is_due_until_it_succeeds_whatever_else_is_backed_up() {
        let failure =
            CopyFailure { file: "/b.tar".into(), made_at: "2026-01-31T03:15:09Z".into(), reason: "no route".into() };
        let by_hand = State {
            copy_failure: Some(failure),
            ..state(Some("2026-01-31T03:40:00Z"), Some("2026-01-31T03:15:10Z"), "2026-01-30T12:00:00Z")
        };
        assert_eq!(super::failure(&by_hand), Some("no route"));
        assert!(!is_backup_due(&by_hand, AT, at("2026-01-31T04:15:00Z")));
        assert!(is_backup_due(&by_hand, AT, at("2026-01-31T04:15:10Z")));
        let copied = State { copy_failure: None, ..by_hand };
        assert_eq!(super::failure(&copied), None);
        assert!(!is_backup_due(&copied, AT, at("2026-01-31T04:15:10Z")));
    }

    #[test]
    fn a_backup_is_overdue_after_a_day_and_two_hours() {
        let state = state(Some("2026-01-31T03:15:20Z"), None, "2026-01-01T12:00:00Z");
        assert_eq!(overdue_since(&state, at("2026-02-01T05:15:20Z")), None);
        assert_eq!(overdue_since(&state, at("2026-02-01T05:15:21Z")), Some(at("2026-01-31T03:15:20Z")));
        // A time of a clock that was wrong does not hide it.
        let wrong = State { last_success: Some("2036-01-31T03:15:20Z".to_owned()), ..state };
        assert_eq!(overdue_since(&wrong, at("2026-02-01T05:15:21Z")), Some(at("2026-01-01T12:00:00Z")));
    }

    #[test]
    fn a_clock_that_is_set_back_neither_repeats_a_backup_nor_stops_the_schedule() {
        // The clock of each minute of two days, during which it is set back by an hour every six hours: how often a backup is made.
        let mut state = state(None, None, "2026-01-30T00:00:00Z");
        let mut made = Vec::new();
        let (mut seconds, end) = (at("2026-01-30T00:00:00Z").as_second(), at("2026-02-02T00:00:00Z").as_second());
        let mut minutes = 0;
        while seconds < end {
            let now = Timestamp::from_second(seconds).unwrap();
            if is_backup_due(&state, AT, now) {
                made.push(now.strftime("%d %H:%M").to_string());
                state.last_success = Some(text(now));
            }
            minutes += 1;
            seconds += if minutes % 360 == 0 { 60 - 3600 } else { 60 };
        }
        assert_eq!(made, ["30 03:15", "31 03:15", "01 03:15"]);
    }

    #[test]
    fn a_verification_follows_a_backup_once_a_week() {
        let mut state = state(None, None, "2026-01-01T12:00:00Z");
        assert!(!is_verification_due(&state, at("2026-01-31T04:00:00Z")));
        state.last_success = Some("2026-01-31T03:15:20Z".to_owned());
        assert!(is_verification_due(&state, at("2026-01-31T04:00:00Z")));
        state.last_verified = Some("2026-01-31T03:20:00Z".to_owned());
        assert!(!is_verification_due(&state, at("2026-02-06T03:20:00Z")));
        assert!(is_verification_due(&state, at("2026-02-07T03:20:00Z")));
        state.last_verify_failure = Some("2026-02-07T03:20:00Z".to_owned());
        assert!(!is_verification_due(&state, at("2026-02-07T04:00:00Z")));
    }
}
