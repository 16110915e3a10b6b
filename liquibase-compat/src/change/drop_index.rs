//! dropIndex.

use super::kind::{ChangeKind, ChecksumInput, SqlGenerator, no_inverse, no_problems};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "dropIndex",
    class: "DropIndexChange",
    fields: &[
        Field::text("associatedWith"),
        Field::text("catalogName"),
        Field::text("indexName").required(),
        Field::text("schemaName"),
        Field::text("tableName"),
    ],
    checksum_input: ChecksumInput::Fields { excluded: &["associatedWith"] },
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse: no_inverse,
};

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    vec![format!("DROP INDEX {}", dialect.qualified_name(fields.text("schemaName"), fields.required("indexName")))]
}
