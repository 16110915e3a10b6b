//! What a run did.

use crate::changeset_id::ChangeSetId;
use crate::filter::FilterReason;

/// How a changeset ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It ran for the first time.
    Executed,
    /// It ran again (`runAlways`, `runOnChange`).
    Reran,
    /// It was recorded as run without running, because of a precondition or a failed validation.
    MarkedRan,
    /// It was skipped because of a precondition; the next run tries it again.
    Skipped {
        /// The message of the precondition.
        reason: String,
    },
    /// It failed, and the run continued because of `failOnError="false"`; the next run tries it again.
    FailedAndIgnored {
        /// The error, as text.
        reason: String,
    },
    /// It was rolled back.
    RolledBack,
}

/// What a run did, changeset by changeset, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The changesets that the run handled, and how each ended.
    pub changesets: Vec<(ChangeSetId, Outcome)>,
    /// How many missing checksums were filled in, or checksums of version 8 replaced by version 9.
    pub checksums_upgraded: usize,
    /// How many changesets had run before and did not run again.
    pub previously_run: usize,
    /// How many changesets were filtered out.
    pub filtered_out: usize,
    /// How many changesets were filtered out for each reason, in the order in which the reasons first occurred. A changeset that
    /// has several reasons counts for each.
    pub filter_counts: Vec<(FilterReason, usize)>,
    /// The DEPLOYMENT_ID of the rows that the run wrote; `None` if it wrote no row.
    pub deployment_id: Option<String>,
}

impl Report {
    /// How many changesets ran or were marked as run.
    pub fn run_count(&self) -> usize {
        let ran = |outcome: &Outcome| matches!(outcome, Outcome::Executed | Outcome::Reran | Outcome::MarkedRan);
        self.changesets.iter().filter(|(_, outcome)| ran(outcome)).count()
    }
}
