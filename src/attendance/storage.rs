//! Whether the disk of the database takes further records.
//!
//! Policy: a full disk is a state of its own. PostgreSQL still answers reads then, so the service is healthy; creates are refused before they
//! reach PostgreSQL, because it ends when it cannot write its log. The state is measured by the appliance where it manages PostgreSQL,
//! and reported here; an error of a statement that names the disk is only a suspicion, which is measured next.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::database::DiskProblem;

/// The result of a measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageReport {
    /// Bytes that the database may still use.
    pub free_bytes: u64,
    /// Files that it may still make; none if the file system has no such limit.
    pub free_inodes: Option<u64>,
    /// What prevents further records, and the reason in words.
    pub problem: Option<(DiskProblem, String)>,
}

/// The last measurement, and since when it is so.
#[derive(Debug, Clone)]
pub struct StorageHealth {
    /// The measurement.
    pub report: StorageReport,
    /// When the present problem began or the last one ended.
    pub since: Timestamp,
}

/// The disk of the database. Without a report, as with an external PostgreSQL, it takes records.
#[derive(Debug, Default)]
pub struct Storage {
    health: Mutex<Option<StorageHealth>>,
    is_blocked: AtomicBool,
    is_suspected: AtomicBool,
}

impl Storage {
    fn lock(&self) -> MutexGuard<'_, Option<StorageHealth>> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a measurement; true if a problem has begun or ended.
    pub fn report(&self, report: StorageReport) -> bool {
        let mut health = self.lock();
        let before = health.as_ref().and_then(|health| health.report.problem.as_ref()).map(|(problem, _)| *problem);
        let now = report.problem.as_ref().map(|(problem, _)| *problem);
        self.is_blocked.store(now.is_some(), Ordering::Relaxed);
        let since = match health.as_ref() {
            Some(health) if before == now => health.since,
            _ => Timestamp::now(),
        };
        *health = Some(StorageHealth { report, since });
        before != now
    }

    /// The last measurement; none with an external PostgreSQL.
    pub fn health(&self) -> Option<StorageHealth> {
        self.lock().clone()
    }

    /// Why no record can be stored, according to the last measurement.
    pub fn problem(&self) -> Option<DiskProblem> {
        // The lock is taken only while there is a problem.
        if !self.is_blocked.load(Ordering::Relaxed) {
            return None;
        }
        Some(self.lock().as_ref()?.report.problem.as_ref()?.0)
    }

    /// Notes that a statement failed because of the disk.
    pub(super) fn suspect(&self) {
        self.is_suspected.store(true, Ordering::Relaxed);
    }

    /// Whether a statement has failed because of the disk since the last call.
    pub fn take_suspicion(&self) -> bool {
        self.is_suspected.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(problem: Option<DiskProblem>) -> StorageReport {
        StorageReport { free_bytes: 1, free_inodes: None, problem: problem.map(|problem| (problem, "why".to_owned())) }
    }

    #[test]
    fn a_problem_begins_and_ends_with_a_report_and_only_the_change_counts() {
        let storage = Storage::default();
        assert_eq!(storage.problem(), None);
        assert!(!storage.report(report(None)));
        assert!(storage.report(report(Some(DiskProblem::Full))));
        assert_eq!(storage.problem(), Some(DiskProblem::Full));
        let since = storage.health().unwrap().since;
        assert!(!storage.report(report(Some(DiskProblem::Full))));
        assert_eq!(storage.health().unwrap().since, since);
        assert!(storage.report(report(Some(DiskProblem::ReadOnly))));
        assert!(storage.report(report(None)));
        assert_eq!(storage.problem(), None);
    }

    #[test]
    fn a_suspicion_is_taken_once() {
        let storage = Storage::default();
        storage.suspect();
        assert_eq!((storage.take_suspicion(), storage.take_suspicion()), (true, false));
    }
}
