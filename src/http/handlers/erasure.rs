//! Erases a person.

use hyper::StatusCode;

use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::query_parameters::QueryParameters;
use crate::http::record_key::reason;
use crate::http::request::RequestContext;
use crate::http::response::Reply;
use crate::http::schema::{ErasedPerson, ErrorBody};

/// Erase a person
///
/// Deletes an employee's records, their history and the row in the directory. What remains is one entry `erased` among the changes, with the counts, the
/// time and the account that asked for it, but without id, name and reason. No read that starts after the answer shows any of it. If there was
/// nothing to erase, all counts are 0. The access log has the path template in place of the path. Days that are closed to changes are erased, too.
/// Accounts that are linked to the employee are unlinked and disabled and lose their sessions and tokens (the last admin is only unlinked), and the audit no
/// longer has the employee's id. Their usernames remain until an admin removes the accounts.
#[utoipa::path(
    delete,
    path = "",
    operation_id = "erasePerson",
    params(
        ("id" = String, Path, description = "Employee; a slash in it is written as `%2F`", min_length = 1, example = "1"),
        ("reason" = String, Query, description = "Why: 1 to 500 characters. It is neither stored nor logged", min_length = 1, max_length = 500, pattern = "text", example = "asked for by the person"),
    ),
    responses(
        (status = 200, description = "Erased", body = ErasedPerson),
        (status = 400, description = "There is no valid `reason`, or the path is not valid; `details` lists every problem", body = ErrorBody, example = json!({"error": "Bad Request", "message": "Some query parameters cannot be used: see details.", "details": [{"field": "reason", "problem": "is required"}]})),
    )
)]
pub async fn erase(context: &RequestContext) -> Result<Reply, HttpError> {
    let mut parameters = QueryParameters::parse(context.query(), &["reason"]);
    reason(&mut parameters);
    let id = context.parameters.text("id")?;
    parameters.check()?;
    let account = match &context.caller {
        Caller::Account(principal) => Some(principal.account),
        Caller::Anyone => None,
    };
    // Begun before the change; if that fails, every credential is looked up again.
    let revocation = context.app.access_control.as_ref().map(|control| control.access.begin_revocation());
    let erasure = context.app.attendance.erase(id, &context.origin(), account).await?;
    if let Some(revocation) = revocation {
        revocation.acknowledge(&erasure.credentials).await?;
    }
    Ok(Reply::uncacheable(StatusCode::OK, &erasure))
}
