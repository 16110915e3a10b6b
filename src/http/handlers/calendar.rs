//! The days that override the weekly rule.

use hyper::StatusCode;

use crate::attendance::{self, CalendarQuery, CalendarRequest, ViewCursor, ViewQuery};
use crate::http::error::{ErrorStatus, HttpError};
use crate::http::parameter_schema::{CalendarDayKey, Days, IfNoneMatch, PageCursor, PageSize};
use crate::http::query_parameters::{self, QueryParameters};
use crate::http::request::{self, RequestContext};
use crate::http::response::Reply;
use crate::http::response_schema::{BodyErrors, ViewAnswers};
use crate::http::schema::ErrorBody;
use crate::http::stored;
use crate::http::view_read::{ViewRead, view_read};
use crate::http::view_schema::{CalendarDay, NewCalendarDay};

const KNOWN: [&str; 4] = ["from", "to", "limit", "after"];

/// A list of days whose query has been parsed.
#[derive(Debug)]
pub struct Calendar(ViewRead);

view_read!(Calendar, parse, list);

fn parse(query: &str) -> (QueryParameters, Option<ViewQuery>) {
    let mut parameters = QueryParameters::parse(query, &KNOWN);
    let (from, to) = parameters.dates();
    let limit = parameters.page_size();
    let after = parameters.after(ViewCursor::decode_day);
    (parameters, Some(ViewQuery::Calendar(CalendarQuery { from, to, limit, after })))
}

/// List the days of the calendar
///
/// The days that differ from the weekly rule (`attendance.weekly_off`), in order: holidays, and workdays on a weekend. A sheet shows the kind of every
/// day.
#[utoipa::path(
    get,
    path = "",
    operation_id = "listCalendar",
    params(Days, PageSize, PageCursor, IfNoneMatch),
    responses(
        (status = 200, description = "The days; `[]` if there are none", body = Vec<CalendarDay>),
        ViewAnswers,
    )
)]
async fn list(context: &RequestContext, read: &ViewRead) -> Result<Reply, HttpError> {
    read.read(context).await
}

/// Store a day of the calendar
///
/// Makes a day a holiday or a workday, whatever the weekly rule says. When the answer arrives, every read that starts afterwards sees it.
#[utoipa::path(
    put,
    path = "",
    operation_id = "putCalendarDay",
    params(CalendarDayKey),
    request_body(content = NewCalendarDay, description = "The day. No other field is accepted"),
    responses(
        (status = 200, description = "Replaced", body = CalendarDay, headers(("ETag" = String, description = "Entity tag of the day"))),
        (status = 201, description = "Added", body = CalendarDay, headers(("ETag" = String, description = "Entity tag of the day"))),
        (status = 400, description = "The path has no day, or the body is not valid; `details` lists every problem", body = ErrorBody, example = json!({"error": "Validation Error", "message": "The day is not valid: see details.", "details": [{"field": "kind", "problem": "`weekend` is not one of holiday, workday"}]})),
        BodyErrors,
    )
)]
pub async fn put(context: &mut RequestContext) -> Result<Reply, HttpError> {
    query_parameters::none(context.query())?;
    let date = context.parameters.date("date")?;
    let request: CalendarRequest = context.document().await?;
    let day = request.check(date).map_err(|problems| request::invalid_document("day", problems))?;
    Ok(stored::reply(&context.app.attendance.put_calendar_day(day).await?))
}

/// Remove a day of the calendar
///
/// The weekly rule applies to the day again.
#[utoipa::path(
    delete,
    path = "",
    operation_id = "deleteCalendarDay",
    params(CalendarDayKey),
    responses(
        (status = 204, description = "Removed"),
        (status = 400, description = "The path has no day, or there is a query", body = ErrorBody, example = json!({"error": "Bad Request", "message": "The path cannot be used: see details.", "details": [{"field": "date", "problem": "`2026-02-30` is not a day: write YYYY-MM-DD, and a slash in an id as %2F"}]})),
        (status = 404, description = "The calendar has no such day", body = ErrorBody, example = json!({"error": "Not Found", "message": "The calendar has no such day: the weekly rule applies to it."})),
    )
)]
pub async fn delete(context: &RequestContext) -> Result<Reply, HttpError> {
    query_parameters::none(context.query())?;
    let date = context.parameters.date("date")?;
    context.app.attendance.delete_calendar_day(date).await.map_err(|error| match error {
        attendance::Error::NotFound => {
            HttpError::new(ErrorStatus::NOT_FOUND, "The calendar has no such day: the weekly rule applies to it.")
        }
        error => error.into(),
    })?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}
