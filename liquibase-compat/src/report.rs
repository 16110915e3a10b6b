//! What a run did.

use crate::changeset_id::ChangeSetId;
use crate::plan::FilterReason;

/// How a changeset ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It ran for the first time.
    Executed,
    /// It ran again (`runAlways`, `runOnChange`).
    Reran,
    /// It was recorded as run without being run, because of a precondition or failed validation.
    MarkedRan,
    /// It was left for the next time, because of a precondition.
    Skipped {
        /// The precondition's message.
        reason: String,
    },
    /// It failed, and `failOnError="false"` let the run go on; it is tried again next time.
    FailedAndIgnored {
        /// What PostgreSQL said.
        reason: String,
    },
    /// It was rolled back.
    RolledBack,
}

/// What a run did, changeset by changeset, in the order it was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The changesets touched, and how each ended.
    pub changesets: Vec<(ChangeSetId, Outcome)>,
    /// Checksums that were filled or raised to version 9.
    pub checksums_upgraded: usize,
    /// Changesets that had run before and did not run again.
    pub previously_run: usize,
    /// Changesets left out.
    pub filtered_out: usize,
    /// Why, and how many for each reason, in the order the reasons were met. A changeset may have several.
    pub filtered: Vec<(FilterReason, usize)>,
    /// What the rows of this run have in common; none if no row was written.
    pub deployment_id: Option<String>,
}

impl Report {
    /// How many changesets ran or were marked so.
    pub fn run(&self) -> usize {
        let counts = |outcome: &Outcome| matches!(outcome, Outcome::Executed | Outcome::Reran | Outcome::MarkedRan);
        self.changesets.iter().filter(|(_, outcome)| counts(outcome)).count()
    }
}
