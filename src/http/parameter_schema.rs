//! The parameters of requests, for the OpenAPI document.
//!
//! Policy: the handlers read queries and headers themselves; they are described here only. Those of the views are in `view_schema.rs`.

use utoipa::IntoParams;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, Object, ObjectBuilder, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{RefOr, Required, Schema};

use super::named_pattern;

/// The days of a list or a view.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which `query_parameters.rs` reads without OpenAPI")]
pub struct Days {
    /// Not before this day. Empty counts as absent.
    #[param(pattern = "optional day")]
    from: Option<String>,
    /// Not after this day, and not before `from`. Empty counts as absent.
    #[param(pattern = "optional day")]
    to: Option<String>,
}

/// The size of a page, for all lists but `search/all` and summaries.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which `query_parameters.rs` reads without OpenAPI")]
pub struct PageSize {
    /// At most this many entries. If there are more, the header `Link` leads to the next page.
    #[param(minimum = 1, maximum = 1000, default = 500)]
    limit: Option<u32>,
}

/// Where a page begins.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which `query_parameters.rs` reads without OpenAPI")]
pub struct PageCursor {
    /// The cursor of the previous page, from its `Link` header. Any other text is refused.
    #[param(pattern = "cursor")]
    after: Option<String>,
}

/// The query parameters of a list of records with their creation.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which the handler reads without OpenAPI")]
pub struct RecordsParameters {
    /// Only this employee's records.
    #[param(pattern = "filter")]
    id: Option<String>,
    /// With `id` alone: the one record of this day.
    #[param(pattern = "optional day")]
    date: Option<String>,
    /// Only records with this name.
    #[param(pattern = "filter")]
    name: Option<String>,
    /// Only records with this status.
    #[param(pattern = "filter")]
    status: Option<String>,
    /// Only records of employees who are in this department of the directory.
    #[param(pattern = "filter")]
    department: Option<String>,
    /// `id` (by employee, then day; the default) or `created` (the newest first, those of unknown time last).
    #[param(pattern = "^(id|created)?$")]
    order: Option<String>,
}

/// The query parameters of a list of changes.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which the handler reads without OpenAPI")]
pub struct ChangesParameters {
    /// Not before this moment (RFC 3339), or this day in UTC.
    #[param(pattern = "optional moment", example = "2026-01-31T00:00:00Z")]
    from: Option<String>,
    /// Not after this moment (RFC 3339), or this day in UTC; not before `from`.
    #[param(pattern = "optional moment", example = "2026-01-31")]
    to: Option<String>,
    /// Only changes of this employee's records.
    #[param(pattern = "filter")]
    id: Option<String>,
    /// Only changes by this account.
    #[param(pattern = "filter")]
    by: Option<String>,
}

/// The key of a record in a query.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which `record_key.rs` reads without OpenAPI")]
pub struct RecordKeyQuery {
    /// Employee.
    #[param(min_length = 1, pattern = "id", example = "..")]
    id: String,
    /// Day, `YYYY-MM-DD`.
    #[param(format = Date, pattern = "day", example = "2026-01-31")]
    date: String,
}

/// The key of a record in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path, which `record_key.rs` reads without OpenAPI")]
pub struct RecordKeyParameters {
    /// Employee; a slash in it is written as `%2F`.
    #[param(min_length = 1, pattern = "id", example = "1")]
    id: String,
    /// Day, `YYYY-MM-DD`.
    #[param(format = Date, pattern = "day", example = "2026-01-31")]
    date: String,
}

/// The header of a read that may be answered with 304.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a header, which `conditional.rs` reads without OpenAPI")]
pub struct IfNoneMatch {
    /// Entity tags that the client has; the answer is 304 if one of them is current
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
}

/// The header of a change that requires a state of the record.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a header, which `conditional.rs` reads without OpenAPI")]
pub struct IfMatch {
    #[param(rename = "If-Match", schema_with = star_or_entity_tags)]
    if_match: Option<String>,
}

/// A list of entity tags (RFC 9110, sections 5.6.1 and 8.8.3), as `conditional.rs` reads it: it may have empty elements.
pub const ENTITY_TAGS: &str =
    "^[ \\t,]*(W/)?\"[!#-~\\u0080-\\u00ff]*\"([ \\t]*,[ \\t,]*(W/)?\"[!#-~\\u0080-\\u00ff]*\")*[ \\t,]*$";

/// `*`, or a list of entity tags. The star is an alternative of its own, because some programs that make values from schemas find none for the list.
fn star_or_entity_tags() -> AnyOfBuilder {
    let star = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["*"]));
    let tags = ObjectBuilder::new().schema_type(Type::String).pattern(Some(ENTITY_TAGS));
    AnyOfBuilder::new()
        .item(star)
        .item(tags)
        .description(Some("Entity tags of which the record must have one, or `*`. A weak tag never matches"))
}

/// Why a record is deleted.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which `record_key.rs` reads without OpenAPI")]
pub struct DeletionReason {
    /// Why: 1 to 500 characters. It is not in the access log
    #[param(min_length = 1, max_length = 500, pattern = "text", example = "entered twice")]
    reason: String,
}

/// The day of the calendar in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path, which the handler reads without OpenAPI")]
pub struct CalendarDayKey {
    /// Day, `YYYY-MM-DD`
    #[param(format = Date, example = "2026-08-15")]
    date: String,
}

/// A day, or nothing.
fn optional_day() -> AnyOfBuilder {
    let day = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Date)))
        .pattern(Some(named_pattern::DAY));
    or_empty(day).description(Some(
        "Day; without it, the answer is the employee's latest record. All forms of a record's date are accepted. Empty counts as absent.",
    ))
}

/// Lets the optional numbers and moments in the query of an operation be empty, which counts as absent. Other texts have patterns that allow it.
pub fn let_values_be_empty(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && (parameter.parameter_in == ParameterIn::Query && parameter.required == Required::False)
            && let Some(RefOr::T(Schema::Object(value))) = &parameter.schema
            && (value.schema_type == SchemaType::Type(Type::Integer) || is_moment(value))
        {
            parameter.schema = Some(RefOr::T(Schema::AnyOf(or_empty(value.clone().into()).build())));
        }
    }
}

fn is_moment(value: &Object) -> bool {
    matches!(value.format, Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

/// A number of records, or nothing.
fn optional_limit() -> AnyOfBuilder {
    let format = Some(SchemaFormat::KnownFormat(KnownFormat::Int32));
    let number = ObjectBuilder::new().schema_type(Type::Integer).format(format).minimum(Some(1)).maximum(Some(10_000));
    or_empty(number).description(Some(
        "At most this many records. If there are more, the header `Link` leads to the next page. Empty counts as absent.",
    ))
}

/// A parameter that counts as absent if it is empty. With `schema_with`, the description is in the schema, because a parameter with one of its own has no other.
fn or_empty(value: ObjectBuilder) -> AnyOfBuilder {
    let empty = ObjectBuilder::new().schema_type(Type::String).max_length(Some(0));
    AnyOfBuilder::new().item(value).item(empty)
}

/// The query parameters of `search`.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which `query.rs` reads without OpenAPI")]
pub struct SearchParameters {
    /// Employee. If there are several, the first one counts.
    #[param(min_length = 1, pattern = "filter", example = "1")]
    id: String,
    #[param(schema_with = optional_day)]
    date: Option<String>,
}

/// The query parameters of `search/all`.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query, which `query.rs` reads without OpenAPI")]
pub struct ListParameters {
    /// Only this employee's records (exact match; empty counts as absent).
    #[param(pattern = "filter")]
    id: Option<String>,
    /// Only records with this status (exact match; empty counts as absent).
    #[param(pattern = "filter")]
    status: Option<String>,
    /// Only records with this name (exact match; empty counts as absent).
    #[param(pattern = "filter")]
    name: Option<String>,
    /// Not before this day. Empty counts as absent.
    #[param(pattern = "optional day")]
    from: Option<String>,
    /// Not after this day. Empty counts as absent.
    #[param(pattern = "optional day")]
    to: Option<String>,
    #[param(schema_with = optional_limit)]
    limit: Option<u32>,
    /// The cursor of the previous page, from its `Link` header. Any other text is refused. Empty counts as absent.
    #[param(pattern = "cursor")]
    after: Option<String>,
}
