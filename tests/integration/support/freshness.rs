//! Checks freshness under load: a read that starts after a change was acknowledged must show that change.
//!
//! Policy: a kind of change implements [`Change`], which says how to write a version of a subject (an employee, say), how
//! to read it, and whether an answer shows a version. The checker does the rest. Writers write versions 1, 2, 3, … of a
//! few subjects through all instances and read each one back; readers read all the time. Each read notes the latest
//! acknowledged version before it is sent, and the latest issued version after it is answered. An answer that shows none
//! of the versions between them counts as stale, from whichever instance or cache it came.
//!
//! A change by another program (`perform`) is seen some time after its commit: its version counts as acknowledged that much later
//! (`visible_after`).
//!
//! To check one more kind of change, implement [`Change`] for it and add it with [`FreshnessChecker::with`]. Several kinds
//! can run in one load, so that the invalidations of one are also checked against the reads of another.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::choice::Choice;
use super::http::{Connection, Request, Response};
use super::{Appliance, Builder};

const WRITERS: usize = 32;
const READERS: usize = 32;
const WRITES_PER_WRITER: usize = 40;
/// Few, so that writers and readers meet on each of them.
const SUBJECTS: usize = 8;
/// How many stale reads a report describes.
const MAX_EXAMPLES: usize = 5;

/// One kind of change, such as creates or corrections.
pub(crate) trait Change: Sync {
    /// The request that makes `version` the current state of `subject`. Subjects must differ from those of other changes.
    fn write(&self, subject: usize, version: u32) -> Request;

    /// The status of an acknowledged write; any other status fails the check.
    fn acknowledged_status(&self) -> u16 {
        200
    }

    /// Makes the change and returns when it is acknowledged. A change by another program does not use the connection.
    fn perform(&self, subject: usize, version: u32, connection: &mut Connection) {
        let answer = connection.send(&self.write(subject, version)).expect("the write is answered");
        answer.expect(self.acknowledged_status());
    }

    /// How long after the acknowledgement reads may still show the former version. Only changes by other programs have such a time.
    fn visible_after(&self) -> Duration {
        Duration::ZERO
    }

    /// The ways to read `subject` once `acknowledged` was acknowledged; the checker uses them in turn.
    fn reads(&self, subject: usize, acknowledged: u32) -> Vec<Request>;

    /// Whether this answer to one of the [`reads`](Self::reads) shows `version` as the current state of `subject`.
    fn shows(&self, subject: usize, version: u32, answer: &Response) -> bool;

    /// Whether writes to one subject may overlap. A change that overwrites or deletes must not allow it: the version that
    /// is committed last would be unknown. A create may allow it if the highest version is current whatever the order.
    fn allows_overlapping_writes(&self) -> bool {
        false
    }
}

/// How far the versions of one subject are.
#[derive(Default)]
struct Clock {
    issued: AtomicU32,
    acknowledged: AtomicU32,
    /// Held during a write if writes must not overlap.
    writing: Mutex<()>,
}

/// A change and the clocks of its subjects.
struct CheckedChange<'a> {
    change: &'a dyn Change,
    clocks: [Clock; SUBJECTS],
}

/// Runs the load and counts stale reads; see the module's documentation.
pub(crate) struct FreshnessChecker<'a> {
    instances: &'a [Appliance],
    changes: Vec<CheckedChange<'a>>,
    writes_per_writer: usize,
    writers_are_done: AtomicBool,
    writes: AtomicUsize,
    reads: AtomicUsize,
    stale_reads: AtomicUsize,
    examples: Mutex<Vec<String>>,
}

/// What a check has found.
#[derive(Debug)]
pub(crate) struct FreshnessReport {
    /// Acknowledged writes.
    pub(crate) writes: usize,
    /// Reads that were compared with a clock.
    pub(crate) reads: usize,
    /// Reads that did not show what had been acknowledged.
    pub(crate) stale_reads: usize,
    /// The first few of them.
    pub(crate) examples: Vec<String>,
}

impl FreshnessReport {
    /// Fails if a read was stale, or if nothing was checked.
    pub(crate) fn assert_fresh(&self) {
        assert!(self.writes > 0 && self.reads > self.writes, "too little was checked: {self:?}");
        assert_eq!(self.stale_reads, 0, "of {} reads; the first: {:#?}", self.reads, self.examples);
    }
}

impl<'a> FreshnessChecker<'a> {
    /// A checker for instances that serve one database.
    pub(crate) fn new(instances: &'a [Appliance]) -> Self {
        Self {
            instances,
            changes: Vec::new(),
            writes_per_writer: WRITES_PER_WRITER,
            writers_are_done: AtomicBool::new(false),
            writes: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            stale_reads: AtomicUsize::new(0),
            examples: Mutex::default(),
        }
    }

    /// The settings for an instance. A check is about freshness and not about speed, so requests get time to wait for a
    /// busy machine, and connections to wait for their first request.
    pub(crate) fn instance_builder() -> Builder {
        Appliance::builder()
            .env("ATTENDANCE_API__POSTGRES__REQUEST_TIMEOUT", "20s")
            .env("ATTENDANCE_API__SERVER__HEAD_TIMEOUT", "60s")
    }

    /// Adds a kind of change.
    pub(crate) fn with(mut self, change: &'a dyn Change) -> Self {
        self.changes.push(CheckedChange { change, clocks: Default::default() });
        self
    }

    /// Makes so many writes with each writer instead of the usual number.
    pub(crate) fn writes_per_writer(mut self, count: usize) -> Self {
        self.writes_per_writer = count;
        self
    }

    /// Runs the load until all writes are acknowledged.
    pub(crate) fn run(self) -> FreshnessReport {
        self.run_load();
        self.into_report()
    }

    /// Runs the load and calls `disturb` again and again until all writes are acknowledged.
    pub(crate) fn run_while(self, mut disturb: impl FnMut()) -> FreshnessReport {
        thread::scope(|scope| {
            let load = scope.spawn(|| self.run_load());
            while !load.is_finished() {
                disturb();
            }
            load.join().expect("every request of the load is answered");
        });
        self.into_report()
    }

    fn into_report(self) -> FreshnessReport {
        FreshnessReport {
            writes: self.writes.into_inner(),
            reads: self.reads.into_inner(),
            stale_reads: self.stale_reads.into_inner(),
            examples: self.examples.into_inner().unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn run_load(&self) {
        assert!(!self.changes.is_empty(), "there is a change to check");
        thread::scope(|scope| {
            let readers: Vec<_> = (0..READERS).map(|reader| scope.spawn(move || self.read_all(reader))).collect();
            let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || self.write_all(writer))).collect();
            let written: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            // Set even if a writer has failed: otherwise the readers would never end.
            self.writers_are_done.store(true, Ordering::SeqCst);
            let read: Vec<_> = readers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            assert!(written.iter().all(Result::is_ok), "a writer failed");
            assert!(read.iter().all(Result::is_ok), "a reader failed");
        });
    }

    /// A connection to each instance. Each has had a request, because one that has sent nothing is soon closed (`server.first_byte_timeout`).
    fn connect(&self) -> Vec<Connection> {
        let connect = |instance: &Appliance| {
            let mut connection = instance.connect();
            connection.send(&Request::get("/livez")).expect("a new connection is answered");
            connection
        };
        self.instances.iter().map(connect).collect()
    }

    fn write_all(&self, writer: usize) {
        let mut connections = self.connect();
        let mut choice = Choice::new(writer as u64);
        for _ in 0..self.writes_per_writer {
            let (checked, subject) = (choice.of(&self.changes), choice.below(SUBJECTS));
            let instance = choice.below(connections.len());
            self.write(checked, subject, &mut connections[instance]);
            self.read(checked, subject, &mut connections, &mut choice);
        }
    }

    fn write(&self, checked: &CheckedChange<'_>, subject: usize, connection: &mut Connection) {
        let CheckedChange { change, clocks } = checked;
        let clock = &clocks[subject];
        let exclusive = || clock.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let guard = (!change.allows_overlapping_writes()).then(exclusive);
        let version = clock.issued.fetch_add(1, Ordering::SeqCst) + 1;
        change.perform(subject, version, connection);
        drop(guard);
        thread::sleep(change.visible_after());
        clock.acknowledged.fetch_max(version, Ordering::SeqCst);
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    fn read_all(&self, reader: usize) {
        let mut connections = self.connect();
        let mut choice = Choice::new((WRITERS + reader) as u64);
        while !self.writers_are_done.load(Ordering::SeqCst) {
            let (checked, subject) = (choice.of(&self.changes), choice.below(SUBJECTS));
            self.read(checked, subject, &mut connections, &mut choice);
        }
    }

    /// Reads a subject in one of its ways through one of the instances, and compares the answer with the clock.
    fn read(&self, checked: &CheckedChange<'_>, subject: usize, connections: &mut [Connection], choice: &mut Choice) {
        let CheckedChange { change, clocks } = checked;
        let acknowledged = clocks[subject].acknowledged.load(Ordering::SeqCst);
        if acknowledged == 0 {
            // Nothing is promised yet. A reader that is early must not spin.
            thread::yield_now();
            return;
        }
        let instance = choice.below(connections.len());
        let ways = change.reads(subject, acknowledged);
        let request = choice.of(&ways);
        let answer = connections[instance].send(request).expect("the read is answered");
        let issued = clocks[subject].issued.load(Ordering::SeqCst);
        self.reads.fetch_add(1, Ordering::Relaxed);
        if !(acknowledged..=issued).any(|version| change.shows(subject, version, &answer)) {
            self.stale_reads.fetch_add(1, Ordering::Relaxed);
            let mut examples = self.examples.lock().unwrap_or_else(PoisonError::into_inner);
            if examples.len() < MAX_EXAMPLES {
                let body = String::from_utf8_lossy(&answer.body);
                examples.push(format!(
                    "instance {instance}, {request:?}: versions {acknowledged} to {issued} expected, answered {} {body:.300}",
                    answer.status
                ));
            }
        }
    }
}
