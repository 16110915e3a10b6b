//! Why a changeset takes no part in a run.

/// A reason for filtering out a changeset. If several apply, they are reported in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FilterReason {
    /// Its contexts do not match those of the run.
    Context,
    /// Its labels do not match the label filter.
    Label,
    /// It ran before. Reported only by an update without a target, in addition to another reason.
    AlreadyRan,
    /// Its `dbms` does not include PostgreSQL.
    Dbms,
    /// It has `ignore="true"`.
    Ignored,
    /// It comes after the requested number of changesets.
    AfterCount,
    /// It comes after the requested tag.
    AfterTag,
}
