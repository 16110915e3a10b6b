//! addUniqueConstraint.

use super::column::constraint;
use super::kind::{ALL_FIELDS, ChangeKind, SqlGenerator};
use crate::field::Field;
use crate::fields::Fields;
use crate::sql::Dialect;
use crate::validation_problem::ValidationProblem;

pub(crate) const KIND: ChangeKind = ChangeKind {
    name: "addUniqueConstraint",
    class: "AddUniqueConstraintChange",
    fields: &[
        Field::text("catalogName"),
        Field::flag("clustered"),
        Field::text("columnNames").required(),
        Field::text("constraintName"),
        Field::flag("deferrable"),
        Field::flag("disabled"),
        Field::text("forIndexCatalogName"),
        Field::text("forIndexName"),
        Field::text("forIndexSchemaName"),
        Field::flag("initiallyDeferred"),
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
    let clustered = fields.is("clustered").then_some(ValidationProblem::NotAllowed { field: "clustered" });
    clustered.into_iter().collect()
}

fn table(fields: &Fields, dialect: &Dialect) -> String {
    dialect.qualified_name(fields.text("schemaName"), fields.required("tableName"))
}

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let name = constraint(fields.filled("constraintName"), dialect);
    let key = match fields.filled("forIndexName") {
        Some(index) => format!("USING INDEX {}", dialect.name(index)),
        None => format!("({})", dialect.names(fields.required("columnNames"))),
    };
    let mut sql = format!("ALTER TABLE {} ADD {name}UNIQUE {key}", table(fields, dialect));
    if let Some(name) = fields.filled("tablespace") {
        sql.push_str(&format!(" USING INDEX TABLESPACE {}", dialect.name(name)));
    }
    for (flag, words) in [("deferrable", " DEFERRABLE"), ("initiallyDeferred", " INITIALLY DEFERRED")] {
        if fields.is(flag) {
            sql.push_str(words);
        }
    }
    vec![sql]
}

/// A constraint without a name has the name that PostgreSQL derives from the table and the columns.
fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    let default_name = || {
        let columns: Vec<&str> = fields.required("columnNames").split(',').map(str::trim).collect();
        format!("{}_{}_key", fields.required("tableName"), columns.join("_"))
    };
    let name = fields.filled("constraintName").map_or_else(default_name, str::to_owned);
    Some(vec![format!("ALTER TABLE {} DROP CONSTRAINT {}", table(fields, dialect), dialect.name(&name))])
}
