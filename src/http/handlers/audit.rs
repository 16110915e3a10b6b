//! What happened to accounts, sessions and tokens, for admins.

use jiff::Timestamp;

use crate::access::{AuditAction, AuditQuery, Principal};
use crate::http::access_reply;
use crate::http::access_schema::{AuditEntry, AuditParameters, NumberCursor};
use crate::http::error::HttpError;
use crate::http::parameter_schema::PageSize;
use crate::http::query_parameters::QueryParameters;
use crate::http::request::RequestContext;
use crate::http::response::Reply;
use crate::http::response_schema::InvalidQuery;

const KNOWN: [&str; 6] = ["from", "to", "by", "action", "limit", "after"];

/// List the audit
///
/// Logins, failed logins and logouts, changes of accounts, roles, passwords and tokens, and erasures; the newest first, a page at a time: follow the header
/// `Link` with `rel="next"` until there is none.
#[utoipa::path(
    get,
    path = "",
    operation_id = "listAudit",
    params(AuditParameters, PageSize, NumberCursor),
    responses(
        (status = 200, description = "The entries", body = Vec<AuditEntry>),
        InvalidQuery,
    )
)]
pub async fn list(context: &RequestContext, _: &Principal) -> Result<Reply, HttpError> {
    let mut parameters = QueryParameters::parse(context.query(), &KNOWN);
    let query = query(&mut parameters);
    parameters.check()?;
    let page = context.access()?.audit(query).await?;
    let entries: Vec<AuditEntry> = page.entries.into_iter().map(AuditEntry::from).collect();
    let next = page.next.map(|id| id.to_string());
    Ok(access_reply::page(context, &entries, &parameters, next.as_deref()))
}

fn query(parameters: &mut QueryParameters) -> AuditQuery {
    let time = "a time: write 2026-01-31T08:30:00Z (a + as %2B)";
    let actions = AuditAction::ALL.map(|action| (action.as_str(), action));
    AuditQuery {
        from: parameters.parsed("from", time, |text| text.parse::<Timestamp>().ok()),
        to: parameters.parsed("to", time, |text| text.parse::<Timestamp>().ok()),
        by: parameters.text("by"),
        action: parameters.choice("action", &actions),
        limit: parameters.page_size() as usize,
        after: parameters.after_number(),
    }
}
