//! Statements that Liquibase prepares, because their values are files or are bound on request.

/// What a script contains in place of such a statement. It is no SQL, so that psql stops there.
pub(crate) const PREPARED_STATEMENT: &str = "WARNING: This statement uses a prepared statement which cannot be execute directly by this script. Only works in 'update' mode";
