//! createSequence.

use super::{ALL_FIELDS, Kind, Statements, drop_sequence};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "createSequence",
    class: "CreateSequenceChange",
    fields: &[
        Field::text("cacheSize"),
        Field::text("catalogName"),
        Field::flag("cycle"),
        Field::text("dataType"),
        Field::text("incrementBy"),
        Field::text("maxValue"),
        Field::text("minValue"),
        Field::flag("ordered"),
        Field::text("schemaName"),
        Field::text("sequenceName").required(),
        Field::text("startValue"),
    ],
    hashing: ALL_FIELDS,
    invalid,
    statements: Statements::Always(statements),
    inverse,
};

fn invalid(fields: &Object) -> Vec<String> {
    let ordered = fields.flag("ordered").map(|_| "ordered is not allowed on postgresql".to_owned());
    ordered.into_iter().collect()
}

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let name = dialect.object(fields.text("schemaName"), fields.required("sequenceName"));
    let mut sql = format!("CREATE SEQUENCE  IF NOT EXISTS {name}");
    for (field, words) in [
        ("dataType", "AS"),
        ("startValue", "START WITH"),
        ("incrementBy", "INCREMENT BY"),
        ("minValue", "MINVALUE"),
        ("maxValue", "MAXVALUE"),
    ] {
        if let Some(value) = fields.filled(field) {
            sql.push_str(&format!(" {words} {value}"));
        }
    }
    // PostgreSQL has no sequence without a cache: 0 means its default.
    if let Some(size) = fields.filled("cacheSize").filter(|size| *size != "0") {
        sql.push_str(&format!(" CACHE {size}"));
    }
    if fields.is("cycle") {
        sql.push_str(" CYCLE");
    }
    vec![sql]
}

fn inverse(fields: &Object, dialect: &Dialect) -> Option<Vec<String>> {
    Some(drop_sequence::statements(fields, dialect))
}
