//! Parses the directives of formatted SQL, and recognises malformed ones.

use super::sql_line::{self, ValueSyntax, attribute, directive, directive_at_start, one_dash};
use crate::load_error::LoadError;
use crate::node::Node;

/// The `<property>` of a `--property` line.
pub(super) fn property(text: &str, number: u32) -> Option<Node> {
    let rest = directive(text, "property").filter(|rest| sql_line::begins_blank(rest)).map(str::trim_start)?;
    let (first, last) = (rest.find(':')?, rest.rfind(':')?);
    if !rest[first..last].contains(char::is_whitespace) {
        return None;
    }
    let mut node = Node::element("property", number, &[], None);
    let mut set = |name: &str, value: Option<&str>| {
        node.attributes.extend(value.map(|value| (name.to_owned(), sql_line::unquoted(value).to_owned())));
    };
    set("name", attribute(text, "name", ValueSyntax::Token));
    set("value", attribute(text, "value", ValueSyntax::Token));
    let filter = attribute(text, "contextFilter", ValueSyntax::QuotedOrToken).filter(|value| !value.is_empty());
    set("contextFilter", filter.or_else(|| attribute(text, "context", ValueSyntax::QuotedOrToken)));
    set("labels", attribute(text, "labels", ValueSyntax::QuotedOrToken));
    set("dbms", attribute(text, "dbms", ValueSyntax::DatabaseList));
    let global = attribute(text, "global", ValueSyntax::Token).is_none_or(|value| value.eq_ignore_ascii_case("true"));
    set("global", Some(if global { "true" } else { "false" }));
    Some(node)
}

/// The `<preConditions>` of a `--preconditions` line, without its conditions.
pub(super) fn preconditions(text: &str, number: u32) -> Option<Node> {
    let body = directive(text, "preconditions")?;
    let mut node = Node::element("preConditions", number, &[], None);
    for (name, of) in
        [("onFail", "onFail"), ("onError", "onError"), ("onSqlOutput", "onSqlOutput"), ("onSqlOutput", "onUpdateSQL")]
    {
        if node.attribute(name).is_none() {
            node.attributes
                .extend(attribute(body, of, ValueSyntax::Word).map(|value| (name.to_owned(), value.to_owned())));
        }
    }
    Some(node)
}

/// The condition of a `--precondition-...` line.
///
/// # Errors
/// When the condition is unknown or incomplete.
pub(super) fn precondition(file: &str, text: &str, number: u32) -> Result<Option<Node>, LoadError> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let Some(rest) = directive(text, "precondition-").filter(|rest| rest.starts_with(is_name)) else {
        return Ok(None);
    };
    let (name, body) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
    if !body.is_empty() && !body.starts_with(' ') {
        return Ok(None);
    }
    let error = |problem: String| LoadError::Condition { file: file.to_owned(), line: number, problem };
    let body = body.trim();
    let schema = attribute(body, "schema", ValueSyntax::Word);
    let named = |condition: &str, attribute_name: &str, kind: &str| {
        let Some(value) = attribute(body, kind, ValueSyntax::Word) else {
            let title = if condition == "viewExists" { "View" } else { "Table" };
            return Err(error(match body {
                "" => format!("Precondition {kind} exists failed because of missing required {kind} name parameter."),
                _ => format!("{title} name was not specified correctly in {condition} precondition."),
            }));
        };
        let mut node = Node::element(condition, number, &[(attribute_name, value)], None);
        node.attributes.extend(schema.map(|schema| ("schemaName".to_owned(), schema.to_owned())));
        Ok(Some(node))
    };
    match name {
        "sql-check" => match sql_check(body) {
            Some((expected, sql)) => {
                Ok(Some(Node::element("sqlCheck", number, &[("expectedResult", expected)], Some(sql))))
            }
            None => Err(error(format!("Could not parse a SqlCheck precondition from '{body}'."))),
        },
        "table-exists" => named("tableExists", "tableName", "table"),
        "view-exists" => named("viewExists", "viewName", "view"),
        _ => Err(error(format!("The '{name}' precondition type is not supported."))),
    }
}

/// The expected result and the query of `expectedResult:0 select ...`. The result is a word or in quotes.
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

/// The `<rollback>` of the `--rollback` lines of a changeset.
///
/// # Errors
/// When it refers to a changeset without its id or author.
pub(super) fn rollback(
    text: &str,
    (file, number): (&str, u32),
    attributes: Vec<(String, String)>,
) -> Result<Option<Node>, LoadError> {
    let lower = text.trim().to_lowercase();
    if lower.is_empty() {
        return Ok(None);
    }
    let mut node = Node::element("rollback", number, &[], None);
    if lower.starts_with("not required") || lower.starts_with("empty") {
        return Ok(Some(node));
    }
    if lower.contains("changesetid") {
        let joined = text.replace('\n', "");
        let needed = [("changeSetId", Some("changesetId")), ("changeSetAuthor", Some("changesetAuthor"))];
        for (name, shown) in needed.into_iter().chain([("changeSetPath", None)]) {
            match (attribute(&joined, name, ValueSyntax::Token), shown) {
                (Some(value), _) => node.attributes.push((name.to_owned(), value.to_owned())),
                (None, Some(name)) => {
                    let (file, text) = (file.to_owned(), joined.trim().to_owned());
                    return Err(LoadError::IncompleteReference { file, line: number, name, text });
                }
                (None, None) => {}
            }
        }
        return Ok(Some(node));
    }
    let mut sql = Node::element("sql", number, &[], Some(text));
    sql.attributes = attributes;
    node.children.push(sql);
    Ok(Some(node))
}

/// The author and the id of a changeset line, and the text behind them; `None` if the line is malformed.
pub(super) fn author_and_id(line: &str) -> Option<(&str, &str, &str)> {
    let rest = directive(line, "changeset").filter(|rest| sql_line::begins_blank(rest)).map(sql_line::trim_start)?;
    let (quoted, after) = sql_line::word(rest);
    let (author, rest) = match after.strip_prefix(':') {
        Some(after) if quoted.starts_with('"') => (quoted, after),
        _ => rest.split_once(':').filter(|(author, _)| !author.is_empty())?,
    };
    let (id, attributes) = sql_line::word(rest);
    let (author, id) = (sql_line::unquoted(author), sql_line::unquoted(id));
    (!id.replace([':', ' '], "").is_empty()).then_some((author, id, attributes))
}

/// Warns of each `name:value` whose name is not known. Liquibase searches the line for the names that it knows, and ignores the rest.
pub(super) fn warn_of_unknown(attributes: &str, known: &[&str], file: &str, line: u32) {
    for (index, part) in attributes.split('"').enumerate() {
        // The parts with odd numbers are in quotes.
        for word in part.split_whitespace().filter(|_| index % 2 == 0) {
            let Some((name, _)) = word.split_once(':') else { continue };
            let is_known = known.iter().any(|known| name.to_lowercase().ends_with(&known.to_lowercase()));
            if !name.is_empty() && !is_known {
                tracing::warn!(file, line, name, "no attribute of formatted SQL; it is left out");
            }
        }
    }
}

pub(super) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether the line begins with dashes, in any number, and `property`.
pub(super) fn looks_like_property(line: &str) -> bool {
    let text = sql_line::trim_start(line);
    let dashes = text.trim_start_matches('-');
    let last = text.len() - dashes.len();
    last > 0 && one_dash(&text[last - 1..], "property").is_some_and(sql_line::begins_blank)
}

/// The text of a `--comment` line.
pub(super) fn comment(line: &str) -> Option<&str> {
    after_blank(directive_at_start(line, "comment")?)
}

pub(super) fn valid_checksum(line: &str) -> Option<&str> {
    after_blank(directive_at_start(line, "validCheckSum")?)
}

/// The text after an optional colon and a blank.
fn after_blank(rest: &str) -> Option<&str> {
    rest.strip_prefix(':').unwrap_or(rest).strip_prefix(' ')
}

/// The syntax of the directive that a malformed line resembles.
pub(super) fn malformed(line: &str) -> Option<&'static str> {
    let indented = sql_line::trim_start(line);
    if one_dash(line, "comment").and_then(after_blank).is_some()
        || directive_at_start(line, "comments").and_then(after_blank).is_some()
    {
        return Some("--comment <comment>");
    }
    if one_dash(line, "validCheckSum").is_some() {
        return Some("--validChecksum <checksum>");
    }
    if one_dash(indented, "rollback").is_some_and(sql_line::begins_blank) {
        return Some("--rollback <rollback SQL>");
    }
    if one_dash(indented, "preconditions").is_some_and(sql_line::begins_blank) {
        return Some("--preconditions <onFail>|<onError>|<onUpdate>");
    }
    one_dash(indented, "precondition").map(|_| "--precondition-sql-check")
}
