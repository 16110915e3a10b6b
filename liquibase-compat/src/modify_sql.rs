//! modifySql: edits the SQL of a changeset before it is sent.
//!
//! Edits for other databases or other contexts are removed when the changelog is read. They are therefore not part of the checksum, which
//! depends on the contexts of the run, as in Liquibase.

use std::collections::BTreeSet;

use fancy_regex::{Captures, Regex};

use crate::checksum::{Checksum, ChecksumVersion};
use crate::expression::{self, UnreadableExpression};
use crate::load_error::{LoadError, Location};
use crate::node::Node;
use crate::options::Options;

/// An edit of each statement of a changeset.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// Its name in a changelog.
    name: &'static str,
    edit: Edit,
    apply_to_rollback: bool,
    dbms: Option<String>,
    contexts: Option<String>,
    labels: Option<String>,
}

/// Why an edit cannot be applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModifySqlError {
    /// Matching the regular expression takes too many steps.
    #[error("the expression {expression} of modifySql cannot be matched: {source}")]
    Unmatchable {
        /// The regular expression.
        expression: String,
        /// The error of the regular expression engine.
        source: Box<fancy_regex::Error>,
    },
    /// A replacement names a group that the expression does not have. The text is Java's.
    #[error("java.lang.IndexOutOfBoundsException: No group {group}")]
    NoGroup {
        /// The number of the group.
        group: usize,
    },
    /// A replacement names a group that the expression does not have. The text is Java's.
    #[error("java.lang.IllegalArgumentException: No group with name {{{name}}}")]
    NoNamedGroup {
        /// The name of the group.
        name: String,
    },
    /// A replacement is malformed. The text is Java's.
    #[error("java.lang.IllegalArgumentException: {problem}")]
    Replacement {
        /// What is wrong with it.
        problem: &'static str,
    },
}

#[derive(Debug, Clone)]
enum Edit {
    Append(String),
    Prepend(String),
    Replace { replace: String, with: String },
    RegExpReplace { expression: Box<Regex>, replace: String, with: String },
}

/// The name of the contexts in a version 8 checksum, which differs between versions of Liquibase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContextField {
    /// `contextFilter`, as Liquibase 4.28 computes version 8.
    Filter,
    /// `contexts`, as Liquibase 4.1 did.
    Contexts,
}

/// The value of an attribute, or the text of a child element with this name.
fn setting<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    let child = || node.children.iter().find(|child| child.name == name).and_then(|child| child.text.as_deref());
    node.attribute(name).or_else(child)
}

const SETTINGS: &[&str] = &["dbms", "context", "contextFilter", "contexts", "labels", "applyToRollback"];

const EDITS: &[&str] = &["append", "prepend", "replace", "regExpReplace"];

/// Reads a `<modifySql>`.
///
/// # Errors
/// When an edit is unknown, or its regular expression is invalid.
pub(crate) fn read(node: &Node, at: &Location) -> Result<Vec<Visitor>, LoadError> {
    let of = |name: &str| setting(node, name).filter(|text| !text.trim().is_empty()).map(str::to_owned);
    node.check_attributes(at, SETTINGS)?;
    let mut visitors = Vec::new();
    for child in node.children.iter().filter(|child| !SETTINGS.contains(&child.name.as_str())) {
        let at = Location { line: child.line, ..at.clone() };
        if node.lenient && !EDITS.contains(&child.name.as_str()) {
            tracing::warn!(place = %at, name = child.name, "not known in modifySql; it is left out, as in Liquibase");
            continue;
        }
        let (name, edit) = read_edit(child, &at)?;
        visitors.push(Visitor {
            name,
            edit,
            apply_to_rollback: of("applyToRollback").is_some_and(|text| text.eq_ignore_ascii_case("true")),
            dbms: of("dbms"),
            contexts: of("contextFilter").or_else(|| of("context")).or_else(|| of("contexts")),
            labels: of("labels"),
        });
    }
    Ok(visitors)
}

fn read_edit(node: &Node, at: &Location) -> Result<(&'static str, Edit), LoadError> {
    let needed = |name: &str| {
        setting(node, name).map(str::to_owned).ok_or_else(|| LoadError::Missing {
            at: at.clone().into(),
            element: node.name.clone(),
            name: name.to_owned(),
        })
    };
    let known: &[&str] =
        if matches!(node.name.as_str(), "append" | "prepend") { &["value"] } else { &["replace", "with"] };
    node.check_content(at, known)?;
    // A value of blanks only is kept in an attribute. In an element the parser may have removed it.
    Ok(match node.name.as_str() {
        "append" => ("append", Edit::Append(needed("value")?)),
        "prepend" => ("prepend", Edit::Prepend(needed("value")?)),
        "replace" => ("replace", Edit::Replace { replace: needed("replace")?, with: needed("with")? }),
        "regExpReplace" => {
            let (replace, with) = (needed("replace")?, needed("with")?);
            let expression = Regex::new(&replace).map_err(|error| LoadError::BadValue {
                at: at.clone().into(),
                element: node.name.clone(),
                name: "replace".to_owned(),
                value: replace.clone(),
                allowed: format!("a regular expression; {error}"),
            })?;
            ("regExpReplace", Edit::RegExpReplace { expression: Box::new(expression), replace, with })
        }
        other => {
            return Err(LoadError::UnknownElement {
                at: at.clone().into(),
                name: other.to_owned(),
                parent: "modifySql".to_owned(),
                known: "append, prepend, replace, regExpReplace".to_owned(),
            });
        }
    })
}

impl Visitor {
    /// Whether it is for PostgreSQL and for this run.
    ///
    /// # Errors
    /// When its contexts or the label filter cannot be read.
    pub(crate) fn applies(&self, options: &Options) -> Result<bool, UnreadableExpression> {
        // Liquibase leaves out what is for another database before it looks at anything else.
        if !self.dbms.as_deref().is_none_or(expression::for_postgresql) {
            return Ok(false);
        }
        let contexts = self.contexts.as_deref().map(|contexts| expression::contexts_match(contexts, &options.contexts));
        let labels = self.labels.as_deref().map(|labels| expression::labels_match(&options.label_filter, labels));
        Ok(contexts.unwrap_or(Ok(true))? && labels.unwrap_or(Ok(true))?)
    }

    /// Whether it also edits the SQL of a rollback.
    pub(crate) const fn applies_to_rollback(&self) -> bool {
        self.apply_to_rollback
    }

    /// Whether it has contexts; see [`ContextField`].
    pub(crate) const fn has_contexts(&self) -> bool {
        self.contexts.is_some()
    }

    /// Edits a statement.
    pub(crate) fn modify(&self, sql: &str) -> Result<String, ModifySqlError> {
        Ok(match &self.edit {
            Edit::Append(value) => format!("{sql}{value}"),
            Edit::Prepend(value) => format!("{value}{sql}"),
            Edit::Replace { replace, with } => sql.replace(replace.as_str(), with),
            Edit::RegExpReplace { expression, replace, with } => {
                let mut problem = None;
                let replaced = expression.try_replacen(sql, 0, |captures: &Captures<'_>| {
                    expand_groups(expression, with, captures).unwrap_or_else(|error| {
                        problem.get_or_insert(error);
                        String::new()
                    })
                });
                let replaced = replaced.map_err(|source| ModifySqlError::Unmatchable {
                    expression: replace.clone(),
                    source: Box::new(source),
                })?;
                match problem {
                    Some(problem) => return Err(problem),
                    None => replaced.into_owned(),
                }
            }
        })
    }

    /// The part of the changeset's checksum.
    pub(crate) fn checksum(&self, version: ChecksumVersion, context_field: ContextField) -> Checksum {
        let mut lines = BTreeSet::new();
        let mut field = |name: &str, value: &str| lines.insert(format!("    {name}=\"{value}\""));
        field("applyToRollback", if self.apply_to_rollback { "true" } else { "false" });
        match &self.edit {
            Edit::Append(value) | Edit::Prepend(value) => {
                field("value", value);
            }
            Edit::Replace { replace, with } | Edit::RegExpReplace { replace, with, .. } => {
                field("replace", replace);
                field("with", with);
            }
        }
        if version == ChecksumVersion::V8 {
            let name = if context_field == ContextField::Filter { "contextFilter" } else { "contexts" };
            for (name, value) in [(name, &self.contexts), ("labels", &self.labels)] {
                if let Some(value) = value {
                    field(name, value);
                }
            }
            if let Some(dbms) = &self.dbms {
                let list: Vec<String> = dbms.split(',').map(|one| format!("        {}", one.trim())).collect();
                lines.insert(format!("    applicableDbms=[\n{}\n    ]", list.join(",\n")));
            }
        }
        let lines: Vec<String> = lines.into_iter().collect();
        Checksum::of_text(version, &format!("{}:[\n{}\n]", self.name, lines.join("\n")))
    }
}

/// Replaces the references in a replacement text of Java: `$1` and `${name}` are groups, and a backslash escapes the next character.
fn expand_groups(expression: &Regex, with: &str, captures: &Captures<'_>) -> Result<String, ModifySqlError> {
    let mut out = String::new();
    let mut rest = with.chars().peekable();
    let illegal = |problem| Err(ModifySqlError::Replacement { problem });
    while let Some(c) = rest.next() {
        match (c, rest.peek().copied()) {
            ('\\', None) => return illegal("character to be escaped is missing"),
            ('\\', Some(_)) => out.extend(rest.next()),
            ('$', None) => return illegal("Illegal group reference: group index is missing"),
            ('$', Some('{')) => {
                let name: String = rest.by_ref().skip(1).take_while(|c| *c != '}').collect();
                if !expression.capture_names().flatten().any(|known| known == name) {
                    return Err(ModifySqlError::NoNamedGroup { name });
                }
                out.push_str(captures.name(&name).map_or("", |group| group.as_str()));
            }
            ('$', Some(first)) => {
                let Some(mut group) = first.to_digit(10).map(|digit| digit as usize) else {
                    return illegal("Illegal group reference");
                };
                rest.next();
                if group >= captures.len() {
                    return Err(ModifySqlError::NoGroup { group });
                }
                // A digit belongs to the number as long as the number is that of a group.
                while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
                    let wider = group * 10 + digit as usize;
                    if wider >= captures.len() {
                        break;
                    }
                    group = wider;
                    rest.next();
                }
                out.push_str(captures.get(group).map_or("", |group| group.as_str()));
            }
            (c, _) => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitor(name: &str, attributes: &[(&str, &str)]) -> Visitor {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let child = Node { name: name.to_owned(), attributes, ..Node::default() };
        let node = Node { name: "modifySql".to_owned(), children: vec![child], ..Node::default() };
        let at = Location { file: "a.xml".to_owned(), line: 1, changeset: None };
        read(&node, &at).unwrap().remove(0)
    }

    #[test]
    fn each_edit_changes_the_statement() {
        for (name, attributes, sql) in [
            ("append", vec![("value", " x")], "create yms x"),
            ("prepend", vec![("value", "x ")], "x create yms"),
            ("replace", vec![("replace", "e"), ("with", "E")], "crEatE yms"),
            ("regExpReplace", vec![("replace", "y(m)s"), ("with", "x$1s\\$")], "create xms$"),
            ("regExpReplace", vec![("replace", "(?<=create )y"), ("with", "$0")], "create yms"),
        ] {
            assert_eq!(visitor(name, &attributes).modify("create yms").unwrap(), sql, "{name}");
        }
    }

    #[test]
    fn checksums_equal_those_of_liquibase() {
        let sum = |visitor: &Visitor| visitor.checksum(ChecksumVersion::V9, ContextField::Filter).to_string();
        let replace = visitor("replace", &[("replace", "mod"), ("with", "mod_x")]);
        assert_eq!(sum(&replace), "9:32fa63a51daa400cc3d4d2389ecac2f6");
        let append = visitor("append", &[("value", " WITH (fillfactor=70)")]);
        assert_eq!(sum(&append), "9:3db947c29446d1051fdb4b721498a367");
    }
}
