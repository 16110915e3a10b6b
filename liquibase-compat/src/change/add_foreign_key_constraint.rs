//! addForeignKeyConstraint.

use super::{ALL_FIELDS, Kind, Statements, drop_foreign_key_constraint, nothing_invalid};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "addForeignKeyConstraint",
    class: "AddForeignKeyConstraintChange",
    fields: &[
        Field::text("baseColumnNames").required(),
        Field::text("baseTableCatalogName"),
        Field::text("baseTableName").required(),
        Field::text("baseTableSchemaName"),
        Field::text("constraintName").required(),
        Field::flag("deferrable"),
        Field::flag("deleteCascade"),
        Field::flag("initiallyDeferred"),
        Field::text("onDelete"),
        Field::text("onUpdate"),
        Field::text("referencedColumnNames").required(),
        Field::text("referencedTableCatalogName"),
        Field::text("referencedTableName").required(),
        Field::text("referencedTableSchemaName"),
        Field::flag("referencesUniqueColumn"),
        Field::flag("validate"),
    ],
    hashing: ALL_FIELDS,
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse,
};

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let mut sql = format!(
        "ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({})",
        dialect.object(fields.text("baseTableSchemaName"), fields.required("baseTableName")),
        dialect.name(fields.required("constraintName")),
        dialect.names(fields.required("baseColumnNames")),
        dialect.object(fields.text("referencedTableSchemaName"), fields.required("referencedTableName")),
        dialect.names(fields.required("referencedColumnNames")),
    );
    let cascade = fields.is("deleteCascade").then_some("CASCADE");
    for (words, action) in
        [("ON UPDATE", fields.filled("onUpdate")), ("ON DELETE", fields.filled("onDelete").or(cascade))]
    {
        if let Some(action) = action {
            sql.push_str(&format!(" {words} {action}"));
        }
    }
    for (flag, words) in [("deferrable", " DEFERRABLE"), ("initiallyDeferred", " INITIALLY DEFERRED")] {
        if fields.is(flag) {
            sql.push_str(words);
        }
    }
    if fields.flag("validate") == Some(false) {
        sql.push_str(" NOT VALID");
    }
    vec![sql]
}

fn inverse(fields: &Object, dialect: &Dialect) -> Option<Vec<String>> {
    Some(drop_foreign_key_constraint::statements(fields, dialect))
}
