//! What the caller says about a run.

use crate::changeset_id::ChangeSetId;

/// Which changesets are meant, and with which properties. The same value belongs to loading and to every command, because
/// properties and checksums depend on it.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The contexts of this run; empty runs changesets of every context.
    pub contexts: Vec<String>,
    /// An expression over labels; empty passes all.
    pub label_filter: String,
    /// Values of `${name}` that come before those of the changelog.
    pub properties: Vec<(String, String)>,
    /// Told what happens as it happens, besides the log.
    pub observer: Option<fn(&Event<'_>)>,
}

/// Something that happens during a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A changeset is about to run.
    Running(&'a ChangeSetId),
    /// An `output` change has something to say.
    Output {
        /// What.
        message: &'a str,
        /// Where: STDOUT, STDERR or a level of the log.
        target: &'a str,
    },
    /// A changeset is about to be rolled back.
    RollingBack(&'a ChangeSetId),
    /// A changeset runs although its preconditions fail, because `onFail="WARN"` says so.
    Despite {
        /// The changeset.
        changeset: &'a ChangeSetId,
        /// What failed.
        message: &'a str,
    },
    /// A changeset failed, and the run goes on, because `failOnError="false"` says so.
    FailedAndIgnored {
        /// The changeset.
        changeset: &'a ChangeSetId,
        /// What PostgreSQL said.
        reason: &'a str,
    },
}

impl Options {
    pub(crate) fn tell(&self, event: &Event<'_>) {
        if let Some(observer) = self.observer {
            observer(event);
        }
    }
}
