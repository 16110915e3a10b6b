//! Which record a request is about: by its path, or by its query where a path cannot have the id.

use super::error::HttpError;
use super::query_parameters::QueryParameters;
use super::request::RequestContext;
use crate::attendance::{Date, reason_problem};

/// An employee and a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordKey {
    /// The employee.
    pub id: String,
    /// The day.
    pub date: Date,
}

impl RecordKey {
    /// The key in the path `…/{id}/{date}`.
    ///
    /// # Errors
    /// When a part of it is not valid.
    pub fn in_path(context: &RequestContext) -> Result<Self, HttpError> {
        let date = context.parameters.date("date")?;
        Ok(Self { id: context.parameters.text("id")?.to_owned(), date })
    }

    /// The key in the parameters `id` and `date`; a problem joins those of the query, and the result is then `None`.
    pub fn in_query(parameters: &mut QueryParameters) -> Option<Self> {
        let id = parameters.required_text("id");
        let date = parameters.required_date("date")?;
        Some(Self { id, date })
    }
}

/// The parameter `reason`, which is required; a problem joins those of the query.
pub fn reason(parameters: &mut QueryParameters) -> String {
    let reason = parameters.required_text("reason");
    if let Some(problem) = reason_problem(&reason).filter(|_| !reason.is_empty()) {
        parameters.report("reason", problem);
    }
    reason
}
