//! YAML and JSON. JSON is parsed as YAML, of which it is a subset.
//!
//! Scalars follow the rules of YAML 1.1 (`yaml_scalar.rs`), as in Liquibase. If a key occurs twice, the last value is used. Aliases and merge
//! keys are expanded to at most [`MAX_VALUES`] values.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput, Tag, options};

use super::document::{self, DocumentNode, DocumentValue};
use super::yaml_scalar;
use crate::load_error::LoadError;
use crate::node::{MAX_DEPTH, Node};

/// The limit of values in a document, including those that aliases repeat.
const MAX_VALUES: usize = 1_000_000;

/// The key of a rollback, and what Liquibase refuses as its value.
const ROLLBACK: &str = "rollback";
const NO_ROLLBACK: &str =
    "a rollback is one text of SQL, or a list of changes; put SQL that looks like a number into quotes";

/// Parses one YAML or JSON file.
///
/// # Errors
/// When the file is not valid YAML, nested deeper than [`MAX_DEPTH`], or not a changelog.
pub(super) fn parse(file: &str, text: &str) -> Result<Node, LoadError> {
    let limits: Options = options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let parser = Parser::new_from_str_with_options(text, limits);
    let document = Reader { file, parser, anchors: HashMap::new(), values: 0, line: 1, column: 1 }.document()?;
    document::changelog(file, document)
}

struct Reader<'a> {
    file: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    /// The values that aliases refer to, by anchor.
    anchors: HashMap<usize, Anchored>,
    values: usize,
    /// The position of the current event.
    line: u32,
    column: u32,
}

/// A value with an anchor.
struct Anchored {
    data: DocumentNode,
    /// The number of values in it.
    values: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<DocumentNode, LoadError> {
        let mut root = None;
        loop {
            match self.next()? {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(self.syntax_error("a second document begins here; a changelog is one document"));
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.value(event, "", 1)?),
            }
        }
        Ok(root.unwrap_or_else(|| DocumentNode::new(1, DocumentValue::Null)))
    }

    /// Reads the value that begins with this event and belongs to `key`.
    fn value(&mut self, event: Event<'a>, key: &str, depth: usize) -> Result<DocumentNode, LoadError> {
        let line = self.line;
        let before = self.values;
        self.count(1)?;
        self.check_depth(depth)?;
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => (anchor, self.scalar(text, style, tag.as_deref(), key)?),
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref())?;
                (anchor, self.list(key, depth)?)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref())?;
                (anchor, self.map(depth)?)
            }
            Event::Alias(anchor) => return self.alias(anchor, depth),
            _ => {
                return Err(
                    self.syntax_error("an alias without an anchor; define it before, or put the text into quotes")
                );
            }
        };
        let data = DocumentNode::new(line, value);
        if anchor != 0 {
            let values = self.values - before;
            self.count(values)?;
            self.anchors.insert(anchor, Anchored { data: data.clone(), values });
        }
        Ok(data)
    }

    fn alias(&mut self, anchor: usize, depth: usize) -> Result<DocumentNode, LoadError> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(self.syntax_error("an alias inside of what it stands for; write the value out"));
        };
        self.check_depth(depth + anchored.data.height)?;
        if self.values + anchored.values > MAX_VALUES {
            return Err(self.too_many());
        }
        self.values += anchored.values;
        Ok(anchored.data.clone())
    }

    /// One level of a changelog is a list and a map in YAML, so the limit is twice as high.
    fn check_depth(&self, depth: usize) -> Result<(), LoadError> {
        if depth > 2 * MAX_DEPTH {
            return Err(LoadError::TooDeep { file: self.file.to_owned(), line: self.line, limit: MAX_DEPTH });
        }
        Ok(())
    }

    fn list(&mut self, key: &str, depth: usize) -> Result<DocumentValue, LoadError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => break,
                event => items.push(self.value(event, key, depth + 1)?),
            }
        }
        let is_scalar = |item: &&DocumentNode| matches!(item.value, DocumentValue::Text(_) | DocumentValue::Null);
        if key == ROLLBACK && items.iter().filter(is_scalar).count() > 1 {
            return Err(self.syntax_error(NO_ROLLBACK));
        }
        Ok(DocumentValue::List(items))
    }

    fn map(&mut self, depth: usize) -> Result<DocumentValue, LoadError> {
        let mut entries: Vec<(String, DocumentNode)> = Vec::new();
        let mut positions: HashMap<String, usize> = HashMap::new();
        let mut merged = Vec::new();
        loop {
            let key = match self.next()? {
                Event::MappingEnd => break,
                Event::Scalar(text, style, ..) if text == "<<" && style == ScalarStyle::Plain => {
                    let event = self.next()?;
                    merged.push(self.value(event, "", depth + 1)?);
                    continue;
                }
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(self.syntax_error("a key must be a word; a value with { or [ in front needs quotes")),
            };
            let event = self.next()?;
            let value = self.value(event, &key, depth + 1)?;
            match positions.get(&key) {
                Some(position) => entries[*position].1 = value,
                None => {
                    positions.insert(key.clone(), entries.len());
                    entries.push((key, value));
                }
            }
        }
        for value in merged {
            self.merge(value, &mut entries, &mut positions)?;
        }
        Ok(DocumentValue::Map(entries))
    }

    /// Adds the entries of `<<: *other` that the map itself does not have.
    fn merge(
        &self,
        value: DocumentNode,
        entries: &mut Vec<(String, DocumentNode)>,
        positions: &mut HashMap<String, usize>,
    ) -> Result<(), LoadError> {
        match value.value {
            DocumentValue::Map(inherited) => {
                for (key, value) in inherited {
                    if !positions.contains_key(&key) {
                        positions.insert(key.clone(), entries.len());
                        entries.push((key, value));
                    }
                }
                Ok(())
            }
            // Items may be lists, too. The depth of the document limits the recursion.
            DocumentValue::List(items) => items.into_iter().try_for_each(|item| self.merge(item, entries, positions)),
            _ => Err(self.syntax_error("<< takes a map or a list of maps")),
        }
    }

    fn scalar(
        &self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        key: &str,
    ) -> Result<DocumentValue, LoadError> {
        let resolved = match tag {
            None => style == ScalarStyle::Plain,
            Some(tag) if tag.is_yaml_core_schema() => tag.suffix() != "str",
            Some(tag) if tag.original() == "!" => false,
            Some(_) => {
                self.refuse_tag(tag)?;
                true
            }
        };
        if key == ROLLBACK && resolved && yaml_scalar::is_typed(&text) {
            return Err(self.syntax_error(NO_ROLLBACK));
        }
        Ok(match if resolved { yaml_scalar::plain(&text, key) } else { Some(text.into_owned()) } {
            Some(text) => DocumentValue::Text(text),
            None => DocumentValue::Null,
        })
    }

    fn refuse_tag(&self, tag: Option<&Tag>) -> Result<(), LoadError> {
        match tag {
            Some(tag) if !tag.is_yaml_core_schema() => {
                Err(self.syntax_error(&format!("the tag {} is not known; write the plain value", tag.original())))
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, values: usize) -> Result<(), LoadError> {
        self.values += values;
        if self.values > MAX_VALUES {
            return Err(self.too_many());
        }
        Ok(())
    }

    fn too_many(&self) -> LoadError {
        self.syntax_error(&format!("more than {MAX_VALUES} values in one file; split it"))
    }

    fn next(&mut self) -> Result<Event<'a>, LoadError> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                self.record_position(&span);
                Ok(event)
            }
            Some(Err(error)) => Err(self.scan_error(&error)),
            // Unreachable: reading ends at StreamEnd, which is the last event.
            None => Ok(Event::StreamEnd),
        }
    }

    fn record_position(&mut self, span: &Span) {
        self.line = u32::try_from(span.start.line()).unwrap_or(u32::MAX).max(1);
        self.column = u32::try_from(span.start.col()).unwrap_or(u32::MAX).saturating_add(1);
    }

    fn scan_error(&self, error: &ScanError) -> LoadError {
        LoadError::Syntax {
            file: self.file.to_owned(),
            line: u32::try_from(error.marker().line()).unwrap_or(u32::MAX).max(1),
            column: u32::try_from(error.marker().col()).unwrap_or(u32::MAX).saturating_add(1),
            reason: format!(
                "not valid YAML: {}; correct the line (its indentation, or a text that needs quotes?)",
                error.info()
            ),
        }
    }

    fn syntax_error(&self, reason: &str) -> LoadError {
        LoadError::Syntax {
            file: self.file.to_owned(),
            line: self.line,
            column: self.column,
            reason: reason.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changeset(text: &str) -> Node {
        let root = parse("a.yaml", &format!("databaseChangeLog:\n- changeSet:\n{text}")).unwrap();
        root.children.into_iter().next().unwrap()
    }

    #[test]
    fn a_document_is_converted_to_the_tree_of_xml() {
        let set = changeset(
            "    id: 007\n    author: null\n    comment: hi\n    labels: [a, b]\n    validCheckSum: [ANY, 1:x]\n    \
             preConditions: [{onFail: MARK_RAN}, {tableExists: {tableName: t}}]\n    changes:\n    \
             - createTable: {tableName: t, columns: [{column: {name: a, constraints: {nullable: false}}}]}\n    \
             - sql: drop table x\n    - empty:\n    rollback:\n    - sql: x\n",
        );
        let names: Vec<&str> = set.children.iter().map(|child| child.name.as_str()).collect();
        let expected =
            ["comment", "validCheckSum", "validCheckSum", "preConditions", "createTable", "sql", "empty", "rollback"];
        assert_eq!(names, expected);
        assert_eq!(set.attribute("id"), Some("7"));
        assert_eq!(set.attribute("author"), None);
        assert_eq!(set.attribute("labels"), Some("[a, b]"));
        assert_eq!(set.children[3].attribute("onFail"), Some("MARK_RAN"));
        assert_eq!(set.children[4].children[0].children[0].attribute("nullable"), Some("false"));
        assert_eq!(set.children[5].text.as_deref(), Some("drop table x"));
        assert_eq!(set.children[7].children[0].name, "sql");
    }

    #[test]
    fn only_a_changeset_has_changes() {
        let root = parse("a.yaml", "databaseChangeLog:\n- modifyChangeSets:\n    changes:\n    - include: {file: b}\n")
            .unwrap();
        assert_eq!(root.children[0].children[0].name, "changes");
        let set =
            changeset("    changes:\n    - changes:\n      - empty: {}\n    rollback:\n    - changes: [{empty: {}}]\n");
        assert_eq!((set.children[0].name.as_str(), set.children[1].children[0].name.as_str()), ("empty", "changes"));
    }

    #[test]
    fn a_list_of_columns_without_entries_is_one_column() {
        for empty in ["[]", "{}", ""] {
            let set = changeset(&format!("    changes:\n    - createTable:\n        columns: {empty}\n"));
            let columns = &set.children[0].children;
            assert!(columns.len() == 1 && columns[0].name == "column" && columns[0].attributes.is_empty(), "{empty}");
        }
    }

    #[test]
    fn a_rollback_is_one_text_or_a_list_of_changes() {
        let parsed = |value: &str| {
            parse("a.yaml", &format!("databaseChangeLog:\n- changeSet: {{id: 1, author: a, rollback: {value}}}\n"))
                .is_ok()
        };
        for good in ["drop table t", "[drop table t]", "[drop table t, {empty: {}}]", "'5'", "", "[]", "empty"] {
            assert!(parsed(good), "{good}");
        }
        for bad in ["[drop table t, select 1]", "5", "yes", "1.5", "2020-01-31", "[5]"] {
            assert!(!parsed(bad), "{bad}");
        }
    }

    #[test]
    fn json_follows_the_rules_of_yaml() {
        let text = "{\"databaseChangeLog\":[{\"changeSet\":{\"id\":2.0,\"author\":\"0010\",\t\"x\":\"a\\u00e9\\/\"}}]}";
        let root = parse("a.json", text).unwrap();
        assert_eq!(root.children[0].attribute("id"), Some("2.0"));
        assert_eq!(root.children[0].attribute("author"), Some("0010"));
        assert_eq!(root.children[0].attribute("x"), Some("a\u{e9}/"));
    }

    #[test]
    fn json_may_be_indented_with_tabs() {
        let text = "{\n\t\"databaseChangeLog\": [\n\t\t{\"changeSet\":\t{\n\t\t\t\"id\" : 1,\n\t\t\t\"author\":\"a\"}}\n\t]\n}\n";
        assert_eq!(parse("a.json", text).unwrap().children[0].attribute("author"), Some("a"));
    }

    #[test]
    fn the_last_of_two_equal_keys_is_used_and_aliases_are_expanded() {
        let set = changeset("    author: y\n    author: &a z\n    id: *a\n");
        assert_eq!((set.attribute("author"), set.attribute("id")), (Some("z"), Some("z")));
        let root = parse("a.yaml", "x: &x {author: a, id: 1}\ndatabaseChangeLog:\n- changeSet: {<<: *x, id: 2}\n");
        let set = root.unwrap().children.remove(0);
        assert_eq!((set.attribute("author"), set.attribute("id")), (Some("a"), Some("2")));
    }

    #[test]
    fn the_expansion_of_a_document_is_limited() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let inner = format!("*a{}, ", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
        }
        assert!(matches!(parse("a.yaml", &bomb), Err(LoadError::Syntax { .. })));
        let mut deep = format!("a0: &a0 {}x{}\n", "[".repeat(50), "]".repeat(50));
        for level in 1..10 {
            let (open, close) = ("[".repeat(50), "]".repeat(50));
            deep.push_str(&format!("a{level}: &a{level} {open}*a{}{close}\n", level - 1));
        }
        assert!(matches!(parse("a.yaml", &deep), Err(LoadError::TooDeep { .. })));
        assert!(parse("a.yaml", &"[".repeat(100_000)).is_err());
    }

    #[test]
    fn a_file_that_is_not_a_changelog_is_an_error_with_its_line() {
        for (text, line) in
            [("", 1), ("a: 1", 1), ("databaseChangeLog:\n  a: 1", 2), ("a: 1\n---\nb: 2", 2), ("\n!x 1", 2)]
        {
            let error = parse("a.yaml", text).unwrap_err();
            assert!(matches!(error, LoadError::Syntax { line: at, .. } if at == line), "{text:?}: {error}");
        }
    }
}
