//! addForeignKeyConstraint.

use super::drop_foreign_key_constraint;
use super::kind::{ChangeKind, ChecksumInput, SqlGenerator, no_problems};
use crate::checksum::{Checksum, ChecksumVersion, serialise};
use crate::field::Field;
use crate::fields::{FieldValue, Fields};
use crate::sql::Dialect;

pub(crate) const KIND: ChangeKind = ChangeKind {
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
    checksum_input: ChecksumInput::Custom(checksum),
    problems: no_problems,
    statements: SqlGenerator::Infallible(statements),
    inverse,
};

/// The ON DELETE action. `deleteCascade` is the older attribute for CASCADE. With both there is no action, as in Liquibase.
fn on_delete(fields: &Fields) -> Option<&str> {
    match (fields.flag("deleteCascade"), fields.text("onDelete")) {
        (Some(_), Some(_)) => None,
        (Some(true), None) => Some("CASCADE"),
        (_, action) => action,
    }
}

/// The checksum replaces `deleteCascade` with `onDelete`, and ignores `referencesUniqueColumn`.
fn checksum(fields: &Fields, version: ChecksumVersion) -> Checksum {
    let mut summed = fields.clone();
    summed.values.retain(|(name, _)| *name != "onDelete");
    if let Some(action) = on_delete(fields) {
        summed.set("onDelete", FieldValue::Text(action.to_owned()));
    }
    Checksum::of_text(version, &serialise(KIND.name, &summed, &["deleteCascade", "referencesUniqueColumn"]))
}

fn statements(fields: &Fields, dialect: &Dialect) -> Vec<String> {
    let mut sql = format!(
        "ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({})",
        dialect.qualified_name(fields.text("baseTableSchemaName"), fields.required("baseTableName")),
        dialect.name(fields.required("constraintName")),
        dialect.names(fields.required("baseColumnNames")),
        dialect.qualified_name(fields.text("referencedTableSchemaName"), fields.required("referencedTableName")),
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

fn inverse(fields: &Fields, dialect: &Dialect) -> Option<Vec<String>> {
    Some(drop_foreign_key_constraint::statements(fields, dialect))
}
