//! Answers sheets: a row for each employee, a column for each day.

use crate::attendance::{DayRange, RangeError, SheetQuery, ViewCursor, ViewQuery};
use crate::http::error::HttpError;
use crate::http::parameter_schema::{IfNoneMatch, PageCursor, PageSize};
use crate::http::query_parameters::QueryParameters;
use crate::http::request::RequestContext;
use crate::http::response::Reply;
use crate::http::response_schema::ViewAnswers;
use crate::http::view_read::{ViewRead, view_read};
use crate::http::view_schema::{self, SheetParameters};

const KNOWN: [&str; 7] = ["from", "to", "id", "status", "department", "limit", "after"];

/// A sheet whose query has been parsed.
#[derive(Debug)]
pub struct Sheet(ViewRead);

view_read!(Sheet, parse, sheet);

fn parse(query: &str) -> (QueryParameters, Option<ViewQuery>) {
    let mut parameters = QueryParameters::parse(query, &KNOWN);
    let (from, to) = parameters.dates();
    parameters.require("from");
    parameters.require("to");
    let range = from.zip(to).and_then(|(from, to)| match DayRange::new(from, to) {
        Ok(range) => Some(range),
        // The parameters have reported it already.
        Err(RangeError::Reversed) => None,
        Err(error) => {
            parameters.report("to", error.to_string());
            None
        }
    });
    let (id, status) = (parameters.text("id"), parameters.text("status"));
    let department = parameters.text("department");
    let limit = parameters.page_size();
    let after = parameters.after(ViewCursor::decode_text);
    let query = range.map(|range| ViewQuery::Sheet(SheetQuery { range, id, status, department, limit, after }));
    (parameters, query)
}

/// Show a sheet
///
/// A row for each employee, a column for each day from `from` to `to`. An employee is on the sheet who has a record of the range, or who was
/// employed in it according to the directory. A day without a record is `null`; it counts as `unrecorded` if it is a workday up to today on which the
/// employee was employed. Follow the header `Link` with `rel="next"` until there is none; a page whose texts are very long may have fewer employees than
/// `limit`.
#[utoipa::path(
    get,
    path = "",
    operation_id = "showSheet",
    params(SheetParameters, PageSize, PageCursor, IfNoneMatch),
    responses(
        (status = 200, description = "The sheet", body = view_schema::Sheet),
        ViewAnswers,
    )
)]
async fn sheet(context: &RequestContext, read: &ViewRead) -> Result<Reply, HttpError> {
    read.read(context).await
}
