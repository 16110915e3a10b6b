//! The single directives of formatted SQL: what each says, and what only looks like one.

use super::line::{self, Form, attribute, directive, directive_at_start, one_dash};
use super::sql::element;
use crate::load_error::LoadError;
use crate::node::Node;

/// The `<property>` that a line defines, if it is such a line.
pub(super) fn property(text: &str, number: u32) -> Option<Node> {
    let rest = directive(text, "property").filter(|rest| line::begins_blank(rest)).map(str::trim_start)?;
    let (first, last) = (rest.find(':')?, rest.rfind(':')?);
    if !rest[first..last].contains(char::is_whitespace) {
        return None;
    }
    let mut node = element("property", number, &[], None);
    let mut set = |name: &str, value: Option<&str>| {
        node.attributes.extend(value.map(|value| (name.to_owned(), line::unquoted(value).to_owned())));
    };
    set("name", attribute(text, "name", Form::Filled));
    set("value", attribute(text, "value", Form::Filled));
    let filter = attribute(text, "contextFilter", Form::Quotable).filter(|value| !value.is_empty());
    set("contextFilter", filter.or_else(|| attribute(text, "context", Form::Quotable)));
    set("labels", attribute(text, "labels", Form::Quotable));
    set("dbms", attribute(text, "dbms", Form::Databases));
    let global = attribute(text, "global", Form::Filled).is_none_or(|value| value.eq_ignore_ascii_case("true"));
    set("global", Some(if global { "true" } else { "false" }));
    Some(node)
}

/// The `<preConditions>` that a line opens, if it is such a line.
pub(super) fn preconditions(text: &str, number: u32) -> Option<Node> {
    let body = directive(text, "preconditions")?;
    let mut node = element("preConditions", number, &[], None);
    for (name, of) in
        [("onFail", "onFail"), ("onError", "onError"), ("onSqlOutput", "onSqlOutput"), ("onSqlOutput", "onUpdateSQL")]
    {
        if node.attribute(name).is_none() {
            node.attributes.extend(attribute(body, of, Form::Word).map(|value| (name.to_owned(), value.to_owned())));
        }
    }
    Some(node)
}

/// The condition that a line states, if it is such a line.
///
/// # Errors
/// When the condition is unknown, or lacks something.
pub(super) fn precondition(file: &str, text: &str, number: u32) -> Result<Option<Node>, LoadError> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let Some(rest) = directive(text, "precondition-").filter(|rest| rest.starts_with(is_name)) else {
        return Ok(None);
    };
    let (name, body) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
    if !body.is_empty() && !body.starts_with(' ') {
        return Ok(None);
    }
    let wrong = |reason: String| LoadError::Syntax { file: file.to_owned(), line: number, column: 1, reason };
    let body = body.trim();
    let schema = attribute(body, "schema", Form::Word);
    let named = |condition: &str, attribute_name: &str, kind: &str| {
        let Some(value) = attribute(body, kind, Form::Word) else {
            return Err(wrong(format!("the precondition {name} needs a name; write {kind}:NAME")));
        };
        let mut node = element(condition, number, &[(attribute_name, value)], None);
        node.attributes.extend(schema.map(|schema| ("schemaName".to_owned(), schema.to_owned())));
        Ok(Some(node))
    };
    match name {
        "sql-check" => match sql_check(body) {
            Some((expected, sql)) => Ok(Some(element("sqlCheck", number, &[("expectedResult", expected)], Some(sql)))),
            None => Err(wrong(format!(
                "could not parse a SqlCheck precondition from '{body}'; write expectedResult:VALUE SELECT ..."
            ))),
        },
        "table-exists" => named("tableExists", "tableName", "table"),
        "view-exists" => named("viewExists", "viewName", "view"),
        _ => Err(wrong(format!(
            "The '{name}' precondition type is not supported; known are sql-check, table-exists, view-exists"
        ))),
    }
}

/// The expected result and the query: `expectedResult:0 select ...`, the result a word or in quotes.
fn sql_check(body: &str) -> Option<(&str, &str)> {
    let prefix = "expectedResult:";
    let body = match body.get(..prefix.len()) {
        Some(head) if head.eq_ignore_ascii_case(prefix) => &body[prefix.len()..],
        _ => body,
    };
    let quote = body.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let (expected, rest) = match quote {
        Some(quote) => body[1..].split_once(quote)?,
        None => body.split_at(body.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?),
    };
    let sql = rest.strip_prefix(' ')?;
    (!expected.is_empty()).then_some((expected, sql))
}

/// The `<rollback>` that the lines of a changeset make, if there are any.
pub(super) fn rollback_of(text: &str, number: u32, attributes: Vec<(String, String)>) -> Option<Node> {
    let lower = text.trim().to_lowercase();
    if lower.is_empty() {
        return None;
    }
    let mut node = element("rollback", number, &[], None);
    if lower.starts_with("not required") || lower.starts_with("empty") {
        return Some(node);
    }
    if lower.contains("changesetid") {
        let joined = text.replace('\n', "");
        for name in ["changeSetId", "changeSetAuthor", "changeSetPath"] {
            let value = attribute(&joined, name, Form::Filled).map(str::to_owned);
            // One without its value is kept as an empty one, which is told where references are read.
            let value = if name == "changeSetPath" { value } else { Some(value.unwrap_or_default()) };
            node.attributes.extend(value.map(|value| (name.to_owned(), value)));
        }
        return Some(node);
    }
    let mut sql = element("sql", number, &[], Some(text));
    sql.attributes = attributes;
    node.children.push(sql);
    Some(node)
}

/// The author and the id of a changeset line; none if it is not well formed.
pub(super) fn author_and_id(line: &str) -> Option<(&str, &str)> {
    let rest = directive(line, "changeset").filter(|rest| line::begins_blank(rest)).map(line::trim_start)?;
    let (quoted, after) = line::word(rest);
    let (author, rest) = match after.strip_prefix(':') {
        Some(after) if quoted.starts_with('"') => (quoted, after),
        _ => rest.split_once(':').filter(|(author, _)| !author.is_empty())?,
    };
    let (id, _) = line::word(rest);
    let (author, id) = (line::unquoted(author), line::unquoted(id));
    (!id.replace([':', ' '], "").is_empty()).then_some((author, id))
}

pub(super) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether the line begins with any number of dashes and `property`.
pub(super) fn looks_like_property(line: &str) -> bool {
    let text = line::trim_start(line);
    let dashes = text.trim_start_matches('-');
    let last = text.len() - dashes.len();
    last > 0 && one_dash(&text[last - 1..], "property").is_some_and(line::begins_blank)
}

/// The text of a `--comment` line.
pub(super) fn comment(line: &str) -> Option<&str> {
    spaced(directive_at_start(line, "comment")?)
}

pub(super) fn valid_checksum(line: &str) -> Option<&str> {
    spaced(directive_at_start(line, "validCheckSum")?)
}

/// What follows an optional colon and a blank.
fn spaced(rest: &str) -> Option<&str> {
    rest.strip_prefix(':').unwrap_or(rest).strip_prefix(' ')
}

/// What a line that is almost a directive should have been.
pub(super) fn mistaken(line: &str) -> Option<&'static str> {
    let indented = line::trim_start(line);
    if one_dash(line, "comment").and_then(spaced).is_some()
        || directive_at_start(line, "comments").and_then(spaced).is_some()
    {
        return Some("--comment <comment>");
    }
    if one_dash(line, "validCheckSum").is_some() {
        return Some("--validChecksum <checksum>");
    }
    if one_dash(indented, "rollback").is_some_and(line::begins_blank) {
        return Some("--rollback <rollback SQL>");
    }
    if one_dash(indented, "preconditions").is_some_and(line::begins_blank) {
        return Some("--preconditions <onFail>|<onError>|<onUpdate>");
    }
    one_dash(indented, "precondition").map(|_| "--precondition-sql-check")
}
