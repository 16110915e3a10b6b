//! alterSequence.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_inverse, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "alterSequence",
    class: "AlterSequenceChange",
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
    ],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse: no_inverse,
};

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let name = dialect.qualified_name(fields.text("schemaName"), fields.required("sequenceName"));
    let mut sql = format!("ALTER SEQUENCE {name}");
    for (field, words) in
        [("dataType", "AS"), ("incrementBy", "INCREMENT BY"), ("minValue", "MINVALUE"), ("maxValue", "MAXVALUE")]
    {
        if let Some(value) = fields.filled(field) {
            sql.push_str(&format!(" {words} {value}"));
        }
    }
    // PostgreSQL refuses ORDER, NOORDER and NOCACHE. Liquibase sends them all the same, so the changeset fails there, too.
    if let Some(ordered) = fields.flag("ordered") {
        sql.push_str(if ordered { " ORDER" } else { " NOORDER" });
    }
    // Liquibase writes a blank behind words of these two.
    let mut needs_blank = fields.flag("ordered").is_some();
    if let Some(size) = fields.filled("cacheSize") {
        let blank = if needs_blank { " " } else { "" };
        sql.push_str(&if size == "0" { format!("{blank} NOCACHE") } else { format!("{blank} CACHE {size}") });
        needs_blank = size == "0";
    }
    if let Some(cycle) = fields.flag("cycle") {
        sql.push_str(if needs_blank { "  " } else { " " });
        sql.push_str(if cycle { "CYCLE" } else { "NO CYCLE" });
    }
    vec![sql]
}
