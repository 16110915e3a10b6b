//! Changes, and the table of change types.
//!
//! Each type is one file with one constant, a [`ChangeKind`]. To add a type, add its file here and its constant to [`KINDS`].

mod add_auto_increment;
mod add_column;
mod add_default_value;
mod add_foreign_key_constraint;
mod add_lookup_table;
mod add_not_null_constraint;
mod add_primary_key;
mod add_unique_constraint;
mod alter_sequence;
mod column;
mod column_fields;
mod condition;
mod create_index;
mod create_procedure;
mod create_sequence;
mod create_table;
mod create_view;
mod csv;
mod current_time;
mod custom_change;
mod delete;
mod drop_all_foreign_key_constraints;
mod drop_column;
mod drop_default_value;
mod drop_foreign_key_constraint;
mod drop_index;
mod drop_not_null_constraint;
mod drop_primary_key;
mod drop_procedure;
mod drop_sequence;
mod drop_table;
mod drop_unique_constraint;
mod drop_view;
mod empty;
mod error;
mod execute_command;
mod insert;
mod kind;
mod load;
mod load_data;
mod load_data_error;
mod load_update_data;
mod merge_columns;
mod modify_data_type;
mod output;
mod rename;
mod rename_column;
mod rename_sequence;
mod rename_table;
mod rename_view;
mod set_column_remarks;
mod set_table_remarks;
mod sql;
mod sql_file;
mod sql_text;
mod stop;
mod tag_database;
mod update;
mod value;

#[cfg(fuzzing)]
pub(crate) use csv::read_rows as read_csv_rows;
pub use error::ChangeError;
pub use load_data_error::LoadDataError;

use kind::{ChangeKind, ChecksumInput, SqlGenerator};

use crate::checksum::{Checksum, ChecksumVersion, serialise};
use crate::expression;
use crate::external_file::{self, LoadContext};
use crate::field::{self, Field, FieldKind};
use crate::fields::{FieldValue, Fields};
use crate::java_hash::sort_in_hash_order;
use crate::load_error::{LoadError, Location};
use crate::node::Node;
use crate::sql::Dialect;
use crate::validation_problem::ValidationProblem;

/// All change types.
const KINDS: &[&ChangeKind] = &[
    &add_auto_increment::KIND,
    &add_column::KIND,
    &add_default_value::KIND,
    &add_foreign_key_constraint::KIND,
    &add_lookup_table::KIND,
    &add_not_null_constraint::KIND,
    &add_primary_key::KIND,
    &add_unique_constraint::KIND,
    &alter_sequence::KIND,
    &create_index::KIND,
    &create_procedure::KIND,
    &create_sequence::KIND,
    &create_table::KIND,
    &create_view::KIND,
    &custom_change::KIND,
    &delete::KIND,
    &drop_all_foreign_key_constraints::KIND,
    &drop_column::KIND,
    &drop_default_value::KIND,
    &drop_foreign_key_constraint::KIND,
    &drop_index::KIND,
    &drop_not_null_constraint::KIND,
    &drop_primary_key::KIND,
    &drop_procedure::KIND,
    &drop_sequence::KIND,
    &drop_table::KIND,
    &drop_unique_constraint::KIND,
    &drop_view::KIND,
    &empty::KIND,
    &execute_command::KIND,
    &insert::KIND,
    &load_data::KIND,
    &load_update_data::KIND,
    &merge_columns::KIND,
    &modify_data_type::KIND,
    &output::KIND,
    &rename_column::KIND,
    &rename_sequence::KIND,
    &rename_table::KIND,
    &rename_view::KIND,
    &set_column_remarks::KIND,
    &set_table_remarks::KIND,
    &sql::KIND,
    &sql_file::KIND,
    &stop::KIND,
    &tag_database::KIND,
    &update::KIND,
];

/// One change of a changeset.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) kind: &'static ChangeKind,
    pub(crate) fields: Fields,
}

impl Change {
    /// Reads a change element.
    ///
    /// # Errors
    /// When the type is unknown, or the element has an unknown attribute or child.
    pub(crate) fn read(node: &Node, at: &Location) -> Result<Self, LoadError> {
        let at = Location { line: node.line, ..at.clone() };
        match KINDS.iter().find(|kind| kind.name == node.name) {
            Some(kind) => Ok(Self { kind, fields: field::read(node, kind.fields, &at)? }),
            None => Err(LoadError::UnknownChange { at: at.into(), name: node.name.clone() }),
        }
    }

    /// Whether a change type with this name exists, even if it is not supported.
    pub(crate) fn is_known(name: &str) -> bool {
        KINDS.iter().any(|kind| kind.name == name)
    }

    /// Removes a field from its columns, as `removeChangeSetProperty` does.
    pub(crate) fn remove_column_field(&mut self, name: &str) {
        for (_, value) in &mut self.fields.values {
            if let FieldValue::List(columns) = value {
                columns.iter_mut().for_each(|column| column.values.retain(|(field, _)| *field != name));
            }
        }
    }

    /// Reads the files that it names.
    ///
    /// # Errors
    /// When a property in a file refers to itself.
    pub(crate) fn resolve_files(&mut self, context: LoadContext<'_>) -> Result<(), LoadError> {
        external_file::resolve_files(&mut self.fields, self.kind.fields, context)?;
        load::resolve_cell_files(&mut self.fields, context);
        Ok(())
    }

    /// The tag that it sets, if it is a `tagDatabase`.
    pub(crate) fn tag(&self) -> Option<&str> {
        if self.kind.name == tag_database::KIND.name { self.fields.text("tag") } else { None }
    }

    /// Whether it is SQL text: a `sql`, or a changeset of formatted SQL.
    pub(crate) fn is_sql(&self) -> bool {
        self.kind.name == sql::KIND.name
    }

    /// The text of a `sql`.
    pub(crate) fn sql_text(&self) -> Option<&str> {
        self.fields.text("sql").filter(|_| self.is_sql())
    }

    /// The message of an `output` change, and its target in capital letters.
    pub(crate) fn output(&self) -> Option<(&str, String)> {
        let message = self.fields.text("message").filter(|_| self.kind.name == output::KIND.name)?;
        Some((message, output::target(&self.fields).to_uppercase()))
    }

    /// Whether it is for PostgreSQL.
    pub(crate) fn applies(&self) -> bool {
        self.fields.text("dbms").is_none_or(expression::for_postgresql)
    }

    /// The SQL of the change; empty if it is not for PostgreSQL.
    pub(crate) fn statements(&self, dialect: &Dialect) -> Result<Vec<String>, ChangeError> {
        if !self.applies() {
            return Ok(Vec::new());
        }
        match self.kind.statements {
            SqlGenerator::Infallible(statements) => Ok(statements(&self.fields, dialect)),
            SqlGenerator::Fallible(statements) => statements(&self.fields, dialect),
        }
    }

    /// Whether it would run a program.
    pub(crate) fn runs_program(&self) -> bool {
        self.kind.name == execute_command::KIND.name
    }

    /// Whether a script warns that its SQL may differ from run to run.
    pub(crate) fn is_volatile(&self) -> bool {
        let depends_on_database = [drop_all_foreign_key_constraints::KIND.name, stop::KIND.name];
        self.is_load() || self.runs_program() || depends_on_database.contains(&self.kind.name)
    }

    fn is_load(&self) -> bool {
        [load_data::KIND.name, load_update_data::KIND.name].contains(&self.kind.name)
    }

    fn is_row_change(&self) -> bool {
        [insert::KIND.name, update::KIND.name].contains(&self.kind.name)
    }

    /// The table, as SQL, whose column types the change needs; `None` if the changelog has all types.
    pub(crate) fn untyped_table(&self, dialect: &Dialect) -> Option<String> {
        let needs_types = if self.is_load() {
            load::needs_table_types(&self.fields)
        } else {
            self.is_row_change() && column::has_blob_file(&self.fields)
        };
        (needs_types && self.applies()).then(|| load::table(&self.fields, dialect))
    }

    /// The change with the types of its table's columns, as (name, PostgreSQL type).
    pub(crate) fn with_column_types(&self, types: &[(String, String)]) -> Self {
        let fields = match self.is_load() {
            true => load::with_types(&self.fields, types),
            false => column::with_table_types(&self.fields, types),
        };
        Self { kind: self.kind, fields }
    }

    /// The SQL that rolls it back.
    ///
    /// # Errors
    /// When the change cannot be rolled back.
    pub(crate) fn inverse(&self, dialect: &Dialect) -> Result<Vec<String>, ChangeError> {
        (self.kind.inverse)(&self.fields, dialect).ok_or(ChangeError::NoInverse { class: self.kind.class })
    }

    /// The problems that validation reports.
    pub(crate) fn problems(&self) -> Vec<ValidationProblem> {
        if !self.applies() {
            // Liquibase requires the file of an sqlFile even if the change is for another database.
            let file = (self.kind.name == sql_file::KIND.name).then(|| sql_text::missing_file(&self.fields, "path"));
            return file.flatten().into_iter().collect();
        }
        let required = self.kind.fields.iter().filter(|field| field.required);
        let mut missing: Vec<&Field> = required
            .filter(|field| match field.kind {
                FieldKind::Columns(_) => self.fields.columns().is_empty(),
                _ => self.fields.filled(field.name).is_none(),
            })
            .collect();
        sort_in_hash_order(&mut missing, self.kind.fields.len(), |field| field.name);
        let change = self.kind.name;
        let mut found: Vec<ValidationProblem> = missing
            .into_iter()
            .map(|field| match field.kind {
                FieldKind::Columns(_) => ValidationProblem::NoColumns { change },
                _ if self.fields.text(field.name).is_some() => ValidationProblem::Empty { field: field.name, change },
                _ => ValidationProblem::Required { field: field.name, change },
            })
            .collect();
        found.extend((self.kind.problems)(&self.fields));
        found
    }

    /// The checksum.
    pub(crate) fn checksum(&self, version: ChecksumVersion) -> Checksum {
        match self.kind.checksum_input {
            ChecksumInput::Fields { excluded } => {
                Checksum::of_text(version, &serialise(self.kind.name, &self.fields, excluded))
            }
            ChecksumInput::Custom(checksum) => checksum(&self.fields, version),
        }
    }

    /// Its part of DESCRIPTION in the history: the type, and the fields that are names or paths.
    pub(crate) fn description(&self) -> String {
        let mut named: Vec<String> = Vec::new();
        for (name, value) in &self.fields.values {
            let lower = name.to_lowercase();
            let is_shown =
                (lower == "path" || lower.ends_with("name")) && !lower.contains("schema") && !lower.contains("catalog");
            if let (true, FieldValue::Text(text)) = (is_shown, value) {
                named.push(format!("{name}={text}"));
            }
        }
        named.sort();
        if named.is_empty() { self.kind.name.to_owned() } else { format!("{} {}", self.kind.name, named.join(", ")) }
    }
}
