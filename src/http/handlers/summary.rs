//! Answers summaries: how many records of each status there are.

use crate::attendance::{SummaryKey, SummaryQuery, ViewCursor, ViewQuery};
use crate::http::error::HttpError;
use crate::http::parameter_schema::{Days, IfNoneMatch, PageCursor};
use crate::http::query_parameters::QueryParameters;
use crate::http::request::RequestContext;
use crate::http::response::Reply;
use crate::http::response_schema::ViewAnswers;
use crate::http::schema::ErrorBody;
use crate::http::view_read::{ViewRead, view_read};
use crate::http::view_schema::{self, SummaryParameters};

/// The most groups of a page, and those of one without `limit`.
const MAX_GROUPS: u32 = 10_000;
const DEFAULT_GROUPS: u32 = 1000;
const KNOWN: [&str; 8] = ["from", "to", "by", "id", "status", "department", "limit", "after"];

/// A summary whose query has been parsed.
#[derive(Debug)]
pub struct Summary(ViewRead);

view_read!(Summary, parse, summary);

fn parse(query: &str) -> (QueryParameters, Option<ViewQuery>) {
    let mut parameters = QueryParameters::parse(query, &KNOWN);
    let (from, to) = parameters.dates();
    parameters.require("by");
    let by = parameters.choice("by", &SummaryKey::WORDS);
    let (id, status) = (parameters.text("id"), parameters.text("status"));
    let department = parameters.text("department");
    let limit = parameters.limit(MAX_GROUPS, DEFAULT_GROUPS);
    // A cursor belongs to one kind of key.
    let after =
        parameters.after(|text| ViewCursor::decode(text).filter(|cursor| by.is_none_or(|by| by.accepts(cursor))));
    let query = by.map(|by| ViewQuery::Summary(SummaryQuery { by, from, to, id, status, department, limit, after }));
    (parameters, query)
}

/// Count records
///
/// How many records of each status there are, by day, week (ISO 8601, `2026-W05`), month (`2026-01`), employee, department or status. Groups are in the order
/// of their keys; the group `null` has the records that have no such key and comes last. Records without a status, which only other programs can have
/// stored, count in `total` alone. Follow the header `Link` with `rel="next"` until there is none.
#[utoipa::path(
    get,
    path = "",
    operation_id = "countRecords",
    params(SummaryParameters, Days, PageCursor, IfNoneMatch),
    responses(
        (status = 200, description = "The groups", body = view_schema::Summary),
        ViewAnswers,
        (status = 400, description = "A parameter is missing, unknown or not valid (`details` lists every problem), or a group has more different statuses than fit into memory", body = ErrorBody, example = json!({"error": "Bad Request", "message": "Some query parameters cannot be used: see details.", "details": [{"field": "by", "problem": "`year` is not one of day, week, month, employee, department, status"}]})),
    )
)]
async fn summary(context: &RequestContext, read: &ViewRead) -> Result<Reply, HttpError> {
    read.read(context).await
}
