//! What the caller says about a run.

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
}
