//! Records with their creation: a list, or the one of an employee and day, which can also be changed here.

use std::time::Instant;

use hyper::HeaderMap;

use super::record;
use crate::attendance::{PreparedFind, RecordOrder, RecordPosition, RecordsQuery, ViewQuery, Visibility};
use crate::http::cached_read::CachedRead;
use crate::http::conditional;
use crate::http::error::HttpError;
use crate::http::parameter_schema::{
    Days, DeletionReason, IfMatch, IfNoneMatch, PageCursor, PageSize, RecordKeyQuery, RecordsParameters,
};
use crate::http::query_parameters::QueryParameters;
use crate::http::record_key::{RecordKey, reason};
use crate::http::request::RequestContext;
use crate::http::response::Reply;
use crate::http::response_schema::{CorrectionAnswers, DeletionAnswers, ViewAnswers};
use crate::http::route_path::RoutePath;
use crate::http::schema::{Correction, ErrorBody, RecordsAnswer};
use crate::http::state::AppState;
use crate::http::view_read::ViewRead;

/// The parameters that name one record.
const KEY: [&str; 2] = ["id", "date"];
const KNOWN: [&str; 10] = ["from", "to", "id", "date", "name", "status", "department", "order", "limit", "after"];

/// A read of records whose query has been parsed.
#[derive(Debug)]
pub enum Records {
    /// Of the record of an employee and day.
    One(PreparedFind),
    /// Of a list.
    List(Box<ViewRead>),
}

impl CachedRead for Records {
    fn parse(app: &AppState, path: RoutePath, query: &str, visibility: Visibility) -> Result<Self, HttpError> {
        let mut parameters = QueryParameters::parse(query, &KNOWN);
        if parameters.has("date") {
            let mut parameters = QueryParameters::parse(query, &KEY);
            let key = RecordKey::in_query(&mut parameters);
            let RecordKey { id, date } = parameters.checked(key)?;
            return Ok(Self::One(app.attendance.prepare_find(id, Some(date), visibility)));
        }
        let query = list_query(&mut parameters);
        let query = Some(ViewQuery::Records(query));
        ViewRead::new(app, path, parameters, query, visibility).map(|read| Self::List(Box::new(read)))
    }

    fn try_cached(&self, app: &AppState, headers: &HeaderMap, now: Instant) -> Option<Reply> {
        match self {
            Self::One(find) => Some(conditional::reply(headers, &app.attendance.try_find_cached(find, now)?)),
            Self::List(read) => read.try_cached(app, headers, now),
        }
    }

    async fn read(self, context: &RequestContext) -> Result<Reply, HttpError> {
        list(context, &self).await
    }
}

fn list_query(parameters: &mut QueryParameters) -> RecordsQuery {
    let (from, to) = parameters.dates();
    let orders = [("id", RecordOrder::Id), ("created", RecordOrder::Created)];
    let order = parameters.choice("order", &orders).unwrap_or(RecordOrder::Id);
    RecordsQuery {
        from,
        to,
        id: parameters.text("id"),
        name: parameters.text("name"),
        status: parameters.text("status"),
        department: parameters.text("department"),
        order,
        limit: parameters.page_size(),
        after: parameters.after(|text| RecordPosition::decode(text, order)),
    }
}

/// List records with their creation
///
/// Records by employee, then day, or with `order=created` the newest first, a page at a time: follow the header `Link` with `rel="next"` until there is
/// none. With `id` and `date`, the answer is the one record of that employee and day, as of `/records/{id}/{date}`. Rows without an id or a day, which
/// other programs may have written, are only in `search/all`.
#[utoipa::path(
    get,
    path = "",
    operation_id = "listRecordsWithCreation",
    params(Days, RecordsParameters, PageSize, PageCursor, IfNoneMatch),
    responses(
        (status = 200, description = "The records; `[]` if there are none. With `date`, one record", body = RecordsAnswer,
            example = json!([{"id": "1", "name": "Asha", "status": "Present", "date": "2026-01-31", "created_at": "2026-01-31T08:30:00.123456Z", "created_by": null}])),
        ViewAnswers,
        (status = 404, description = "With `date`: there is no such record", body = ErrorBody, example = json!({"error": "Not Found", "message": "There is no such record."})),
    )
)]
async fn list(context: &RequestContext, read: &Records) -> Result<Reply, HttpError> {
    match read {
        Records::One(find) => record::read_prepared(context, find).await,
        Records::List(read) => read.read(context).await,
    }
}

/// Correct a record that is named by the query
///
/// As `PUT /records/{id}/{date}`, for the ids `.` and `..`, which do not survive in a path.
#[utoipa::path(
    put,
    path = "",
    operation_id = "correctRecordByQuery",
    params(RecordKeyQuery, IfMatch),
    request_body(content = Correction, description = "The new content, and the reason for it"),
    responses(CorrectionAnswers)
)]
pub async fn correct(context: &mut RequestContext) -> Result<Reply, HttpError> {
    let mut parameters = QueryParameters::parse(context.query(), &KEY);
    let key = RecordKey::in_query(&mut parameters);
    record::correct_record(context, parameters.checked(key)?).await
}

/// Delete a record that is named by the query
///
/// As `DELETE /records/{id}/{date}`, for the ids `.` and `..`, which do not survive in a path.
#[utoipa::path(
    delete,
    path = "",
    operation_id = "deleteRecordByQuery",
    params(RecordKeyQuery, DeletionReason, IfMatch),
    responses(DeletionAnswers)
)]
pub async fn delete(context: &RequestContext) -> Result<Reply, HttpError> {
    let mut parameters = QueryParameters::parse(context.query(), &["id", "date", "reason"]);
    let key = RecordKey::in_query(&mut parameters);
    let reason = reason(&mut parameters);
    record::delete_record(context, parameters.checked(key)?, reason).await
}
