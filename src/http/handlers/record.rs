//! One record of an employee and day: read, corrected, deleted, and its history.
//!
//! Policy: each operation has two forms: by path, and by query for ids that do not survive in a path (`.` and `..`).

use crate::attendance::{self, Deletion, PreparedFind};
use crate::http::conditional;
use crate::http::error::HttpError;
use crate::http::parameter_schema::{DeletionReason, IfMatch, IfNoneMatch, RecordKeyParameters};
use crate::http::query_parameters::{self, QueryParameters};
use crate::http::record_key::{RecordKey, reason};
use crate::http::request::RequestContext;
use crate::http::response::Reply;
use crate::http::response_schema::{CorrectionAnswers, DeletionAnswers, InvalidRecordPath, NoSuchRecord, NotModified};
use crate::http::schema::{Correction, ErrorBody, HistoryEntry, Record};

/// Read a record
///
/// The record of an employee and day. A slash in the id is written as `%2F`; the ids `.` and `..` need `/records?id=&date=`.
#[utoipa::path(
    get,
    path = "",
    operation_id = "readRecord",
    params(RecordKeyParameters, IfNoneMatch),
    responses(
        (status = 200, description = "The record", body = Record, headers(("ETag" = String, description = "Entity tag of the record, for `If-Match`"))),
        NotModified,
        InvalidRecordPath,
        NoSuchRecord,
    )
)]
pub async fn read(context: &RequestContext) -> Result<Reply, HttpError> {
    query_parameters::none(context.query())?;
    let RecordKey { id, date } = RecordKey::in_path(context)?;
    read_prepared(context, &context.app.attendance.prepare_find(id, Some(date), context.visibility())).await
}

/// Answers with the record of a search.
pub(super) async fn read_prepared(context: &RequestContext, find: &PreparedFind) -> Result<Reply, HttpError> {
    let answer = context.app.attendance.find(find).await?.ok_or(attendance::Error::NotFound)?;
    Ok(conditional::reply(&context.head.headers, &answer))
}

/// Correct a record
///
/// Gives a record that exists another name and status, with a reason. The history keeps what it was before. A correction that changes nothing
/// leaves no entry in the history. When the answer arrives, the correction is durable, and every read that starts afterwards sees it. With
/// `If-Match`, the record is corrected only if it still is what the client has read.
#[utoipa::path(
    put,
    path = "",
    operation_id = "correctRecord",
    params(RecordKeyParameters, IfMatch),
    request_body(content = Correction, description = "The new content, and the reason for it"),
    responses(CorrectionAnswers)
)]
pub async fn correct(context: &mut RequestContext) -> Result<Reply, HttpError> {
    query_parameters::none(context.query())?;
    let key = RecordKey::in_path(context)?;
    correct_record(context, key).await
}

/// Corrects the record of a key.
pub(super) async fn correct_record(context: &mut RequestContext, key: RecordKey) -> Result<Reply, HttpError> {
    let precondition = conditional::precondition(&context.head.headers)?;
    let correction = context.correction(key.id, key.date).await?;
    let content = context.app.attendance.correct(&correction, precondition.as_ref(), &context.origin()).await?;
    Ok(conditional::changed(&content))
}

/// Delete a record
///
/// Deletes a record, with a reason. The history keeps what it was; the record can be created again. When the answer arrives, the deletion is
/// durable, and every read that starts afterwards sees it.
#[utoipa::path(
    delete,
    path = "",
    operation_id = "deleteRecord",
    params(RecordKeyParameters, DeletionReason, IfMatch),
    responses(DeletionAnswers)
)]
pub async fn delete(context: &RequestContext) -> Result<Reply, HttpError> {
    let mut parameters = QueryParameters::parse(context.query(), &["reason"]);
    let reason = reason(&mut parameters);
    let key = RecordKey::in_path(context)?;
    parameters.check()?;
    delete_record(context, key, reason).await
}

/// Deletes the record of a key.
pub(super) async fn delete_record(
    context: &RequestContext,
    RecordKey { id, date }: RecordKey,
    reason: String,
) -> Result<Reply, HttpError> {
    let precondition = conditional::precondition(&context.head.headers)?;
    let deletion = Deletion { id, date, reason };
    context.app.attendance.delete(&deletion, precondition.as_ref(), &context.origin()).await?;
    Ok(Reply::no_content())
}

/// Read the history of a record
///
/// When and by whom the record was created, corrected and deleted, oldest first; at most the latest 10,000 entries. A record that was deleted and created
/// again has a `created` entry for each time. The history is there after a deletion, too.
#[utoipa::path(
    get,
    path = "",
    operation_id = "readHistory",
    params(RecordKeyParameters, IfNoneMatch),
    responses(
        (status = 200, description = "The entries", body = Vec<HistoryEntry>),
        NotModified,
        InvalidRecordPath,
        (status = 404, description = "There never was such a record, or its person was erased", body = ErrorBody, example = json!({"error": "Not Found", "message": "There is no such record."})),
    )
)]
pub async fn history(context: &RequestContext) -> Result<Reply, HttpError> {
    query_parameters::none(context.query())?;
    let key = RecordKey::in_path(context)?;
    let (visibility, has_addresses) = (context.visibility(), context.caller.sees_addresses());
    let history = context.app.attendance.history(&key.id, key.date, &visibility, has_addresses).await?;
    let answer = history.ok_or(attendance::Error::NotFound)?;
    Ok(conditional::reply(&context.head.headers, &answer))
}
