//! The changes of all records.

use jiff::Timestamp;

use crate::attendance::{ChangePosition, ChangesQuery, Date, ViewQuery};
use crate::http::error::HttpError;
use crate::http::parameter_schema::{ChangesParameters, IfNoneMatch, PageCursor, PageSize};
use crate::http::query_parameters::QueryParameters;
use crate::http::request::RequestContext;
use crate::http::response::Reply;
use crate::http::response_schema::ViewAnswers;
use crate::http::schema::ChangeEntry;
use crate::http::view_read::{ViewRead, view_read};

const KNOWN: [&str; 6] = ["from", "to", "id", "by", "limit", "after"];

/// A list of changes whose query has been parsed.
#[derive(Debug)]
pub struct Changes(ViewRead);

view_read!(Changes, parse, list);

fn parse(query: &str) -> (QueryParameters, Option<ViewQuery>) {
    let mut parameters = QueryParameters::parse(query, &KNOWN);
    let expected = "a time: write 2026-01-31T08:30:00Z (a + as %2B), or a day";
    let from = parameters.parsed("from", expected, |text| moment(text, "00:00:00Z"));
    let to = parameters.parsed("to", expected, |text| moment(text, "23:59:59.999999Z"));
    if let (Some(first), Some(last)) = (from, to)
        && last < first
    {
        parameters.report("to", "must not be before `from`");
    }
    // No change is older than 1970, and PostgreSQL does not read each year before that.
    let shown = |moment: Timestamp| moment.max(Timestamp::UNIX_EPOCH).to_string();
    let query = ChangesQuery {
        from: from.map(shown),
        to: to.map(shown),
        id: parameters.text("id"),
        by: parameters.text("by"),
        limit: parameters.page_size(),
        after: parameters.after(ChangePosition::decode),
    };
    (parameters, Some(ViewQuery::Changes(query)))
}

/// A moment in RFC 3339, or a time of day in UTC of a day.
fn moment(text: &str, time_of_day: &str) -> Option<Timestamp> {
    match Date::parse_iso(text) {
        Some(day) => format!("{day}T{time_of_day}").parse().ok(),
        None => text.parse().ok(),
    }
}

/// List changes
///
/// Corrections, deletions and erasures of all records, the newest first, a page at a time: follow the header `Link` with `rel="next"` until there is none.
#[utoipa::path(
    get,
    path = "",
    operation_id = "listChanges",
    params(ChangesParameters, PageSize, PageCursor, IfNoneMatch),
    responses(
        (status = 200, description = "The changes; `[]` if there are none", body = Vec<ChangeEntry>),
        ViewAnswers,
    )
)]
async fn list(context: &RequestContext, read: &ViewRead) -> Result<Reply, HttpError> {
    read.read(context).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_stands_for_its_first_or_last_moment_in_utc() {
        let show = |text, time| moment(text, time).map(|moment| moment.to_string());
        assert_eq!(show("2026-01-31", "00:00:00Z").as_deref(), Some("2026-01-31T00:00:00Z"));
        assert_eq!(show("2026-01-31", "23:59:59.999999Z").as_deref(), Some("2026-01-31T23:59:59.999999Z"));
        assert_eq!(show("2026-01-31T10:00:00+05:30", "").as_deref(), Some("2026-01-31T04:30:00Z"));
        for text in ["2026-02-30", "2026-01-31T10:00:00", "2026-01-31T10:00:00 05:30", "yesterday"] {
            assert_eq!(show(text, "00:00:00Z"), None, "{text}");
        }
    }
}
