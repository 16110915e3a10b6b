//! Why the data file of loadData or loadUpdateData cannot be loaded.

use std::sync::Arc;

use super::csv::CsvError;
use crate::file_content::FileError;

/// Why the data file of `loadData` or `loadUpdateData` cannot be loaded. The texts have the names of Liquibase's exceptions.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadDataError {
    /// The data file is unreadable. Validation has reported why.
    #[error("liquibase.exception.UnexpectedLiquibaseException: Unable to read file {file}")]
    Unreadable {
        /// The data file.
        file: String,
    },
    /// The data file is not CSV.
    #[error("liquibase.exception.UnexpectedLiquibaseException: Error parsing {file}: {source}")]
    Csv {
        /// The data file.
        file: String,
        /// What is wrong with it.
        source: CsvError,
    },
    /// The data file has no header.
    #[error("liquibase.exception.UnexpectedLiquibaseException: Data file {file} was empty")]
    Empty {
        /// The data file.
        file: String,
    },
    /// A row has another number of cells than the header.
    #[error(
        "liquibase.exception.UnexpectedLiquibaseException: CSV file {file} Line {line} has {cells} values defined, Header has \
         {columns}. Numbers MUST be equal (check for unquoted string with embedded commas)"
    )]
    CellCount {
        /// The data file.
        file: String,
        /// The number of the row, 1-based; the header is row 1.
        line: usize,
        /// The number of cells in the row.
        cells: usize,
        /// The number of cells in the header.
        columns: usize,
    },
    /// An empty cell in a column of type SEQUENCE.
    #[error(
        "liquibase.exception.UnexpectedLiquibaseException: Must set a sequence name in the loadData column defaultValue attribute"
    )]
    NoSequence,
    /// The values are large objects, and prepared statements are not allowed.
    #[error(
        "liquibase.exception.UnexpectedLiquibaseException: loadData is requesting usePreparedStatements=false but prepared statements are required"
    )]
    NeedsPreparedStatements,
    /// A cell with `now` has an offset that is not possible.
    #[error(
        "liquibase.exception.UnexpectedLiquibaseException: liquibase.exception.DateParseException: Improper value in 'NOW' value: {cell}. \
         'NOW' must be followed by + or -, then numeric offset, then units (h{{our{{s}}}}, m{{inute{{s}}}}, d{{ay{{s}}}}, or y{{ears}}"
    )]
    NowOffset {
        /// The text of the cell.
        cell: String,
    },
    /// A cell with `now` has an offset in units that are not known.
    #[error(
        "liquibase.exception.UnexpectedLiquibaseException: liquibase.exception.DateParseException: Improper units in 'NOW' value: '{unit}', \
         must be y{{ear{{s}}}}, d{{ay{{s}}}}, h{{our{{s}}}}, or m{{inute{{s}}}}"
    )]
    NowUnit {
        /// The text behind the number.
        unit: String,
    },
    /// A cell with `today` has an offset that is not possible.
    #[error(
        "liquibase.exception.UnexpectedLiquibaseException: liquibase.exception.DateParseException: Improper value in 'TODAY' value: {cell}. \
         'TODAY' must be followed by + or -, then numeric offset"
    )]
    TodayOffset {
        /// The text of the cell.
        cell: String,
    },
    /// The file that a cell names is unreadable.
    #[error("liquibase.exception.DatabaseException: {0}")]
    CellFile(#[source] Arc<FileError>),
    /// The file that a cell names was not read, because the cell did not look like a file name.
    #[error("liquibase.exception.DatabaseException: The file {name} was not found in the configured search path")]
    UnknownCellFile {
        /// The text of the cell.
        name: String,
    },
}

impl LoadDataError {
    /// Whether a changeset with `failOnError="false"` counts as executed all the same. Liquibase ignores such an error before there is a
    /// statement that could fail.
    pub(crate) fn is_ignored_without_fail_on_error(&self) -> bool {
        matches!(
            self,
            Self::Unreadable { .. }
                | Self::Empty { .. }
                | Self::CellCount { .. }
                | Self::NeedsPreparedStatements
                | Self::NoSequence
                | Self::NowOffset { .. }
                | Self::NowUnit { .. }
                | Self::TodayOffset { .. }
        )
    }
}
