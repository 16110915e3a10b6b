//! createSequence.

use super::drop_sequence;
use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;
use crate::validation_problem::ValidationProblem;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "createSequence",
    class: "CreateSequenceChange",
    fields: &[
        Field::integer("cacheSize"),
        Field::text("catalogName"),
        Field::flag("cycle"),
        Field::text("dataType"),
        Field::integer("incrementBy"),
        Field::integer("maxValue"),
        Field::integer("minValue"),
        Field::flag("ordered"),
        Field::text("schemaName"),
        Field::text("sequenceName").required(),
        Field::integer("startValue"),
    ],
    checksum_input: ALL_FIELDS,
    problems,
    statements: SqlGenerator::Infallible(statements),
    inverse,
};

fn problems(fields: &Fields) -> Vec<ValidationProblem> {
    let ordered = fields.flag("ordered").map(|_| ValidationProblem::NotAllowed { field: "ordered" });
    ordered.into_iter().collect()
}

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let name = dialect.qualified_name(fields.text("schemaName"), fields.required("sequenceName"));
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
    // In Liquibase 0 means no cache. PostgreSQL does not accept 0, so its default applies.
    if let Some(size) = fields.filled("cacheSize").filter(|size| *size != "0") {
        sql.push_str(&format!(" CACHE {size}"));
    }
    if fields.is("cycle") {
        sql.push_str(" CYCLE");
    }
    vec![sql]
}

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    Some(drop_sequence::statements(fields, dialect))
}
