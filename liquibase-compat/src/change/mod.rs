//! Change types.
//!
//! Each type is one file with one constant: a [`Kind`], which says the fields (`field.rs` reads them), what is summed, the SQL,
//! and the inverse. Adding a type is adding its file and its line in [`KINDS`].

mod add_column;
mod add_not_null_constraint;
mod add_primary_key;
mod add_unique_constraint;
pub(crate) mod column;
mod create_index;
mod create_table;
mod drop_column;
mod drop_index;
mod drop_not_null_constraint;
mod drop_primary_key;
mod drop_table;
mod drop_unique_constraint;
mod empty;
mod sql;
mod tag_database;

use crate::checksum::{Checksum, ChecksumVersion, serialise};
use crate::error::{LoadError, Place};
use crate::expression;
use crate::field::{self, Field, FieldKind, Object, Value};
use crate::node::Node;
use crate::options::Event;
use crate::sql::Dialect;

/// Every change type.
const KINDS: &[&Kind] = &[
    &add_column::KIND,
    &add_not_null_constraint::KIND,
    &add_primary_key::KIND,
    &add_unique_constraint::KIND,
    &create_index::KIND,
    &create_table::KIND,
    &drop_column::KIND,
    &drop_index::KIND,
    &drop_not_null_constraint::KIND,
    &drop_primary_key::KIND,
    &drop_table::KIND,
    &drop_unique_constraint::KIND,
    &empty::KIND,
    &sql::KIND,
    &tag_database::KIND,
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
    pub(crate) statements: fn(&Object, &Dialect) -> Vec<String>,
    /// What undoes it; none if nothing can.
    pub(crate) inverse: fn(&Object, &Dialect) -> Option<Vec<String>>,
}

/// What a checksum is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hashing {
    /// All fields but these, in Liquibase's serialisation.
    Fields {
        /// Left out.
        excluded: &'static [&'static str],
    },
    /// These bytes.
    Bytes(fn(&Object, ChecksumVersion) -> String),
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
    pub(crate) fn read(node: &Node, at: &Place) -> Result<Self, LoadError> {
        let at = Place { line: node.line, ..at.clone() };
        match node.name.as_str() {
            "customChange" | "executeCommand" => Err(LoadError::Unsupported {
                at: at.into(),
                what: format!("<{}>", node.name),
                remedy: "it would run a program of its own; write it as <sql>, or run it apart".to_owned(),
            }),
            name => match KINDS.iter().find(|kind| kind.name == name) {
                Some(kind) => Ok(Self { kind, fields: field::read(node, kind.fields, &at)? }),
                None => Err(LoadError::UnknownChange { at: at.into(), name: name.to_owned() }),
            },
        }
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
    pub(crate) fn statements(&self, dialect: &Dialect) -> Vec<String> {
        if self.applies() { (self.kind.statements)(&self.fields, dialect) } else { Vec::new() }
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
            return Vec::new();
        }
        let missing = self.kind.fields.iter().filter(|field| field.required).filter(|field| match field.kind {
            FieldKind::Columns(_) => self.fields.columns().is_empty(),
            _ => self.fields.filled(field.name).is_none(),
        });
        let mut found: Vec<String> = missing.map(|field| format!("{} is required", field.name)).collect();
        found.extend((self.kind.invalid)(&self.fields));
        found
    }

    /// Its checksum.
    pub(crate) fn checksum(&self, version: ChecksumVersion) -> Checksum {
        match self.kind.hashing {
            Hashing::Fields { excluded } => {
                Checksum::of_text(version, &serialise(self.kind.name, &self.fields, excluded))
            }
            Hashing::Bytes(bytes) => Checksum::of_bytes(version, bytes(&self.fields, version).as_bytes()),
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
