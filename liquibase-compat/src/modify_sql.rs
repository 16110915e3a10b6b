//! modifySql: what is done to the SQL of a changeset before it is sent.
//!
//! Those that are not meant for PostgreSQL or for this run are left out when the changelog is read, and so do not count in the
//! checksum either: it depends on the contexts of the run, as Liquibase's does.

use std::collections::BTreeSet;

use fancy_regex::{Captures, Regex};

use crate::checksum::{Checksum, ChecksumVersion};
use crate::expression;
use crate::load_error::{LoadError, Location};
use crate::node::Node;
use crate::options::Options;

/// One thing to do to each statement.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// Its name in a changelog.
    name: &'static str,
    work: Work,
    apply_to_rollback: bool,
    dbms: Option<String>,
    contexts: Option<String>,
    labels: Option<String>,
}

#[derive(Debug, Clone)]
enum Work {
    Append(String),
    Prepend(String),
    Replace { replace: String, with: String },
    RegExpReplace { expression: Box<Regex>, replace: String, with: String },
}

/// How version 8 names the contexts: 4.1 and older and the later mode of that version differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContextField {
    /// `contextFilter`, as Liquibase 4.28 computes version 8.
    Filter,
    /// `contexts`, as Liquibase 4.1 did.
    Contexts,
}

/// An attribute, or the text of an element of that name.
fn setting<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    let child = || node.children.iter().find(|child| child.name == name).and_then(|child| child.text.as_deref());
    node.attribute(name).or_else(child)
}

const SETTINGS: &[&str] = &["dbms", "context", "contextFilter", "contexts", "labels", "applyToRollback"];

/// Reads a `<modifySql>`.
///
/// # Errors
/// When it holds what is not known, or an expression that is none.
pub(crate) fn read(node: &Node, at: &Location) -> Result<Vec<Visitor>, LoadError> {
    let of = |name: &str| setting(node, name).filter(|text| !text.trim().is_empty()).map(str::to_owned);
    let mut visitors = Vec::new();
    for child in node.children.iter().filter(|child| !SETTINGS.contains(&child.name.as_str())) {
        let at = Location { line: child.line, ..at.clone() };
        let (name, work) = work(child, &at)?;
        visitors.push(Visitor {
            name,
            work,
            apply_to_rollback: of("applyToRollback").is_some_and(|text| text.eq_ignore_ascii_case("true")),
            dbms: of("dbms"),
            contexts: of("contextFilter").or_else(|| of("context")).or_else(|| of("contexts")),
            labels: of("labels"),
        });
    }
    Ok(visitors)
}

fn work(node: &Node, at: &Location) -> Result<(&'static str, Work), LoadError> {
    let needed = |name: &str| {
        setting(node, name).map(str::to_owned).ok_or_else(|| LoadError::Missing {
            at: at.clone().into(),
            element: node.name.clone(),
            name: name.to_owned(),
        })
    };
    // A text of blanks only is kept as an attribute is, but a parser may have trimmed it away.
    Ok(match node.name.as_str() {
        "append" => ("append", Work::Append(needed("value")?)),
        "prepend" => ("prepend", Work::Prepend(needed("value")?)),
        "replace" => ("replace", Work::Replace { replace: needed("replace")?, with: needed("with")? }),
        "regExpReplace" => {
            let (replace, with) = (needed("replace")?, needed("with")?);
            let expression = Regex::new(&replace).map_err(|error| LoadError::BadValue {
                at: at.clone().into(),
                element: node.name.clone(),
                name: "replace".to_owned(),
                value: replace.clone(),
                allowed: format!("a regular expression; {error}"),
            })?;
            ("regExpReplace", Work::RegExpReplace { expression: Box::new(expression), replace, with })
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
    /// Whether it is meant for PostgreSQL and for this run.
    pub(crate) fn applies(&self, options: &Options) -> bool {
        let labels: Vec<String> = self
            .labels
            .as_deref()
            .map_or_else(Vec::new, |list| list.split(',').map(|one| one.trim().to_owned()).collect());
        self.dbms.as_deref().is_none_or(expression::for_postgresql)
            && self.contexts.as_deref().is_none_or(|contexts| expression::matches(contexts, &options.contexts))
            && (labels.is_empty() || expression::matches(&options.label_filter, &labels))
    }

    /// Whether it changes the SQL of a rollback, too.
    pub(crate) const fn applies_to_rollback(&self) -> bool {
        self.apply_to_rollback
    }

    /// Whether it has contexts, over whose name versions differ.
    pub(crate) const fn has_contexts(&self) -> bool {
        self.contexts.is_some()
    }

    /// The statement with its work done.
    ///
    /// # Errors
    /// When an expression cannot be matched with a bounded effort.
    pub(crate) fn modify(&self, sql: &str) -> Result<String, String> {
        Ok(match &self.work {
            Work::Append(value) => format!("{sql}{value}"),
            Work::Prepend(value) => format!("{value}{sql}"),
            Work::Replace { replace, with } => sql.replace(replace.as_str(), with),
            Work::RegExpReplace { expression, replace, with } => {
                let replaced = expression.try_replacen(sql, 0, |captures: &Captures<'_>| expanded(with, captures));
                replaced
                    .map_err(|error| format!("the expression {replace} of modifySql cannot be matched: {error}"))?
                    .into_owned()
            }
        })
    }

    /// Its part of the changeset's checksum.
    pub(crate) fn checksum(&self, version: ChecksumVersion, context_field: ContextField) -> Checksum {
        let mut lines = BTreeSet::new();
        let mut field = |name: &str, value: &str| lines.insert(format!("    {name}=\"{value}\""));
        field("applyToRollback", if self.apply_to_rollback { "true" } else { "false" });
        match &self.work {
            Work::Append(value) | Work::Prepend(value) => {
                field("value", value);
            }
            Work::Replace { replace, with } | Work::RegExpReplace { replace, with, .. } => {
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

/// Java's replacement: `$1` and `${name}` are groups, a backslash makes what follows stand for itself.
fn expanded(with: &str, captures: &Captures<'_>) -> String {
    let mut out = String::new();
    let mut rest = with.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => out.extend(rest.next()),
            '$' if rest.peek() == Some(&'{') => {
                let name: String = rest.by_ref().skip(1).take_while(|c| *c != '}').collect();
                out.push_str(captures.name(&name).map_or("", |group| group.as_str()));
            }
            '$' => {
                // As many digits as still name a group.
                let mut group = 0;
                while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
                    let wider = group * 10 + digit as usize;
                    if group > 0 && wider >= captures.len() {
                        break;
                    }
                    group = wider;
                    rest.next();
                }
                out.push_str(captures.get(group).map_or("", |group| group.as_str()));
            }
            c => out.push(c),
        }
    }
    out
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
    fn statements_are_changed() {
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
    fn checksums_are_those_of_the_specification() {
        let sum = |visitor: &Visitor| visitor.checksum(ChecksumVersion::V9, ContextField::Filter).to_string();
        let replace = visitor("replace", &[("replace", "mod"), ("with", "mod_x")]);
        assert_eq!(sum(&replace), "9:32fa63a51daa400cc3d4d2389ecac2f6");
        let append = visitor("append", &[("value", " WITH (fillfactor=70)")]);
        assert_eq!(sum(&append), "9:3db947c29446d1051fdb4b721498a367");
    }
}
