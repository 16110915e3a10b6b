//! What a run reports while it works, for a caller that shows progress. The log has the same events.

use crate::changeset_id::ChangeSetId;

/// Something that happens during a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A changeset is about to run.
    Running(&'a ChangeSetId),
    /// An `output` change prints a message, in a script, too. As in Liquibase, which generates the SQL of a change twice, each message
    /// comes twice. A message for the log is no event.
    Output {
        /// The text of the change.
        message: &'a str,
        /// Where the message belongs: STDOUT or STDERR.
        target: &'a str,
    },
    /// A changeset is about to be rolled back.
    RollingBack(&'a ChangeSetId),
    /// A changeset runs although its preconditions failed, because it has `onFail="WARN"`.
    PreconditionWarning {
        /// The changeset.
        changeset: &'a ChangeSetId,
        /// The message of the failed precondition.
        message: &'a str,
    },
    /// A changeset failed and the run continues, because the changeset has `failOnError="false"`.
    FailedAndIgnored {
        /// The changeset.
        changeset: &'a ChangeSetId,
        /// The error, as text.
        reason: &'a str,
    },
}
