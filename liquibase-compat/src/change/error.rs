//! Why a change has no SQL. The texts are Liquibase's, including the names of its exceptions, because people search for them.

use std::sync::Arc;

use super::load_data_error::LoadDataError;
use crate::file_content::FileError;
use crate::sql::DataTypeError;
use crate::validation_problem::ValidationProblem;

/// Why a change that passed validation has no SQL, or no inverse.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// A file that the change names cannot be used.
    #[error(transparent)]
    File(#[from] Arc<FileError>),
    /// The file with the value of a row cannot be used.
    #[error("liquibase.exception.DatabaseException: {0}")]
    ValueFile(#[source] Arc<FileError>),
    /// The data file of `loadData` or `loadUpdateData` cannot be loaded.
    #[error(transparent)]
    LoadData(#[from] LoadDataError),
    /// A `stop` change ends the run.
    #[error("liquibase.change.core.StopChange$StopChangeException: {message}")]
    Stopped {
        /// The message of the change.
        message: String,
    },
    /// The target of an `output` change is unknown.
    #[error("liquibase.exception.UnexpectedLiquibaseException: Unknown target: {target}")]
    UnknownOutputTarget {
        /// The target in the changelog.
        target: String,
    },
    /// A parameter of a condition has no value or is the word NULL, for which Liquibase has no text.
    #[error("a parameter of the condition is NULL; write IS NULL into the condition")]
    NullParameter,
    /// The full definition of a view that is to be replaced has no word CREATE.
    #[error("java.lang.IllegalArgumentException: Key 'create' is not defined")]
    NoCreate,
    /// The change would run Java or a program, which this crate does not do.
    #[error(transparent)]
    Unsupported(ValidationProblem),
    /// A data type, or a value of it, has no SQL.
    #[error("{exception}: {0}", exception = .0.java_exception())]
    DataType(#[from] DataTypeError),
    /// The foreign key of a new column refers to something other than a table and one column.
    #[error(
        "liquibase.exception.UnexpectedLiquibaseException: Don't know how to find table and column names from {references}"
    )]
    UnreadableReference {
        /// The attribute of the changelog.
        references: String,
    },
    /// The change cannot be rolled back.
    #[error("No inverse to liquibase.change.core.{class} created")]
    NoInverse {
        /// Liquibase's class name of the change type.
        class: &'static str,
    },
}
