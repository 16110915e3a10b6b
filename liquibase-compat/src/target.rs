//! How far a command goes, forwards or backwards.

use crate::changeset_id::ChangeSetId;

/// How far an update goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateTarget {
    /// To the end of the changelog.
    #[default]
    All,
    /// The next changesets, at most this many.
    Count(usize),
    /// Up to and including the changeset that sets the tag, or whose row in the history has it. If there is none, to the end.
    Tag(String),
}

/// How far a rollback goes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RollbackTarget {
    /// The newest changesets, at most this many.
    Count(usize),
    /// Everything after the row with the tag, compared without case; [`TagVersion`](crate::TagVersion) decides between several. The row itself is included if its changeset only
    /// sets the tag.
    Tag(String),
    /// Everything that ran later than this time, written `2026-01-31 10:00:00` in the time zone of the database session.
    Date(String),
    /// Exactly these changesets.
    ChangeSets(Vec<ChangeSetId>),
}
