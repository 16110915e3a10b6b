//! The answers that the clients of a deployment got, and whether they are true.
//!
//! Policy: a record is a version of an employee. A version whose create was answered with 200 is acknowledged: it must be found by every later read, and
//! be in the table once. One that was answered with 503, or not at all, may be stored. One that was refused for what it says must not be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::support::{Creates, Sql};

/// How many violations are described.
const MAX_EXAMPLES: usize = 20;

/// The versions of one employee. One writer writes them, in order.
#[derive(Default)]
pub struct Subject {
    /// The latest version that was sent.
    pub issued: AtomicU32,
    /// The latest version that was acknowledged.
    pub acknowledged: AtomicU32,
    /// Every version that was acknowledged.
    stored: Mutex<BTreeSet<u32>>,
}

/// What was said about the records of one deployment.
pub struct Ledger {
    /// The employees, by number.
    pub subjects: Vec<Subject>,
    probes: Mutex<Vec<String>>,
    refused: Mutex<Vec<String>>,
    violations: Mutex<Vec<String>>,
    /// Answers by what they were for and said.
    answers: Mutex<BTreeMap<(&'static str, String), usize>>,
    violation_count: AtomicUsize,
}

impl Ledger {
    /// A ledger for so many employees.
    pub fn new(subjects: usize) -> Self {
        Self {
            subjects: (0..subjects).map(|_| Subject::default()).collect(),
            probes: Mutex::default(),
            refused: Mutex::default(),
            violations: Mutex::default(),
            answers: Mutex::default(),
            violation_count: AtomicUsize::new(0),
        }
    }

    /// Notes that a version was acknowledged.
    pub fn acknowledge(&self, subject: usize, version: u32) {
        let subject = &self.subjects[subject];
        lock(&subject.stored).insert(version);
        subject.acknowledged.fetch_max(version, Ordering::SeqCst);
    }

    /// Notes that the record of a probe was acknowledged.
    pub fn stored_probe(&self, id: &str) {
        lock(&self.probes).push(id.to_owned());
    }

    /// Notes that a record was refused for what it says.
    pub fn refuse(&self, id: String) {
        lock(&self.refused).push(id);
    }

    /// Counts an answer.
    pub fn count(&self, purpose: &'static str, answer: String) {
        *lock(&self.answers).entry((purpose, answer)).or_default() += 1;
    }

    /// Notes what must not happen.
    pub fn violation(&self, text: String) {
        self.violation_count.fetch_add(1, Ordering::Relaxed);
        let mut violations = lock(&self.violations);
        if violations.len() < MAX_EXAMPLES {
            println!("VIOLATION: {text}");
            violations.push(text);
        }
    }

    /// How many violations there were, and the first of them.
    pub fn violations(&self) -> (usize, Vec<String>) {
        (self.violation_count.load(Ordering::Relaxed), lock(&self.violations).clone())
    }

    /// The numbers of answers.
    pub fn answers(&self) -> BTreeMap<(&'static str, String), usize> {
        lock(&self.answers).clone()
    }

    /// Compares the table with what was said before this began.
    pub fn check_table(&self, sql: &Sql) {
        let acknowledged: Vec<BTreeSet<u32>> =
            self.subjects.iter().map(|subject| lock(&subject.stored).clone()).collect();
        let (probes, refused) = (lock(&self.probes).clone(), lock(&self.refused).clone());
        let mut rows: BTreeMap<(String, String), usize> = BTreeMap::new();
        for row in sql.rows("SELECT id, date, name FROM records") {
            let [Some(id), Some(date), Some(name)] = &row[..] else {
                self.violation(format!("incomplete: {row:?}"));
                continue;
            };
            if name == OTHER_NAME {
                self.violation(format!("overwritten: {id} of {date}, although its create was to be a conflict"));
            }
            *rows.entry((id.clone(), date.clone())).or_default() += 1;
        }
        for ((id, date), count) in rows.iter().filter(|(_, count)| **count > 1) {
            self.violation(format!("duplicated: {id} of {date} is stored {count} times"));
        }
        for (number, versions) in acknowledged.iter().enumerate() {
            for version in versions {
                if !rows.contains_key(&(format!("e{number}"), Creates::day(*version))) {
                    self.violation(format!("lost: version {version} of e{number} ({})", Creates::day(*version)));
                }
            }
        }
        let ids: BTreeSet<&String> = rows.keys().map(|(id, _)| id).collect();
        for id in probes.iter().filter(|id| !ids.contains(id)) {
            self.violation(format!("lost: {id}"));
        }
        for id in refused.iter().filter(|id| ids.contains(id)) {
            self.violation(format!("refused but stored: {id}"));
        }
    }
}

/// The name in creates that must be refused as conflicts.
pub const OTHER_NAME: &str = "a second record of one day";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
