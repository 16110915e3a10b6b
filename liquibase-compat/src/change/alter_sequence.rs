//! alterSequence.

use super::{ALL_FIELDS, Kind, Statements, no_inverse, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "alterSequence",
    class: "AlterSequenceChange",
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
    ],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse: no_inverse,
};

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let name = dialect.object(fields.text("schemaName"), fields.required("sequenceName"));
    let mut sql = format!("ALTER SEQUENCE {name}");
    for (field, words) in
        [("dataType", "AS"), ("incrementBy", "INCREMENT BY"), ("minValue", "MINVALUE"), ("maxValue", "MAXVALUE")]
    {
        if let Some(value) = fields.filled(field) {
            sql.push_str(&format!(" {words} {value}"));
        }
    }
    // Liquibase lets these words through, and PostgreSQL refuses them.
    if let Some(ordered) = fields.flag("ordered") {
        sql.push_str(if ordered { " ORDER" } else { " NOORDER" });
    }
    if let Some(size) = fields.filled("cacheSize") {
        sql.push_str(&if size == "0" { " NOCACHE".to_owned() } else { format!(" CACHE {size}") });
    }
    if let Some(cycle) = fields.flag("cycle") {
        sql.push_str(if cycle { " CYCLE" } else { " NO CYCLE" });
    }
    vec![sql]
}
