//! Formatted SQL: SQL with changesets, rollbacks and so on in comments, turned into the same tree as XML.
//!
//! Which lines mean something, and what, is Liquibase's grammar, its accidents included where a checksum depends on them: a last
//! changeset without any line of its own takes over the SQL of the one before it. Lines of a `/* liquibase rollback` comment stay
//! lines, though Liquibase glues them together. A file without the header is one changeset.

use super::line::{self, Form, attribute, directive, directive_at_start, one_dash};
use super::sql_lines::{
    author_and_id, comment, is_word, looks_like_property, mistaken, precondition, preconditions, property, rollback_of,
    valid_checksum,
};
use crate::load_error::LoadError;
use crate::node::Node;

/// Reads one SQL file into a tree.
///
/// # Errors
/// When a line looks like a directive but is none, or a changeset has no SQL.
pub(super) fn parse(file: &str, text: &str) -> Result<Node, LoadError> {
    let mut root = Node { name: "databaseChangeLog".to_owned(), line: 1, ..Node::default() };
    let first = text.lines().find(|line| !line.trim().is_empty());
    if !first.is_some_and(line::is_header) {
        if text.is_empty() {
            return Err(LoadError::Syntax {
                file: file.to_owned(),
                line: 1,
                column: 1,
                reason: "the file is empty; remove it from the changelog".to_owned(),
            });
        }
        root.children.push(raw(text));
        return Ok(root);
    }
    let mut reader = Reader { file, nodes: Vec::new(), draft: None, inherited: None, logical: None };
    reader.all(&text.replace("\r\n", "\n").replace('\r', "\n"))?;
    root.children = reader.nodes;
    Ok(root)
}

/// Without control characters and blanks around, as Java trims.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

/// A file without the header: one changeset, run in one piece.
fn raw(text: &str) -> Node {
    let sql = element("sql", 1, &[("splitStatements", "false"), ("stripComments", "false")], Some(text));
    let mut set = element("changeSet", 1, &[("id", "raw"), ("author", "includeAll")], None);
    set.children.push(sql);
    set
}

/// A node with these attributes and this text.
pub(super) fn element(name: &str, line: u32, attributes: &[(&str, &str)], text: Option<&str>) -> Node {
    Node {
        name: name.to_owned(),
        attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        text: text.filter(|text| !text.trim().is_empty()).map(str::to_owned),
        line,
        ..Node::default()
    }
}

/// A changeset whose end has not been seen.
#[derive(Debug)]
struct Draft {
    set: Node,
    /// The attributes of its SQL.
    sql: Vec<(String, String)>,
    /// How its rollback is cut.
    rollback: Vec<(String, String)>,
    preconditions: Option<Node>,
    checksums: Vec<Node>,
    comment: Option<Node>,
    sql_text: String,
    rollback_text: String,
}

struct Reader<'a> {
    file: &'a str,
    nodes: Vec<Node>,
    draft: Option<Draft>,
    /// The SQL of the changeset before.
    inherited: Option<String>,
    /// The path that the header gives.
    logical: Option<String>,
}

/// The lines of a file with their numbers.
type Lines<'t> = std::iter::Zip<std::str::Lines<'t>, std::ops::RangeFrom<u32>>;

impl Reader<'_> {
    fn all(&mut self, text: &str) -> Result<(), LoadError> {
        let mut lines: Lines<'_> = text.lines().zip(1..);
        while let Some((line, number)) = lines.next() {
            if let Some(node) = property(line, number) {
                // In front of the changeset it stands in: SQL is expanded when its changeset is complete.
                self.nodes.push(node);
            } else if looks_like_property(line) {
                return Err(self.formatting(number, "--property name:<property name> value:<property value>"));
            } else if !self.ignore_lines(line, number, &mut lines)? {
                self.line(line, number, &mut lines)?;
            }
        }
        self.finish_last();
        Ok(())
    }

    fn line(&mut self, line: &str, number: u32, lines: &mut Lines<'_>) -> Result<(), LoadError> {
        if line::is_header(line) {
            self.logical = attribute(line, "logicalFilePath", Form::Run).map(str::to_owned);
        }
        if directive(line, "changeset").is_some() {
            return self.changeset(line, number);
        }
        if one_dash(line, "changeset").is_some_and(line::begins_blank) {
            return Err(self.formatting(number, CHANGESET));
        }
        if self.draft.is_some() {
            return self.inside(line, number, lines);
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

    /// Skips what `--ignoreLines` says; whether it did.
    fn ignore_lines(&self, line: &str, number: u32, lines: &mut Lines<'_>) -> Result<bool, LoadError> {
        let whole = |rest: &str| rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !rest.is_empty();
        let count = directive_at_start(line, "ignoreLines:").filter(|rest| whole(rest));
        let Some(count) = count else {
            let lacking = one_dash(line, "ignoreLines:").is_some_and(|rest| rest.starts_with(is_word));
            if lacking || directive_at_start(line, "ignore:").is_some_and(whole) {
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
        let Some((author, id)) = author_and_id(line) else {
            return Err(self.formatting(number, CHANGESET));
        };
        self.finish()?;
        let mut set = element("changeSet", number, &[("id", id), ("author", author)], None);
        for (name, form) in SET_ATTRIBUTES {
            let value = match *name {
                "contextFilter" => attribute(line, name, *form)
                    .filter(|value| !value.is_empty())
                    .or_else(|| attribute(line, "context", *form)),
                "logicalFilePath" => {
                    attribute(line, name, *form).filter(|path| !path.is_empty()).or(self.logical.as_deref())
                }
                _ => attribute(line, name, *form),
            };
            let value = value.map(line::unquoted).map(|value| truth(name, value));
            set.attributes.extend(value.map(|value| ((*name).to_owned(), value)));
        }
        let mut sql = Vec::new();
        let strip = attribute(line, "stripComments", Form::Word).is_none_or(|text| text.eq_ignore_ascii_case("true"));
        sql.push(("stripComments".to_owned(), strip.to_string()));
        let mut rollback = Vec::new();
        for (target, name, of) in [
            (&mut sql, "splitStatements", "splitStatements"),
            (&mut rollback, "splitStatements", "rollbackSplitStatements"),
        ] {
            target.extend(attribute(line, of, Form::Word).map(|value| (name.to_owned(), truth(name, value))));
        }
        for (target, of) in [(&mut sql, "endDelimiter"), (&mut rollback, "rollbackEndDelimiter")] {
            let delimiter = attribute(line, of, Form::Run);
            target.extend(delimiter.map(|value| ("endDelimiter".to_owned(), value.to_owned())));
        }
        self.draft = Some(Draft {
            set,
            sql,
            rollback,
            preconditions: None,
            checksums: Vec::new(),
            comment: None,
            sql_text: String::new(),
            rollback_text: String::new(),
        });
        Ok(())
    }

    /// A line of a changeset.
    fn inside(&mut self, line: &str, number: u32, lines: &mut Lines<'_>) -> Result<(), LoadError> {
        if let Some(expected) = mistaken(line) {
            return Err(self.formatting(number, expected));
        }
        if line::opens_rollback(line) {
            return self.rollback_comment(number, lines);
        }
        let condition = precondition(self.file, line, number)?;
        let Some(draft) = &mut self.draft else { return Ok(()) };
        if let Some(text) = comment(line) {
            draft.comment = Some(element("comment", number, &[], Some(text)));
        } else if let Some(text) = valid_checksum(line) {
            draft.checksums.push(element("validCheckSum", number, &[], Some(text)));
        } else if let Some(text) = directive(line, "rollback").and_then(|rest| rest.strip_prefix(' ')) {
            draft.rollback_text.push_str(text);
            draft.rollback_text.push('\n');
        } else if let Some(container) = preconditions(line, number) {
            draft.preconditions = Some(container);
        } else if let Some(condition) = condition {
            let container = draft.preconditions.get_or_insert_with(|| element("preConditions", number, &[], None));
            container.children.push(condition);
        } else {
            draft.sql_text.push_str(line);
            draft.sql_text.push('\n');
        }
        Ok(())
    }

    fn rollback_comment(&mut self, number: u32, lines: &mut Lines<'_>) -> Result<(), LoadError> {
        let mut text = String::new();
        for (line, _) in lines.by_ref() {
            if let Some(last) = line::closes_rollback(line) {
                text.push_str(last);
                if let Some(draft) = &mut self.draft {
                    draft.rollback_text.push_str(&text);
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

    /// Completes the changeset before another one.
    fn finish(&mut self) -> Result<(), LoadError> {
        let Some(draft) = self.draft.take() else { return Ok(()) };
        let sql = trimmed(&draft.sql_text).to_owned();
        if sql.is_empty() {
            return Err(LoadError::NoSql {
                file: self.file.to_owned(),
                line: draft.set.line,
                id: draft.set.attribute("id").unwrap_or_default().to_owned(),
                author: draft.set.attribute("author").unwrap_or_default().to_owned(),
            });
        }
        self.push(draft, &sql, true);
        self.inherited = Some(sql);
        Ok(())
    }

    /// Completes the last changeset of the file.
    fn finish_last(&mut self) {
        let Some(mut draft) = self.draft.take() else { return };
        if draft.sql_text.is_empty() {
            let sql = self.inherited.take().unwrap_or_default();
            return self.push(draft, &sql, false);
        }
        let sql = trimmed(&draft.sql_text).to_owned();
        if sql.ends_with("\n/") && !draft.sql.iter().any(|(name, _)| name == "endDelimiter") {
            draft.sql.push(("endDelimiter".to_owned(), "\n/$".to_owned()));
        }
        self.push(draft, &sql, true);
    }

    fn push(&mut self, draft: Draft, sql: &str, with_rollback: bool) {
        let mut set = draft.set;
        set.children.extend(draft.checksums);
        set.children.extend(draft.preconditions);
        set.children.extend(draft.comment);
        let mut change = element("sql", set.line, &[], Some(sql));
        change.attributes = draft.sql;
        set.children.push(change);
        if with_rollback {
            set.children.extend(rollback_of(&draft.rollback_text, set.line, draft.rollback));
        }
        self.nodes.push(set);
    }

    fn formatting(&self, line: u32, expected: &'static str) -> LoadError {
        LoadError::Formatting { file: self.file.to_owned(), line, expected }
    }
}

const CHANGESET: &str = "--changeset <authorname>:<changesetId>";

/// The attributes of a changeset, in the form their values have.
const SET_ATTRIBUTES: &[(&str, Form)] = &[
    ("runOnChange", Form::Word),
    ("runAlways", Form::Word),
    ("runInTransaction", Form::Word),
    ("failOnError", Form::Word),
    ("runWith", Form::Expression),
    ("contextFilter", Form::Quotable),
    ("labels", Form::Quotable),
    ("logicalFilePath", Form::Run),
    ("dbms", Form::Databases),
    ("ignore", Form::Word),
];

/// Booleans are true only for `true`; other values are as written.
fn truth(name: &str, value: &str) -> String {
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

    fn read(body: &str) -> Result<Vec<Node>, String> {
        let text = format!("\n -- Liquibase  formatted SQL\nignored\n{body}");
        parse("a.sql", &text).map(|root| root.children).map_err(|error| error.to_string())
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
    fn directives_inside_are_told_from_sql() {
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
    fn rollbacks_have_many_forms() {
        assert!(child(&one("x\n--rollback not required\n"), "rollback").children.is_empty());
        let reference = one("x\n--rollback changesetId:1 changesetAuthor:b changesetPath:c.sql\n");
        assert_eq!(child(&reference, "rollback").attribute("changeSetAuthor"), Some("b"));
        let block = one("x\n/* liquibase rollback\ndelete from t\nwhere a;\n*/\n");
        assert_eq!(child(&block, "rollback").children[0].text.as_deref(), Some("delete from t\nwhere a;\n"));
    }

    #[test]
    fn the_last_changeset_without_a_line_takes_over_the_sql_before() {
        let sets = read("--changeset a:1\nselect 1\n--changeset a:2\n").unwrap();
        assert_eq!(child(&sets[1], "sql").text.as_deref(), Some("select 1"));
        let sets = read("--changeset a:1\nselect 1\n--changeset a:2\n\n").unwrap();
        assert_eq!(child(&sets[1], "sql").text, None);
        let sets = read("--changeset a:1\nselect 1\n/\n").unwrap();
        assert_eq!(child(&sets[0], "sql").attribute("endDelimiter"), Some("\n/$"));
    }

    #[test]
    fn properties_stand_in_front_of_their_changeset() {
        let nodes =
            read("--changeset a:1\nselect 1\n--property name:n value:v dbms:postgresql global:false\n").unwrap();
        assert_eq!((nodes[0].name.as_str(), nodes[1].name.as_str()), ("property", "changeSet"));
        assert_eq!(nodes[0].attribute("value"), Some("v"));
        assert_eq!(nodes[0].attribute("global"), Some("false"));
    }

    #[test]
    fn what_is_almost_a_directive_is_an_error_with_its_line() {
        for (body, line, told) in [
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
            assert!(error.contains(told) && error.contains(&format!("line {line}")), "{body:?}: {error}");
        }
    }

    #[test]
    fn a_file_without_the_header_is_one_changeset() {
        let root = parse("a.sql", "select 1;\n--changeset a:1\n").unwrap();
        assert_eq!(root.children[0].attribute("id"), Some("raw"));
        assert_eq!(root.children[0].children[0].text.as_deref(), Some("select 1;\n--changeset a:1\n"));
    }
}
