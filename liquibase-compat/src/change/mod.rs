//! Change types.
//!
//! Each type is one file with one constant: a [`Kind`], which says the fields (`field.rs` reads them), what is summed, the SQL,
//! and the inverse. Adding a type is adding its file and its line in [`KINDS`].

mod add_auto_increment;
mod add_column;
mod add_default_value;
mod add_foreign_key_constraint;
mod add_lookup_table;
mod add_not_null_constraint;
mod add_primary_key;
mod add_unique_constraint;
mod alter_sequence;
mod body;
pub(crate) mod column;
mod condition;
mod create_index;
mod create_procedure;
mod create_sequence;
mod create_table;
mod create_view;
mod csv;
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
mod execute_command;
mod insert;
pub(crate) mod load;
mod load_data;
mod load_update_data;
mod merge_columns;
mod modify_data_type;
mod output;
#[cfg(test)]
mod recorded;
mod rename_column;
mod rename_sequence;
mod rename_table;
mod rename_view;
mod set_column_remarks;
mod set_table_remarks;
mod sql;
mod sql_file;
mod stop;
mod tag_database;
mod update;
mod value;

use crate::attachment::{self, Surroundings};
use crate::checksum::{Checksum, ChecksumVersion, serialise};
use crate::event::Event;
use crate::expression;
use crate::field::{self, Field, FieldKind, Object, Value};
use crate::load_error::{LoadError, Location};
use crate::node::Node;
use crate::sql::Dialect;

/// Every change type.
const KINDS: &[&Kind] = &[
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

/// What a change type is.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Its name in a changelog.
    pub(crate) name: &'static str,
    /// Its name in Liquibase's messages.
    pub(crate) class: &'static str,
    /// What it may hold.
    pub(crate) fields: &'static [Field],
    /// What its checksum is made of.
    pub(crate) hashing: Hashing,
    /// What validation finds wrong beyond missing required fields.
    pub(crate) invalid: fn(&Object) -> Vec<String>,
    /// What is sent to PostgreSQL.
    pub(crate) statements: Statements,
    /// What undoes it; none if nothing can.
    pub(crate) inverse: fn(&Object, &Dialect) -> Option<Vec<String>>,
}

/// Where a change's SQL comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Statements {
    /// Of what the changelog says, which validation has found to be enough.
    Always(fn(&Object, &Dialect) -> Vec<String>),
    /// As above, but it may turn out only now that there is none, and why.
    Fallible(fn(&Object, &Dialect) -> Result<Vec<String>, String>),
}

/// What a checksum is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hashing {
    /// All fields but these, in Liquibase's serialisation.
    Fields {
        /// Left out.
        excluded: &'static [&'static str],
    },
    /// What the type says.
    Own(fn(&Object, ChecksumVersion) -> Checksum),
}

/// All fields count.
pub(crate) const ALL_FIELDS: Hashing = Hashing::Fields { excluded: &[] };

/// Validation finds nothing beyond missing required fields.
pub(crate) fn nothing_invalid(_: &Object) -> Vec<String> {
    Vec::new()
}

/// No SQL undoes it.
pub(crate) fn no_inverse(_: &Object, _: &Dialect) -> Option<Vec<String>> {
    None
}

/// One change of a changeset.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) kind: &'static Kind,
    pub(crate) fields: Object,
}

impl Change {
    /// Reads a change element.
    ///
    /// # Errors
    /// When the type is unknown, or holds what it may not.
    pub(crate) fn read(node: &Node, at: &Location) -> Result<Self, LoadError> {
        let at = Location { line: node.line, ..at.clone() };
        match KINDS.iter().find(|kind| kind.name == node.name) {
            Some(kind) => Ok(Self { kind, fields: field::read(node, kind.fields, &at)? }),
            None => Err(LoadError::UnknownChange { at: at.into(), name: node.name.clone() }),
        }
    }

    /// Whether a change type of that name exists, supported or not.
    pub(crate) fn is_known(name: &str) -> bool {
        matches!(name, "customChange" | "executeCommand") || KINDS.iter().any(|kind| kind.name == name)
    }

    /// Reads the files that it names.
    ///
    /// # Errors
    /// When a property in a file refers to itself.
    pub(crate) fn attach(&mut self, around: Surroundings<'_>) -> Result<(), LoadError> {
        attachment::attach(&mut self.fields, self.kind.fields, around)?;
        load::attach_cells(&mut self.fields, around);
        Ok(())
    }

    /// Whether it is a tag, and which.
    pub(crate) fn tag(&self) -> Option<&str> {
        if self.kind.name == tag_database::KIND.name { self.fields.text("tag") } else { None }
    }

    /// What it has to say to the person, if it is an `output` change.
    pub(crate) fn output(&self) -> Option<Event<'_>> {
        let target = || self.fields.text("target").unwrap_or("STDERR");
        let message = self.fields.text("message").filter(|_| self.kind.name == "output")?;
        Some(Event::Output { message, target: target() })
    }

    /// Whether it is meant for PostgreSQL.
    pub(crate) fn applies(&self) -> bool {
        self.fields.text("dbms").is_none_or(expression::for_postgresql)
    }

    /// The SQL to run; none if it is not meant for PostgreSQL.
    ///
    /// # Errors
    /// When there is none, and why: a file that is named is missing, a CSV file is malformed, the change is there to stop the run.
    pub(crate) fn statements(&self, dialect: &Dialect) -> Result<Vec<String>, String> {
        if !self.applies() {
            return Ok(Vec::new());
        }
        match self.kind.statements {
            Statements::Always(statements) => Ok(statements(&self.fields, dialect)),
            Statements::Fallible(statements) => statements(&self.fields, dialect),
        }
    }

    /// The table, as SQL, that must be asked for the types of its columns; none if all are said.
    pub(crate) fn untyped_table(&self, dialect: &Dialect) -> Option<String> {
        let loads = [load_data::KIND.name, load_update_data::KIND.name].contains(&self.kind.name);
        let asks = loads && self.applies() && load::untyped(&self.fields);
        asks.then(|| load::table(&self.fields, dialect))
    }

    /// The same change with the types of its table's columns, as (name, PostgreSQL type).
    pub(crate) fn typed(&self, known: &[(String, String)]) -> Self {
        Self { kind: self.kind, fields: load::with_types(&self.fields, known) }
    }

    /// The SQL that undoes it.
    ///
    /// # Errors
    /// When nothing can: Liquibase's message.
    pub(crate) fn inverse(&self, dialect: &Dialect) -> Result<Vec<String>, String> {
        (self.kind.inverse)(&self.fields, dialect)
            .ok_or_else(|| format!("No inverse to liquibase.change.core.{} created", self.kind.class))
    }

    /// What validation finds wrong.
    pub(crate) fn invalid(&self) -> Vec<String> {
        if !self.applies() {
            // Liquibase looks for the file of an sqlFile whatever database it is for.
            let file = (self.kind.name == sql_file::KIND.name).then(|| body::missing_file(&self.fields, "path"));
            return file.flatten().into_iter().collect();
        }
        let missing = self.kind.fields.iter().filter(|field| field.required).filter(|field| match field.kind {
            FieldKind::Columns(_) => self.fields.columns().is_empty(),
            _ => self.fields.filled(field.name).is_none(),
        });
        let mut found: Vec<String> = missing
            .map(|field| match field.kind {
                FieldKind::Columns(_) => format!("No columns defined for {} on postgresql", self.kind.name),
                _ => format!("{} is required", field.name),
            })
            .collect();
        found.extend((self.kind.invalid)(&self.fields));
        found
    }

    /// Its checksum.
    pub(crate) fn checksum(&self, version: ChecksumVersion) -> Checksum {
        match self.kind.hashing {
            Hashing::Fields { excluded } => {
                Checksum::of_text(version, &serialise(self.kind.name, &self.fields, excluded))
            }
            Hashing::Own(checksum) => checksum(&self.fields, version),
        }
    }

    /// Its part of the history's DESCRIPTION: the name, and the fields that are names.
    pub(crate) fn description(&self) -> String {
        let mut named: Vec<String> = Vec::new();
        for (name, value) in &self.fields.fields {
            let lower = name.to_lowercase();
            let counts =
                (lower == "path" || lower.ends_with("name")) && !lower.contains("schema") && !lower.contains("catalog");
            if let (true, Value::Text(text)) = (counts, value) {
                named.push(format!("{name}={text}"));
            }
        }
        named.sort();
        if named.is_empty() { self.kind.name.to_owned() } else { format!("{} {}", self.kind.name, named.join(", ")) }
    }
}

/// Reads a boolean that is absent as `default`.
pub(crate) fn flag_or(object: &Object, name: &str, default: bool) -> bool {
    object.flag(name).unwrap_or(default)
}
