//! Columns and their constraints in changes that create tables, columns, indexes and rows.

use std::sync::Arc;

use super::error::ChangeError;
use super::value;
use crate::fields::{FieldValue, Fields};
use crate::file_content::FileError;
use crate::sql::{DataType, DataTypeError, Dialect, Value, literal};
use crate::validation_problem::ValidationProblem;

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

/// The field with the type of the column in the table. It is never in a changelog.
pub(super) const TABLE_TYPE: &str = "tableType of the column";

/// Whether a value is the content of a file. Liquibase then binds all values of the row to a prepared statement.
pub(super) fn has_file(change: &Fields) -> bool {
    let is_file = |column: &Fields| ["valueBlobFile", "valueClobFile"].iter().any(|field| column.text(field).is_some());
    change.columns().iter().any(is_file)
}

/// Whether a value is the content of a binary file, which is written for the type of its column.
pub(super) fn has_blob_file(change: &Fields) -> bool {
    change.columns().iter().any(|column| column.text("valueBlobFile").is_some())
}

/// The change with the types of its columns in the table, as (name, PostgreSQL type).
pub(super) fn with_table_types(change: &Fields, types: &[(String, String)]) -> Fields {
    let mut typed = change.clone();
    for (_, value) in &mut typed.values {
        let FieldValue::List(columns) = value else { continue };
        for column in columns {
            let name = column.required("name");
            if let Some((_, data_type)) = types.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
                column.set(TABLE_TYPE, FieldValue::Text(data_type.clone()));
            }
        }
    }
    typed
}

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
        self.fields.filled("remarks").filter(|remarks| !remarks.trim().is_empty())
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

    /// Its type.
    ///
    /// # Errors
    /// When the type cannot be read, or cannot be that of an identity.
    pub(crate) fn data_type(&self) -> Result<DataType, DataTypeError> {
        DataType::parse_column(self.fields.required("type"), self.fields.is("autoIncrement"))
    }

    /// `name TYPE DEFAULT .. GENERATED .. NOT NULL`.
    ///
    /// # Errors
    /// When the type, or the default for this type, has no SQL.
    pub(crate) fn definition(&self, dialect: &Dialect) -> Result<String, DataTypeError> {
        let data_type = self.data_type()?;
        let default = match self.default(dialect) {
            // The column of a new table may be computed from other columns.
            Some(value) if value.java_text().starts_with("GENERATED ALWAYS ") => {
                format!(" {}", data_type.default_sql(&value)?)
            }
            Some(value) => format!(" DEFAULT {}", data_type.default_sql(&value)?),
            None => String::new(),
        };
        let is_identity = data_type.is_auto_increment() || self.fields.is("autoIncrement");
        let identity = if is_identity { self.identity() } else { String::new() };
        let not_null = if self.is_primary_key() || self.is_not_null() { " NOT NULL" } else { "" };
        Ok(format!("{} {}{default}{identity}{not_null}", dialect.name(self.name()), data_type.sql()?))
    }

    /// As [`definition`](Self::definition), for a table with rows, and with the default behind the identity. Without NOT NULL if the rows first
    /// need a value. A serial type alone makes no identity.
    ///
    /// # Errors
    /// As [`definition`](Self::definition).
    pub(crate) fn addition(&self, dialect: &Dialect) -> Result<String, DataTypeError> {
        let data_type = self.data_type()?;
        let default = match self.default(dialect) {
            Some(value) => format!(" DEFAULT {}", data_type.default_sql(&value)?),
            None => String::new(),
        };
        let identity = if self.fields.is("autoIncrement") { self.identity() } else { String::new() };
        let mut sql = format!("{} {}{identity}{default}", dialect.name(self.name()), data_type.sql()?);
        if self.is_primary_key() || (self.is_not_null() && !self.has_value()) {
            // As in Liquibase, only a column that is added has a name for this constraint.
            if let Some(name) = self.constraint_text("notNullConstraintName") {
                sql.push_str(&format!(" CONSTRAINT {}", dialect.name(name)));
            }
            sql.push_str(" NOT NULL");
        }
        Ok(sql)
    }

    fn identity(&self) -> String {
        let generation = self.fields.filled("generationType").unwrap_or("BY DEFAULT");
        let options: Vec<String> = [("startWith", "START WITH"), ("incrementBy", "INCREMENT BY")]
            .into_iter()
            .filter_map(|(field, word)| Some((word, self.fields.filled(field).filter(|value| *value != "1")?)))
            .map(|(word, value)| format!("{word} {value}"))
            .collect();
        let options = if options.is_empty() { String::new() } else { format!(" ({})", options.join(" ")) };
        format!(" GENERATED {generation} AS IDENTITY{options}")
    }

    fn default(&self, dialect: &Dialect) -> Option<Value<'a>> {
        if let Some(text) = self.fields.text("defaultValue") {
            return Some(Value::Text(text));
        }
        if let Some(flag) = self.fields.flag("defaultValueBoolean") {
            return Some(Value::Boolean(flag));
        }
        if let Some(number) = self.fields.filled("defaultValueNumeric") {
            return Some(Value::Number(number));
        }
        if let Some(date) = self.fields.filled("defaultValueDate") {
            return Some(value::date_or_expression(date));
        }
        // An empty one is an empty expression, which PostgreSQL refuses.
        if let Some(expression) = self.fields.text("defaultValueComputed") {
            return Some(Value::Expression(value::computed(expression)));
        }
        let sequence = self.fields.filled("defaultValueSequenceNext")?;
        Some(Value::Expression(value::next(None, sequence, dialect)))
    }

    /// The type that PostgreSQL stores: that of the table, as far as it was looked up, else that of the changelog.
    fn stored_type(&self) -> Option<String> {
        let of_table = self.fields.text(TABLE_TYPE).map(str::to_owned);
        of_table.or_else(|| DataType::parse(self.fields.filled("type")?).ok()?.sql().ok().map(|sql| sql.to_lowercase()))
    }

    /// The text of its value.
    pub(crate) fn text_value(&self) -> Option<&'a str> {
        self.fields.text("value")
    }

    /// The value for a row; `None` if the changelog gives none.
    ///
    /// # Errors
    /// When the value is in an unreadable file.
    pub(crate) fn value(&self, dialect: &Dialect) -> Result<Option<String>, Arc<FileError>> {
        self.value_in(None, dialect)
    }

    /// As [`value`](Self::value), with sequences in this schema.
    fn value_in(&self, schema: Option<&str>, dialect: &Dialect) -> Result<Option<String>, Arc<FileError>> {
        let value = self.given_value(schema, dialect)?;
        Ok(value.map(|sql| if sql.eq_ignore_ascii_case("null") { "NULL".to_owned() } else { sql }))
    }

    /// The value for a row that is inserted or updated. Values that are bound have the type of their Java value: a text becomes no
    /// number, date or NULL.
    ///
    /// # Errors
    /// When the value is in an unreadable file.
    pub(crate) fn row_value(&self, change: &Fields, dialect: &Dialect) -> Result<Option<String>, Arc<FileError>> {
        let (fields, is_bound) = (self.fields, has_file(change));
        let before_clob = ["valueBoolean", "valueNumeric", "valueDate", "valueComputed"];
        let has_other = || before_clob.iter().any(|name| fields.text(name).is_some() || fields.flag(name).is_some());
        match (fields.text("value"), fields.filled("valueNumeric"), fields.file("valueClobFile")) {
            (Some(text), ..) if is_bound => Ok(Some(value::bound_text(text))),
            (None, Some(number), _) if is_bound && fields.flag("valueBoolean").is_none() => {
                Ok(Some(value::bound_number(number)))
            }
            (None, None, Some(file)) if is_bound && !has_other() => {
                Ok(Some(value::bound_text(&file.map_err(Arc::clone)?.decoded)))
            }
            // Beside values that are bound Liquibase writes the name of a sequence as an expression.
            (None, None, None) if is_bound && !has_other() && fields.file("valueBlobFile").is_none() => {
                let name = ["valueSequenceNext", "valueSequenceCurrent"].iter().find_map(|name| fields.filled(name));
                Ok(name.map(str::to_owned))
            }
            // Sequences are in the schema of the table.
            _ => self.value_in(change.filled("schemaName"), dialect),
        }
    }

    fn given_value(&self, schema: Option<&str>, dialect: &Dialect) -> Result<Option<String>, Arc<FileError>> {
        let fields = self.fields;
        if let Some(text) = fields.text("value") {
            return Ok(Some(value::cell(text)));
        }
        if let Some(flag) = fields.flag("valueBoolean") {
            return Ok(Some(value::boolean(flag)));
        }
        if let Some(number) = fields.filled("valueNumeric") {
            return Ok(Some(number.to_owned()));
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
            let content = &file.map_err(Arc::clone)?.bytes;
            return Ok(Some(value::bytes_for(content, self.stored_type().as_deref())));
        }
        if let Some(sequence) = fields.filled("valueSequenceNext") {
            return Ok(Some(value::next(schema, sequence, dialect)));
        }
        Ok(fields.filled("valueSequenceCurrent").map(|sequence| value::current(schema, sequence, dialect)))
    }

    /// Whether it is unique.
    pub(crate) fn is_unique(&self) -> bool {
        self.constraint_flag("unique") == Some(true)
    }

    /// The name of its unique constraint, if given.
    pub(crate) fn unique_constraint_name(&self) -> Option<&'a str> {
        self.constraint_text("uniqueConstraintName")
    }

    /// `[CONSTRAINT name] UNIQUE (column)`, if it is unique.
    pub(crate) fn unique(&self, dialect: &Dialect) -> Option<String> {
        let name = constraint(self.unique_constraint_name(), dialect);
        self.is_unique().then(|| format!("{name}UNIQUE ({})", dialect.name(self.name())))
    }

    /// `CONSTRAINT name FOREIGN KEY (column) REFERENCES table(column)` for a new table, if it refers to another one.
    pub(crate) fn foreign_key(&self, dialect: &Dialect) -> Option<String> {
        let target = match self.constraint_text("references") {
            // The text is SQL, so names in it are not quoted anew.
            Some(references) if references.contains('.') => references.to_owned(),
            Some(references) => format!("{}.{references}", dialect.name(&dialect.schema)),
            None => self.referenced_table("", dialect)?,
        };
        Some(self.foreign_key_to(&target, &["deleteCascade", "initiallyDeferred", "deferrable"], dialect))
    }

    /// As [`foreign_key`](Self::foreign_key), for an existing table. Liquibase does not defer such a key.
    ///
    /// # Errors
    /// When `references` is not a table and one column.
    pub(crate) fn added_foreign_key(&self, dialect: &Dialect) -> Result<Option<String>, ChangeError> {
        let target = match self.constraint_text("references") {
            Some(references) => match table_and_column(references) {
                Some((table, column)) => reference(None, table, column, " ", dialect),
                None => return Err(ChangeError::UnreadableReference { references: references.to_owned() }),
            },
            None => match self.referenced_table(" ", dialect) {
                Some(target) => target,
                None => return Ok(None),
            },
        };
        let mut sql = self.foreign_key_to(&target, &["deleteCascade"], dialect);
        if self.constraint_flag("validateForeignKey") == Some(false) {
            sql.push_str(" NOT VALID");
        }
        Ok(Some(sql))
    }

    /// `schema.table(columns)` from `referencedTableName` and the fields that belong to it.
    ///
    /// `gap` is the text before the list of columns: Liquibase writes a blank in ALTER TABLE and nothing in CREATE TABLE.
    fn referenced_table(&self, gap: &str, dialect: &Dialect) -> Option<String> {
        let table = self.constraint_text("referencedTableName")?;
        let columns = self.constraint_text("referencedColumnNames").unwrap_or_default();
        Some(reference(self.constraint_text("referencedTableSchemaName"), table, columns, gap, dialect))
    }

    fn foreign_key_to(&self, target: &str, options: &[&str], dialect: &Dialect) -> String {
        let name = constraint(self.constraint_text("foreignKeyName"), dialect);
        let mut sql = format!("{name}FOREIGN KEY ({}) REFERENCES {target}", dialect.name(self.name()));
        for option in options.iter().filter(|option| self.constraint_flag(option) == Some(true)) {
            sql.push_str(match *option {
                "deleteCascade" => " ON DELETE CASCADE",
                "initiallyDeferred" => " INITIALLY DEFERRED",
                _ => " DEFERRABLE",
            });
        }
        sql
    }

    /// ` INITIALLY DEFERRED DEFERRABLE`, as far as its constraints are deferred.
    pub(crate) fn deferral(&self) -> String {
        let words = [("initiallyDeferred", " INITIALLY DEFERRED"), ("deferrable", " DEFERRABLE")];
        words.iter().filter(|(flag, _)| self.constraint_flag(flag) == Some(true)).map(|(_, words)| *words).collect()
    }

    /// Whether it has a foreign key without a name.
    pub(crate) fn lacks_foreign_key_name(&self) -> bool {
        let refers = self.constraint_text("references").or(self.constraint_text("referencedTableName")).is_some();
        refers && self.constraint_text("foreignKeyName").is_none()
    }

    /// `COMMENT ON COLUMN ...`, if it has a comment.
    pub(crate) fn comment(&self, table: &str, dialect: &Dialect) -> Option<String> {
        let remarks = self.remarks()?;
        Some(format!("COMMENT ON COLUMN {table}.{} IS {}", dialect.name(self.name()), literal(remarks.trim())))
    }
}

/// Reports columns without a name or a type, for changes that create columns.
pub(crate) fn definition_problems(change: &Fields) -> Vec<ValidationProblem> {
    let mut found = Vec::new();
    for column in Column::all(change) {
        if !column.has_name() {
            found.push(ValidationProblem::Missing { field: "columnName" });
        }
        if !column.has_type() {
            found.push(ValidationProblem::Missing { field: "columnType" });
        }
    }
    found
}

/// `schema.table(columns)`. The name of the table may contain the schema.
fn reference(schema: Option<&str>, table: &str, columns: &str, gap: &str, dialect: &Dialect) -> String {
    let (schema, table) = match table.split_once('.') {
        Some((schema, table)) if !schema.is_empty() => (Some(schema), table),
        _ => (schema, table),
    };
    format!("{}{gap}({})", dialect.qualified_name(schema, table), dialect.names(columns))
}

/// The parts of `table(column)`.
fn table_and_column(references: &str) -> Option<(&str, &str)> {
    let is_word = |text: &str, others: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || others.contains(c))
    };
    let (table, column) = references.strip_suffix(')')?.split_once('(')?;
    let (table, column) = (table.trim_end(), column.trim());
    (is_word(table, ".") && is_word(column, "")).then_some((table, column))
}

/// `CONSTRAINT name `; empty without a name.
pub(crate) fn constraint(name: Option<&str>, dialect: &Dialect) -> String {
    name.map(|name| format!("CONSTRAINT {} ", dialect.name(name))).unwrap_or_default()
}
