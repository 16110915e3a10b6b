//! The sessions of the own account.

use hyper::StatusCode;

use crate::access::{self, Principal};
use crate::http::access_reply;
use crate::http::access_schema::Session;
use crate::http::error::HttpError;
use crate::http::query_parameters;
use crate::http::request::RequestContext;
use crate::http::response::Reply;
use crate::http::schema::ErrorBody;

/// List the own sessions
///
/// The sessions of the account, the newest first: when and from where they began, and when they were last used.
#[utoipa::path(get, path = "", operation_id = "listSessions", responses((status = 200, description = "The sessions", body = Vec<Session>)))]
pub async fn list(context: &RequestContext, principal: &Principal) -> Result<Reply, HttpError> {
    query_parameters::none(context.query())?;
    let sessions = context.access()?.sessions(principal).await?;
    let sessions: Vec<Session> = sessions.into_iter().map(Session::from).collect();
    Ok(access_reply::value(context, StatusCode::OK, &sessions))
}

/// End one of the own sessions
///
/// No request that starts after the answer is served with it.
#[utoipa::path(
    delete,
    path = "",
    operation_id = "endSession",
    params(("id" = i64, Path, description = "The number of the session", example = 7)),
    responses(
        (status = 204, description = "Ended"),
        (status = 404, description = "The account has no such session", body = ErrorBody, example = json!({"error": "Not Found", "message": "There is no such session."})),
    )
)]
pub async fn end(context: &RequestContext, principal: &Principal) -> Result<Reply, HttpError> {
    query_parameters::none(context.query())?;
    // A text that is not a number names no session.
    let id = context.parameters.text("id")?.parse().map_err(|_| access::Error::UnknownSession)?;
    context.access()?.end_session(principal, id, context.client.address).await?;
    Ok(Reply::no_content())
}
