//! The fields of columns and of their constraints, as a changelog writes them.

use crate::field::Field;

/// The fields of `<constraints>`.
const CONSTRAINTS: &[Field] = &[
    Field::text("checkConstraint"),
    Field::flag("deferrable"),
    Field::flag("deleteCascade"),
    Field::text("foreignKeyName"),
    Field::flag("initiallyDeferred"),
    Field::text("notNullConstraintName"),
    Field::flag("nullable"),
    Field::flag("primaryKey"),
    Field::text("primaryKeyName"),
    Field::text("primaryKeyTablespace"),
    Field::text("referencedColumnNames"),
    Field::text("referencedTableCatalogName"),
    Field::text("referencedTableName"),
    Field::text("referencedTableSchemaName"),
    Field::text("references"),
    Field::flag("unique"),
    Field::text("uniqueConstraintName"),
    Field::flag("validateForeignKey"),
    Field::flag("validateNullable"),
    Field::flag("validatePrimaryKey"),
    Field::flag("validateUnique"),
];

macro_rules! column_fields {
    ($($more:expr),*) => {
        &[
            Field::flag("autoIncrement"),
            Field::flag("computed"),
            Field::nested("constraints", CONSTRAINTS),
            Field::flag("defaultOnNull"),
            Field::text("defaultValue"),
            Field::flag("defaultValueBoolean"),
            Field::text("defaultValueComputed"),
            Field::text("defaultValueConstraintName"),
            Field::date("defaultValueDate", "defaultValueComputed"),
            Field::number("defaultValueNumeric", "defaultValueComputed"),
            Field::text("defaultValueSequenceNext"),
            Field::flag("descending"),
            Field::text("encoding"),
            Field::text("generationType"),
            Field::integer("incrementBy"),
            Field::text("name"),
            Field::text("remarks"),
            Field::integer("startWith"),
            Field::text("type"),
            Field::element_text("value"),
            Field::binary_file("valueBlobFile"),
            Field::flag("valueBoolean"),
            Field::file("valueClobFile"),
            Field::text("valueComputed"),
            Field::date("valueDate", "valueComputed"),
            Field::number("valueNumeric", "valueComputed"),
            Field::text("valueSequenceCurrent"),
            Field::text("valueSequenceNext"),
            $($more),*
        ]
    };
}

/// The fields of `<column>`.
pub(super) const COLUMN: &[Field] = column_fields!();

/// The fields of `<column>` with the position in the table, which PostgreSQL cannot choose.
pub(super) const ADD_COLUMN: &[Field] =
    column_fields!(Field::text("afterColumn"), Field::text("beforeColumn"), Field::integer("position"));

/// The fields of `<column>` in loadData and loadUpdateData.
pub(super) const LOAD_COLUMN: &[Field] =
    column_fields!(Field::flag("allowUpdate"), Field::text("header"), Field::integer("index"));
