//! dropTable.

use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator, no_inverse, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "dropTable",
    class: "DropTableChange",
    fields: &[
        Field::flag("cascadeConstraints"),
        Field::text("catalogName"),
        Field::text("schemaName"),
        Field::text("tableName").required(),
    ],
    checksum_input: ALL_FIELDS,
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse: no_inverse,
};

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let cascade = if fields.is("cascadeConstraints") { " CASCADE" } else { "" };
    vec![format!(
        "DROP TABLE {}{cascade}",
        dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"))
    )]
}
