//! The patterns that several fields and parameters have.
//!
//! Policy: a description names a pattern (`#[schema(pattern = "text")]`), because only a literal can be written there; the document gets what the name stands
//! for. A pattern of one field only is written at the field.

use utoipa::openapi::path::Operation;
use utoipa::openapi::{OpenApi, RefOr, Schema};

/// A day, `YYYY-MM-DD`.
pub const DAY: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$";

const NAMED_PATTERNS: [(&str, &str); 7] = [
    // Not empty, without control characters, and without white space at its ends.
    (
        "text",
        "^[^\\s\\u0000-\\u001f\\u007f-\\u009f]([^\\u0000-\\u001f\\u007f-\\u009f]*[^\\s\\u0000-\\u001f\\u007f-\\u009f])?$",
    ),
    // What a column is compared with; PostgreSQL stores any character but one.
    ("filter", "^[^\\u0000]*$"),
    ("id", "^[^\\u0000]+$"),
    ("cursor", "^[A-Za-z0-9_-]*$"),
    ("day", DAY),
    ("optional day", "^([0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]))?$"),
    // A day, or a moment in RFC 3339.
    (
        "optional moment",
        "^([0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?)?$",
    ),
];

/// Replaces the names of patterns in the schemas of a document.
pub fn resolve_in_schemas(document: &mut OpenApi) {
    for schema in document.components.iter_mut().flat_map(|components| components.schemas.values_mut()) {
        if let RefOr::T(Schema::Object(object)) = schema {
            object.properties.values_mut().for_each(resolve);
        }
    }
}

/// Replaces the names of patterns in the parameters of an operation.
pub fn resolve_in_parameters(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            parameter.schema.iter_mut().for_each(resolve);
        }
    }
}

fn resolve(schema: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::Object(object)) = schema
        && let Some(pattern) = &mut object.pattern
        && let Some((_, named)) = NAMED_PATTERNS.iter().find(|(name, _)| *name == pattern.as_str())
    {
        *pattern = (*named).to_owned();
    }
}
