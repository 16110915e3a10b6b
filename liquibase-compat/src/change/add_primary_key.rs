//! addPrimaryKey.

use super::column::constraint;
use super::drop_primary_key;
use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;
use crate::validation_problem::ValidationProblem;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "addPrimaryKey",
    class: "AddPrimaryKeyChange",
    fields: &[
        Field::text("catalogName"),
        Field::flag("clustered"),
        Field::text("columnNames").required(),
        Field::text("constraintName"),
        Field::text("forIndexCatalogName"),
        Field::text("forIndexName"),
        Field::text("forIndexSchemaName"),
        Field::text("schemaName"),
        Field::text("tableName").required(),
        Field::text("tablespace"),
        Field::flag("validate"),
    ],
    checksum_input: ALL_FIELDS,
    problems,
    statements: SqlGenerator::Infallible(statements),
    inverse,
};

fn problems(fields: &Fields) -> Vec<ValidationProblem> {
    let is_unnamed = fields.is("clustered") && fields.text("constraintName").is_none();
    is_unnamed.then_some(ValidationProblem::NoClusteredKeyName).into_iter().collect()
}

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let table = dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"));
    let name = constraint(fields.filled("constraintName"), dialect);
    let columns = dialect.names(fields.required("columnNames"));
    let tablespace = fields
        .filled("tablespace")
        .map(|name| format!(" USING INDEX TABLESPACE {}", dialect.name(name)))
        .unwrap_or_default();
    let add = format!("ALTER TABLE {table} ADD {name}PRIMARY KEY ({columns}){tablespace}");
    let cluster = fields.filled("constraintName").filter(|_| fields.is("clustered"));
    let cluster = cluster.map(|name| format!("CLUSTER {table} USING {}", dialect.name(name)));
    std::iter::once(add).chain(cluster).collect()
}

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    Some(drop_primary_key::statements(fields, dialect))
}
