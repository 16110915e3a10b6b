//! Formatted SQL: SQL with directives in comments. It is parsed into the tree that XML has.
//!
//! The grammar is Liquibase's. It includes Liquibase's faults where a checksum depends on them: if the last changeset is empty, it gets
//! the SQL of the changeset before. The lines of a `/* liquibase rollback` comment are kept as lines, although Liquibase joins them.
//! A file without the header is one changeset.

use super::sql_directive::{
    author_and_id, comment, is_word, looks_like_property, malformed, precondition, preconditions, property, rollback,
    valid_checksum, warn_of_unknown,
};
use super::sql_line::{self, ValueSyntax, attribute, directive, directive_at_start, one_dash};
use crate::load_error::LoadError;
use crate::node::Node;

/// Parses one SQL file.
///
/// # Errors
/// When a line resembles a directive and is malformed, or a changeset has no SQL.
pub(super) fn parse(file: &str, text: &str) -> Result<Node, LoadError> {
    let mut root = Node { name: "databaseChangeLog".to_owned(), line: 1, ..Node::default() };
    let first = text.lines().find(|line| !line.trim().is_empty());
    if !first.is_some_and(sql_line::is_header) {
        if text.is_empty() {
            return Err(LoadError::Syntax {
                file: file.to_owned(),
                line: 1,
                column: 1,
                reason: "the file is empty; remove it from the changelog".to_owned(),
            });
        }
        root.children.push(headerless(text));
        return Ok(root);
    }
    let mut reader = Reader { file, nodes: Vec::new(), open: None, previous_sql: None, logical_path: None };
    reader.read_lines(&text.replace("\r\n", "\n").replace('\r', "\n"))?;
    // Messages about preconditions name the path of the header.
    let logical = text.lines().find(|line| sql_line::is_header(line));
    let logical = logical.and_then(|line| attribute(line, "logicalFilePath", ValueSyntax::OptionalToken));
    root.attributes.extend(logical.map(|path| ("logicalFilePath".to_owned(), path.to_owned())));
    root.children = reader.nodes;
    Ok(root)
}

/// Trims blanks and control characters, as Java does.
fn java_trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

/// A file without the header: one changeset with one statement.
fn headerless(text: &str) -> Node {
    let sql = Node::element("sql", 1, &[("splitStatements", "false"), ("stripComments", "false")], Some(text));
    let mut set = Node::element("changeSet", 1, &[("id", "raw"), ("author", "includeAll")], None);
    set.children.push(sql);
    set.verbatim = true;
    set
}

/// A changeset whose last line was not read yet.
#[derive(Debug)]
struct OpenChangeSet {
    set: Node,
    /// The attributes of its `<sql>`.
    sql_attributes: Vec<(String, String)>,
    /// The attributes of the `<sql>` in its rollback.
    rollback_attributes: Vec<(String, String)>,
    preconditions: Option<Node>,
    checksums: Vec<Node>,
    comment: Option<Node>,
    sql_text: String,
    rollback_text: String,
}

struct Reader<'a> {
    file: &'a str,
    nodes: Vec<Node>,
    open: Option<OpenChangeSet>,
    /// The SQL of the changeset before.
    previous_sql: Option<String>,
    /// The logical file path in the header.
    logical_path: Option<String>,
}

/// The lines of a file with their numbers.
type Lines<'t> = std::iter::Zip<std::str::Lines<'t>, std::ops::RangeFrom<u32>>;

impl Reader<'_> {
    fn read_lines(&mut self, text: &str) -> Result<(), LoadError> {
        let mut lines: Lines<'_> = text.lines().zip(1..);
        while let Some((line, number)) = lines.next() {
            if let Some(node) = property(line, number) {
                let attributes = directive(line, "property").unwrap_or_default();
                warn_of_unknown(attributes, PROPERTY_ATTRIBUTES, self.file, number);
                // The node comes before that of the changeset around it, so that the property applies to the changeset's SQL.
                self.nodes.push(node);
            } else if looks_like_property(line) {
                return Err(self.formatting(number, "--property name:<property name> value:<property value>"));
            } else if !self.ignore_lines(line, number, &mut lines)? {
                self.directive_or_sql(line, number, &mut lines)?;
            }
        }
        self.finish_last()
    }

    fn directive_or_sql(&mut self, line: &str, number: u32, lines: &mut Lines<'_>) -> Result<(), LoadError> {
        if sql_line::is_header(line) {
            self.logical_path = attribute(line, "logicalFilePath", ValueSyntax::OptionalToken).map(str::to_owned);
        }
        if directive(line, "changeset").is_some() {
            return self.changeset(line, number);
        }
        if one_dash(line, "changeset").is_some_and(sql_line::begins_blank) {
            return Err(self.formatting(number, CHANGESET_SYNTAX));
        }
        if self.open.is_some() {
            return self.changeset_line(line, number, lines);
        }
        if comment(line).is_some() {
            return Err(LoadError::Syntax {
                file: self.file.to_owned(),
                line: number,
                column: 1,
                reason: format!(
                    "Unexpected formatting at line {number}. Formatted SQL changelogs do not allow comment lines outside \
                     of changesets; move it below a --changeset"
                ),
            });
        }
        Ok(())
    }

    /// Skips the lines after `--ignoreLines`. Returns whether this line is such a directive.
    fn ignore_lines(&self, line: &str, number: u32, lines: &mut Lines<'_>) -> Result<bool, LoadError> {
        let is_whole_word =
            |rest: &str| rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !rest.is_empty();
        let count = directive_at_start(line, "ignoreLines:").filter(|rest| is_whole_word(rest));
        let Some(count) = count else {
            let lacks_dash = one_dash(line, "ignoreLines:").is_some_and(|rest| rest.starts_with(is_word));
            if lacks_dash || directive_at_start(line, "ignore:").is_some_and(is_whole_word) {
                return Err(self.formatting(number, "--ignoreLines:<count|start>"));
            }
            return Ok(false);
        };
        if count == "start" {
            for (line, number) in lines.by_ref() {
                if directive_at_start(line, "ignoreLines:") == Some("end") {
                    break;
                }
                if one_dash(line, "ignoreLines:").is_some_and(|rest| rest.starts_with(is_word)) {
                    return Err(self.formatting(number, "--ignoreLines:end"));
                }
            }
            return Ok(true);
        }
        let Ok(count) = count.parse::<usize>() else {
            return Err(self.formatting(number, "--ignoreLines:<count|start>"));
        };
        for _ in 0..count {
            if lines.next().is_none() {
                break;
            }
        }
        Ok(true)
    }

    fn changeset(&mut self, line: &str, number: u32) -> Result<(), LoadError> {
        let Some((author, id, attributes)) = author_and_id(line) else {
            return Err(self.formatting(number, CHANGESET_SYNTAX));
        };
        self.finish()?;
        let known: Vec<&str> =
            SET_ATTRIBUTES.iter().map(|(name, _)| *name).chain(OTHER_ATTRIBUTES.iter().copied()).collect();
        warn_of_unknown(attributes, &known, self.file, number);
        let mut set = Node::element("changeSet", number, &[("id", id), ("author", author)], None);
        for (name, syntax) in SET_ATTRIBUTES {
            let value = match *name {
                "contextFilter" => attribute(line, name, *syntax)
                    .filter(|value| !value.is_empty())
                    .or_else(|| attribute(line, "context", *syntax)),
                "logicalFilePath" => {
                    attribute(line, name, *syntax).filter(|path| !path.is_empty()).or(self.logical_path.as_deref())
                }
                _ => attribute(line, name, *syntax),
            };
            let value = value.map(sql_line::unquoted).map(|value| normalise_boolean(name, value));
            set.attributes.extend(value.map(|value| ((*name).to_owned(), value)));
        }
        let mut sql = Vec::new();
        let strip =
            attribute(line, "stripComments", ValueSyntax::Word).is_none_or(|text| text.eq_ignore_ascii_case("true"));
        sql.push(("stripComments".to_owned(), strip.to_string()));
        let mut rollback = Vec::new();
        for (target, name, of) in [
            (&mut sql, "splitStatements", "splitStatements"),
            (&mut rollback, "splitStatements", "rollbackSplitStatements"),
        ] {
            target.extend(
                attribute(line, of, ValueSyntax::Word).map(|value| (name.to_owned(), normalise_boolean(name, value))),
            );
        }
        for (target, of) in [(&mut sql, "endDelimiter"), (&mut rollback, "rollbackEndDelimiter")] {
            let delimiter = attribute(line, of, ValueSyntax::OptionalToken);
            target.extend(delimiter.map(|value| ("endDelimiter".to_owned(), value.to_owned())));
        }
        self.open = Some(OpenChangeSet {
            set,
            sql_attributes: sql,
            rollback_attributes: rollback,
            preconditions: None,
            checksums: Vec::new(),
            comment: None,
            sql_text: String::new(),
            rollback_text: String::new(),
        });
        Ok(())
    }

    /// A line of a changeset.
    fn changeset_line(&mut self, line: &str, number: u32, lines: &mut Lines<'_>) -> Result<(), LoadError> {
        if let Some(expected) = malformed(line) {
            return Err(self.formatting(number, expected));
        }
        if sql_line::opens_rollback(line) {
            return self.rollback_comment(number, lines);
        }
        let condition = precondition(self.file, line, number)?;
        let Some(open) = &mut self.open else { return Ok(()) };
        if let Some(text) = comment(line) {
            open.comment = Some(Node::element("comment", number, &[], Some(text)));
        } else if let Some(text) = valid_checksum(line) {
            open.checksums.push(Node::element("validCheckSum", number, &[], Some(text)));
        } else if let Some(text) = directive(line, "rollback").and_then(|rest| rest.strip_prefix(' ')) {
            open.rollback_text.push_str(text);
            open.rollback_text.push('\n');
        } else if let Some(container) = preconditions(line, number) {
            let attributes = directive(line, "preconditions").unwrap_or_default();
            warn_of_unknown(attributes, PRECONDITIONS_ATTRIBUTES, self.file, number);
            open.preconditions = Some(container);
        } else if let Some(condition) = condition {
            let container = open.preconditions.get_or_insert_with(|| Node::element("preConditions", number, &[], None));
            container.children.push(condition);
        } else {
            open.sql_text.push_str(line);
            open.sql_text.push('\n');
        }
        Ok(())
    }

    fn rollback_comment(&mut self, number: u32, lines: &mut Lines<'_>) -> Result<(), LoadError> {
        let mut text = String::new();
        for (line, _) in lines.by_ref() {
            if let Some(last) = sql_line::closes_rollback(line) {
                text.push_str(last);
                if let Some(open) = &mut self.open {
                    open.rollback_text.push_str(&text);
                }
                return Ok(());
            }
            text.push_str(line);
            text.push('\n');
        }
        Err(LoadError::Syntax {
            file: self.file.to_owned(),
            line: number,
            column: 1,
            reason: "Liquibase rollback comment is not closed; end its last line with */".to_owned(),
        })
    }

    /// Completes the open changeset when another one begins.
    fn finish(&mut self) -> Result<(), LoadError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let sql = java_trim(&open.sql_text).to_owned();
        if sql.is_empty() {
            return Err(LoadError::NoSql {
                file: self.file.to_owned(),
                line: open.set.line,
                id: open.set.attribute("id").unwrap_or_default().to_owned(),
                author: open.set.attribute("author").unwrap_or_default().to_owned(),
            });
        }
        self.push(open, &sql, true)?;
        self.previous_sql = Some(sql);
        Ok(())
    }

    /// Completes the last changeset of the file.
    fn finish_last(&mut self) -> Result<(), LoadError> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        if open.sql_text.is_empty() {
            let sql = self.previous_sql.take().unwrap_or_default();
            return self.push(open, &sql, false);
        }
        let sql = java_trim(&open.sql_text).to_owned();
        if sql.ends_with("\n/") && !open.sql_attributes.iter().any(|(name, _)| name == "endDelimiter") {
            open.sql_attributes.push(("endDelimiter".to_owned(), "\n/$".to_owned()));
        }
        self.push(open, &sql, true)
    }

    fn push(&mut self, set: OpenChangeSet, sql: &str, with_rollback: bool) -> Result<(), LoadError> {
        let mut node = set.set;
        node.children.extend(set.checksums);
        node.children.extend(set.preconditions);
        node.children.extend(set.comment);
        let mut change = Node::element("sql", node.line, &[], Some(sql));
        change.attributes = set.sql_attributes;
        node.children.push(change);
        if with_rollback {
            node.children.extend(rollback(&set.rollback_text, (self.file, node.line), set.rollback_attributes)?);
        }
        self.nodes.push(node);
        Ok(())
    }

    fn formatting(&self, line: u32, expected: &'static str) -> LoadError {
        LoadError::Formatting { file: self.file.to_owned(), line, expected }
    }
}

/// The syntax of the directive in error messages.
const CHANGESET_SYNTAX: &str = "--changeset <authorname>:<changesetId>";

/// The attributes of a changeset, with the syntax of their values.
const SET_ATTRIBUTES: &[(&str, ValueSyntax)] = &[
    ("runOnChange", ValueSyntax::Word),
    ("runAlways", ValueSyntax::Word),
    ("runInTransaction", ValueSyntax::Word),
    ("failOnError", ValueSyntax::Word),
    ("runWith", ValueSyntax::WordOrProperty),
    ("contextFilter", ValueSyntax::QuotedOrToken),
    ("labels", ValueSyntax::QuotedOrToken),
    ("logicalFilePath", ValueSyntax::OptionalToken),
    ("dbms", ValueSyntax::DatabaseList),
    ("ignore", ValueSyntax::Word),
];

/// The attributes of a changeset line that belong to its SQL or its rollback, or that have no effect here.
const OTHER_ATTRIBUTES: &[&str] = &[
    "context",
    "stripComments",
    "splitStatements",
    "rollbackSplitStatements",
    "endDelimiter",
    "rollbackEndDelimiter",
    "runWithSpoolFile",
];

/// The attributes of a property line.
const PROPERTY_ATTRIBUTES: &[&str] = &["name", "value", "context", "contextFilter", "labels", "dbms", "global"];

/// The attributes of a line with the outcomes of preconditions.
const PRECONDITIONS_ATTRIBUTES: &[&str] = &["onFail", "onError", "onSqlOutput", "onUpdateSQL"];

/// Writes a boolean as `true` or `false`: every value except `true` in any case is false. Values of other attributes stay unchanged.
fn normalise_boolean(name: &str, value: &str) -> String {
    match name {
        "runOnChange" | "runAlways" | "runInTransaction" | "failOnError" | "splitStatements" | "ignore" => {
            value.eq_ignore_ascii_case("true").to_string()
        }
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Vec<Node>, LoadError> {
        let text = format!("\n -- Liquibase  formatted SQL\nignored\n{body}");
        parse("a.sql", &text).map(|root| root.children)
    }

    fn one(body: &str) -> Node {
        read(&format!("--changeset a:1\n{body}")).unwrap().remove(0)
    }

    fn child<'n>(set: &'n Node, name: &str) -> &'n Node {
        set.children.iter().find(|child| child.name == name).unwrap()
    }

    #[test]
    fn a_changeset_is_read_with_its_attributes() {
        let line = "-- changeset \"sue ann\":\"id 1\" runOnChange:TRUE context:x contextFilter:\"a or b\" labels:l stripComments:no \
                    splitStatements:false endDelimiter:// dbms:postgresql,h2 failOnError:false ignore:yes\nselect 1\n//\n";
        let set = read(line).unwrap().remove(0);
        for (name, value) in [
            ("id", "id 1"),
            ("author", "sue ann"),
            ("runOnChange", "true"),
            ("contextFilter", "a or b"),
            ("labels", "l"),
            ("dbms", "postgresql,h2"),
            ("failOnError", "false"),
            ("ignore", "false"),
        ] {
            assert_eq!(set.attribute(name), Some(value), "{name}");
        }
        let sql = child(&set, "sql");
        assert_eq!(sql.text.as_deref(), Some("select 1\n//"));
        assert_eq!(sql.attribute("stripComments"), Some("false"));
        assert_eq!(sql.attribute("splitStatements"), Some("false"));
        assert_eq!(sql.attribute("endDelimiter"), Some("//"));
    }

    #[test]
    fn directives_are_distinguished_from_sql() {
        let set = one(
            "--comment: first\n--comment second\n --comment not in column one\n--validCheckSum: ANY\n--preconditions onFail:WARN\n\
             --precondition-sql-check expectedResult:'a b' select 1\n--precondition-table-exists table:t schema:s\n\
             select 1;\n--ignoreLines:1\nnonsense\n--ignoreLines:start\nmore\n--ignoreLines:end\n--rollback drop table t;\n-- rollback x\n",
        );
        assert_eq!(child(&set, "comment").text.as_deref(), Some("second"));
        assert_eq!(child(&set, "validCheckSum").text.as_deref(), Some("ANY"));
        let conditions = child(&set, "preConditions");
        assert_eq!(conditions.attribute("onFail"), Some("WARN"));
        assert_eq!(conditions.children[0].attribute("expectedResult"), Some("a b"));
        assert_eq!(conditions.children[0].text.as_deref(), Some("select 1"));
        assert_eq!(conditions.children[1].attribute("schemaName"), Some("s"));
        assert_eq!(child(&set, "sql").text.as_deref(), Some("--comment not in column one\nselect 1;"));
        assert_eq!(child(&set, "rollback").children[0].text.as_deref(), Some("drop table t;\nx\n"));
    }

    #[test]
    fn each_form_of_a_rollback_is_read() {
        assert!(child(&one("x\n--rollback not required\n"), "rollback").children.is_empty());
        let reference = one("x\n--rollback changesetId:1 changesetAuthor:b changesetPath:c.sql\n");
        assert_eq!(child(&reference, "rollback").attribute("changeSetAuthor"), Some("b"));
        let block = one("x\n/* liquibase rollback\ndelete from t\nwhere a;\n*/\n");
        assert_eq!(child(&block, "rollback").children[0].text.as_deref(), Some("delete from t\nwhere a;\n"));
    }

    #[test]
    fn a_last_changeset_without_a_line_gets_the_sql_before_it() {
        let sets = read("--changeset a:1\nselect 1\n--changeset a:2\n").unwrap();
        assert_eq!(child(&sets[1], "sql").text.as_deref(), Some("select 1"));
        let sets = read("--changeset a:1\nselect 1\n--changeset a:2\n\n").unwrap();
        assert_eq!(child(&sets[1], "sql").text, None);
        let sets = read("--changeset a:1\nselect 1\n/\n").unwrap();
        assert_eq!(child(&sets[0], "sql").attribute("endDelimiter"), Some("\n/$"));
    }

    #[test]
    fn properties_come_before_their_changeset() {
        let nodes =
            read("--changeset a:1\nselect 1\n--property name:n value:v dbms:postgresql global:false\n").unwrap();
        assert_eq!((nodes[0].name.as_str(), nodes[1].name.as_str()), ("property", "changeSet"));
        assert_eq!(nodes[0].attribute("value"), Some("v"));
        assert_eq!(nodes[0].attribute("global"), Some("false"));
    }

    #[test]
    fn a_malformed_directive_is_an_error_with_its_line() {
        for (body, line, message) in [
            ("--changeset a: 1\nx", 4, "<authorname>"),
            ("--changeset a\n", 4, "<authorname>"),
            ("-changeset a:1\n", 4, "<authorname>"),
            ("--changeset a::\n", 4, "<authorname>"),
            ("--changeset a:1\n--comments: x\n", 5, "--comment"),
            ("--changeset a:1\n-comment x\n", 5, "--comment"),
            ("--changeset a:1\n -rollback x\n", 5, "--rollback"),
            ("--changeset a:1\n-validCheckSum: x\n", 5, "--validChecksum"),
            ("--changeset a:1\n- preconditions x\n", 5, "--preconditions"),
            ("--changeset a:1\n-precondition-sql-check 1 x\n", 5, "--precondition-sql-check"),
            ("--changeset a:1\n--ignore:1\n", 5, "--ignoreLines"),
            ("--changeset a:1\n-ignoreLines:1\n", 5, "--ignoreLines"),
            ("--property name:x\n", 4, "--property"),
            ("-property name:x value:y\n", 4, "--property"),
            ("--comment x\n", 4, "outside of changesets"),
            ("--changeset a:1\n--precondition-other x\n", 5, "not supported"),
            ("--changeset a:1\n--precondition-sql-check\n", 5, "SqlCheck"),
            ("--changeset a:1\n/* liquibase rollback\nx", 5, "not closed"),
            ("--changeset a:1\n--changeset a:2\n", 4, "No SQL for changeset a.sql::1::a"),
        ] {
            let error = read(body).unwrap_err();
            // Not every text of Liquibase names the line.
            let has_line = [format!("line {line}"), format!("line: {line}")];
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(message) && has_line.iter().any(|line| shown.contains(line)), "{body:?}: {shown}");
        }
    }

    #[test]
    fn a_file_without_the_header_is_one_changeset() {
        let root = parse("a.sql", "select 1;\n--changeset a:1\n").unwrap();
        assert_eq!(root.children[0].attribute("id"), Some("raw"));
        assert_eq!(root.children[0].children[0].text.as_deref(), Some("select 1;\n--changeset a:1\n"));
    }
}
