//! Columns and their constraints in changes that create tables, columns, indexes and rows.

use std::sync::Arc;

use super::value;
use crate::field::Field;
use crate::fields::Fields;
use crate::file_content::FileError;
use crate::sql::{Dialect, column_type, is_serial, literal};

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
            Field::text("incrementBy"),
            Field::text("name"),
            Field::text("remarks"),
            Field::text("startWith"),
            Field::text("type"),
            Field::element_text("value"),
            Field::file("valueBlobFile"),
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
pub(crate) const COLUMN: &[Field] = column_fields!();

/// The fields of `<column>` with the position in the table, which PostgreSQL cannot choose.
pub(crate) const ADD_COLUMN: &[Field] =
    column_fields!(Field::text("afterColumn"), Field::text("beforeColumn"), Field::text("position"));

/// The fields that can contain a default.
const DEFAULTS: &[&str] = &[
    "defaultValue",
    "defaultValueBoolean",
    "defaultValueComputed",
    "defaultValueDate",
    "defaultValueNumeric",
    "defaultValueSequenceNext",
];

/// The fields that can contain a value.
const VALUES: &[&str] = &[
    "value",
    "valueBlobFile",
    "valueBoolean",
    "valueClobFile",
    "valueComputed",
    "valueDate",
    "valueNumeric",
    "valueSequenceCurrent",
    "valueSequenceNext",
];

/// The fields of `<column>` in loadData and loadUpdateData.
pub(crate) const LOAD_COLUMN: &[Field] =
    column_fields!(Field::flag("allowUpdate"), Field::text("header"), Field::text("index"));

/// A column, as SQL needs it.
pub(crate) struct Column<'a> {
    fields: &'a Fields,
}

impl<'a> Column<'a> {
    /// The columns of a change.
    pub(crate) fn all(change: &'a Fields) -> impl Iterator<Item = Column<'a>> {
        change.columns().iter().map(|fields| Column { fields })
    }

    /// The elements of another list of the change, which have the fields of columns.
    pub(crate) fn listed(change: &'a Fields, list: &str) -> impl Iterator<Item = Column<'a>> {
        change.list(list).iter().map(|fields| Column { fields })
    }

    /// The name as written.
    pub(crate) fn name(&self) -> &'a str {
        self.fields.required("name")
    }

    /// The comment.
    pub(crate) fn remarks(&self) -> Option<&'a str> {
        self.fields.filled("remarks")
    }

    /// Whether the changelog names it.
    pub(crate) fn has_name(&self) -> bool {
        self.fields.filled("name").is_some()
    }

    /// Whether the changelog gives its type.
    pub(crate) fn has_type(&self) -> bool {
        self.fields.filled("type").is_some()
    }

    /// Whether the name is an expression, for an index; `None` if the changelog does not specify it.
    pub(crate) fn computed(&self) -> Option<bool> {
        self.fields.flag("computed")
    }

    /// Whether an index sorts it in descending order.
    pub(crate) fn is_descending(&self) -> bool {
        self.fields.is("descending")
    }

    /// Whether it has a default value of any kind.
    pub(crate) fn has_default(&self) -> bool {
        DEFAULTS.iter().any(|name| self.fields.text(name).is_some() || self.fields.flag(name).is_some())
    }

    fn constraint_flag(&self, name: &str) -> Option<bool> {
        self.fields.nested("constraints").and_then(|constraints| constraints.flag(name))
    }

    fn constraint_text(&self, name: &str) -> Option<&'a str> {
        self.fields.nested("constraints").and_then(|constraints| constraints.filled(name))
    }

    /// Whether it is (part of) the primary key.
    pub(crate) fn is_primary_key(&self) -> bool {
        self.constraint_flag("primaryKey") == Some(true)
    }

    /// The name of the primary key, if given.
    pub(crate) fn primary_key_name(&self) -> Option<&'a str> {
        self.constraint_text("primaryKeyName")
    }

    /// The tablespace of the primary key's index, if given.
    pub(crate) fn primary_key_tablespace(&self) -> Option<&'a str> {
        self.constraint_text("primaryKeyTablespace")
    }

    /// Whether it is NOT NULL.
    pub(crate) fn is_not_null(&self) -> bool {
        self.constraint_flag("nullable") == Some(false)
    }

    /// Whether existing rows get a value. The column can be NOT NULL only after that.
    pub(crate) fn has_value(&self) -> bool {
        VALUES.iter().any(|name| self.fields.text(name).is_some() || self.fields.flag(name).is_some())
    }

    /// `name TYPE DEFAULT .. GENERATED .. NOT NULL`.
    pub(crate) fn definition(&self, dialect: &Dialect) -> String {
        self.definition_with(dialect, self.is_primary_key() || self.is_not_null())
    }

    /// As [`definition`](Self::definition), for a table with rows. Without NOT NULL if the rows first need a value.
    pub(crate) fn addition(&self, dialect: &Dialect) -> String {
        self.definition_with(dialect, self.is_primary_key() || (self.is_not_null() && !self.has_value()))
    }

    fn definition_with(&self, dialect: &Dialect, not_null: bool) -> String {
        let mut sql = format!("{} {}", dialect.name(self.name()), column_type(self.fields.required("type")));
        if let Some(default) = self.default(dialect) {
            sql.push_str(&format!(" DEFAULT {default}"));
        }
        sql.push_str(&self.identity());
        if not_null {
            if let Some(name) = self.constraint_text("notNullConstraintName") {
                sql.push_str(&format!(" CONSTRAINT {}", dialect.name(name)));
            }
            sql.push_str(" NOT NULL");
        }
        sql
    }

    fn identity(&self) -> String {
        if !self.fields.is("autoIncrement") && !is_serial(self.fields.required("type")) {
            return String::new();
        }
        let generation = self.fields.filled("generationType").unwrap_or("BY DEFAULT");
        let options: Vec<String> = [("startWith", "START WITH"), ("incrementBy", "INCREMENT BY")]
            .into_iter()
            .filter_map(|(field, word)| self.fields.filled(field).map(|value| format!("{word} {value}")))
            .collect();
        let options = if options.is_empty() { String::new() } else { format!(" ({})", options.join(" ")) };
        format!(" GENERATED {generation} AS IDENTITY{options}")
    }

    fn default(&self, dialect: &Dialect) -> Option<String> {
        if let Some(text) = self.fields.text("defaultValue") {
            return Some(value::string(text));
        }
        if let Some(flag) = self.fields.flag("defaultValueBoolean") {
            return Some(value::boolean(flag));
        }
        if let Some(number) = self.fields.filled("defaultValueNumeric") {
            return Some(column_number(number));
        }
        if let Some(date) = self.fields.filled("defaultValueDate") {
            return Some(value::date(date));
        }
        if let Some(expression) = self.fields.filled("defaultValueComputed") {
            return Some(value::computed(expression));
        }
        self.fields.filled("defaultValueSequenceNext").map(|sequence| value::next(None, sequence, dialect))
    }

    /// The value for a row; `None` if the changelog gives none.
    ///
    /// # Errors
    /// When the value is in an unreadable file.
    pub(crate) fn value(&self, dialect: &Dialect) -> Result<Option<String>, Arc<FileError>> {
        let fields = self.fields;
        if let Some(text) = fields.text("value") {
            return Ok(Some(value::cell(text)));
        }
        if let Some(flag) = fields.flag("valueBoolean") {
            return Ok(Some(value::boolean(flag)));
        }
        if let Some(number) = fields.filled("valueNumeric") {
            return Ok(Some(column_number(number)));
        }
        if let Some(date) = fields.filled("valueDate") {
            return Ok(Some(value::date(date)));
        }
        if let Some(expression) = fields.filled("valueComputed") {
            return Ok(Some(value::computed(expression)));
        }
        if let Some(file) = fields.file("valueClobFile") {
            return Ok(Some(literal(&file.map_err(Arc::clone)?.decoded)));
        }
        if let Some(file) = fields.file("valueBlobFile") {
            return Ok(Some(value::bytes(&file.map_err(Arc::clone)?.bytes)));
        }
        if let Some(sequence) = fields.filled("valueSequenceNext") {
            return Ok(Some(value::next(None, sequence, dialect)));
        }
        Ok(fields.filled("valueSequenceCurrent").map(|sequence| value::current(None, sequence, dialect)))
    }

    /// `[CONSTRAINT name] UNIQUE (column)`, if it is unique.
    pub(crate) fn unique(&self, dialect: &Dialect) -> Option<String> {
        if self.constraint_flag("unique") != Some(true) {
            return None;
        }
        let name = self.constraint_text("uniqueConstraintName");
        Some(format!("{}UNIQUE ({})", constraint(name, dialect), dialect.name(self.name())))
    }

    /// `CONSTRAINT name FOREIGN KEY (column) REFERENCES table(column)`, if it refers to another table.
    ///
    /// `gap` is the text before the list of referenced columns: Liquibase writes a blank in ALTER TABLE and nothing in CREATE TABLE.
    pub(crate) fn foreign_key(&self, dialect: &Dialect, gap: &str) -> Option<String> {
        let target = match (self.constraint_text("references"), self.constraint_text("referencedTableName")) {
            (Some(references), _) => self.reference(references, dialect, gap),
            (None, Some(table)) => {
                let schema = self.constraint_text("referencedTableSchemaName");
                let columns = dialect.names(self.constraint_text("referencedColumnNames").unwrap_or_default());
                format!("{}{gap}({columns})", dialect.qualified_name(schema, table))
            }
            (None, None) => return None,
        };
        let name = constraint(self.constraint_text("foreignKeyName"), dialect);
        let mut sql = format!("{name}FOREIGN KEY ({}) REFERENCES {target}", dialect.name(self.name()));
        for (flag, words) in [
            ("deleteCascade", " ON DELETE CASCADE"),
            ("deferrable", " DEFERRABLE"),
            ("initiallyDeferred", " INITIALLY DEFERRED"),
        ] {
            if self.constraint_flag(flag) == Some(true) {
                sql.push_str(words);
            }
        }
        Some(sql)
    }

    /// Whether it has a foreign key without a name.
    pub(crate) fn lacks_foreign_key_name(&self) -> bool {
        let refers = self.constraint_text("references").or(self.constraint_text("referencedTableName")).is_some();
        refers && self.constraint_text("foreignKeyName").is_none()
    }

    /// `schema.table(columns)` from the attribute `references`.
    fn reference(&self, written: &str, dialect: &Dialect, gap: &str) -> String {
        let (table, columns) = written.split_once('(').unwrap_or((written, ""));
        let (schema, table) = match table.trim().rsplit_once('.') {
            Some((schema, table)) => (Some(schema), table),
            None => (self.constraint_text("referencedTableSchemaName"), table.trim()),
        };
        let columns = columns.trim_end().trim_end_matches(')');
        match columns.is_empty() {
            true => dialect.qualified_name(schema, table),
            false => format!("{}{gap}({})", dialect.qualified_name(schema, table), dialect.names(columns)),
        }
    }

    /// `COMMENT ON COLUMN ...`, if it has a comment.
    pub(crate) fn comment(&self, table: &str, dialect: &Dialect) -> Option<String> {
        let remarks = self.remarks()?;
        Some(format!("COMMENT ON COLUMN {table}.{} IS {}", dialect.name(self.name()), literal(remarks.trim())))
    }
}

/// Reports columns without a name or a type, for changes that create columns.
pub(crate) fn definition_problems(change: &Fields) -> Vec<String> {
    let mut found = Vec::new();
    for column in Column::all(change) {
        if !column.has_name() {
            found.push("columnName is required".to_owned());
        }
        if !column.has_type() {
            found.push("columnType is required".to_owned());
        }
    }
    found
}

/// `CONSTRAINT name `; empty without a name.
pub(crate) fn constraint(name: Option<&str>, dialect: &Dialect) -> String {
    name.map(|name| format!("CONSTRAINT {} ", dialect.name(name))).unwrap_or_default()
}

/// Liquibase writes the number of a column as it is, without a final `.0`.
fn column_number(written: &str) -> String {
    written.strip_suffix(".0").unwrap_or(written).to_owned()
}
