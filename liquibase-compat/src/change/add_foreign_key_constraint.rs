//! addForeignKeyConstraint.

use super::{Hashing, Kind, Statements, drop_foreign_key_constraint, nothing_invalid};
use crate::checksum::{Checksum, ChecksumVersion, serialise};
use crate::field::{self, Field, Object, Value};
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
    hashing: Hashing::Own(checksum),
    invalid: nothing_invalid,
    statements: Statements::Always(statements),
    inverse,
};

/// What is done on deletion: deleteCascade is the older way to say CASCADE.
fn on_delete(fields: &Object) -> Option<&str> {
    fields.text("onDelete").or_else(|| fields.is("deleteCascade").then_some("CASCADE"))
}

/// The older ways to say something are summed as the newer ones.
fn checksum(fields: &Object, version: ChecksumVersion) -> Checksum {
    let mut summed = fields.clone();
    if let Some(action) = on_delete(fields) {
        field::set(&mut summed, "onDelete", Value::Text(action.to_owned()));
    }
    Checksum::of_text(version, &serialise(KIND.name, &summed, &["deleteCascade", "referencesUniqueColumn"]))
}

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let mut sql = format!(
        "ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({})",
        dialect.object(fields.text("baseTableSchemaName"), fields.required("baseTableName")),
        dialect.name(fields.required("constraintName")),
        dialect.names(fields.required("baseColumnNames")),
        dialect.object(fields.text("referencedTableSchemaName"), fields.required("referencedTableName")),
        dialect.names(fields.required("referencedColumnNames")),
    );
    for (words, action) in [("ON UPDATE", fields.filled("onUpdate")), ("ON DELETE", on_delete(fields))] {
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
