//! XML.
//!
//! Names are used without their namespace, and attributes with a namespace are left out, with a warning except for `xsi:schemaLocation`. A
//! document type is refused, and with it every entity except the five predefined ones. `xml_schema.rs` checks the rules of Liquibase's schema. Rules that apply to all
//! syntaxes are checked later, when the elements are read.

use roxmltree::{Document, Error, Node as Element, ParsingOptions};

use super::xml_content::{Content, ContentProblem, allows_empty_attributes, remove_ignored};
use super::xml_schema;
use crate::load_error::{LoadError, Location};
use crate::node::{MAX_DEPTH, Node};

/// The limit of elements and texts in one file.
const MAX_NODES: u32 = 1_000_000;

/// Parses one XML file.
///
/// # Errors
/// When the file is not well-formed, has a document type, is nested deeper than [`MAX_DEPTH`], or violates the schema.
pub(super) fn parse(file: &str, text: &str) -> Result<Node, LoadError> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|error| syntax_error(file, &error))?;
    let is_changelog = document.root_element().tag_name().name() == "databaseChangeLog";
    let location = document.root_element().attribute((SCHEMA_INSTANCE, "schemaLocation")).unwrap_or_default();
    let allows_empty_attributes = allows_empty_attributes(location);
    let line_ends = text.match_indices('\n').map(|(offset, _)| offset).collect();
    let mut root =
        Reader { file, is_changelog, allows_empty_attributes, line_ends }.convert(document.root_element(), "", 1)?;
    let schema = SCHEMAS_WITH_ANY_ATTRIBUTE.iter().find(|(schema, _)| location.trim_end().ends_with(schema));
    if let Some((_, in_all)) = schema {
        allow_any_attribute(&mut root, *in_all);
    }
    xml_schema::collapse_blanks(&mut root, "");
    xml_schema::check(file, &root)?;
    if is_changelog {
        remove_ignored(&mut root);
    }
    Ok(root)
}

/// The versions of the schema that allow attributes of any name in most changes, and whether also in [`STRICT_SINCE_3_8`].
const SCHEMAS_WITH_ANY_ATTRIBUTE: &[(&str, bool)] = &[
    ("dbchangelog-3.6.xsd", true),
    ("dbchangelog-3.7.xsd", true),
    ("dbchangelog-3.8.xsd", false),
    ("dbchangelog-3.9.xsd", false),
    ("dbchangelog-3.10.xsd", false),
];

/// Changes that have only their own attributes in every version of the schema.
const STRICT_CHANGES: &[&str] = &[
    "addPrimaryKey",
    "addUniqueConstraint",
    "createIndex",
    "createView",
    "delete",
    "loadUpdateData",
    "output",
    "setColumnRemarks",
    "setTableRemarks",
    "sqlFile",
];

/// Changes that have only their own attributes since version 3.8.
const STRICT_SINCE_3_8: &[&str] = &["createTable", "tagDatabase"];

/// The namespace of `xsi:schemaLocation`.
const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// Marks the changes in a changelog that may have attributes of any name.
fn allow_any_attribute(node: &mut Node, in_all: bool) {
    let holds_changes = matches!(node.name.as_str(), "changeSet" | "rollback");
    for child in &mut node.children {
        let name = child.name.as_str();
        let is_strict = STRICT_CHANGES.contains(&name) || (!in_all && STRICT_SINCE_3_8.contains(&name));
        child.allows_any_attribute = holds_changes && !is_strict;
        allow_any_attribute(child, in_all);
    }
}

struct Reader<'a> {
    file: &'a str,
    is_changelog: bool,
    allows_empty_attributes: bool,
    /// The byte offsets of the newlines. Each element needs its line, and counting the newlines before it would take quadratic time.
    line_ends: Vec<usize>,
}

impl Reader<'_> {
    fn line(&self, offset: usize) -> u32 {
        let before = self.line_ends.partition_point(|end| *end < offset);
        u32::try_from(before).map_or(u32::MAX, |before| before.saturating_add(1))
    }

    fn convert(&self, element: Element<'_, '_>, parent: &str, depth: usize) -> Result<Node, LoadError> {
        let line = self.line(element.range().start);
        if depth > MAX_DEPTH {
            return Err(LoadError::TooDeep { file: self.file.to_owned(), line, limit: MAX_DEPTH });
        }
        let mut node = Node { name: element.tag_name().name().to_owned(), line, ..Node::default() };
        for attribute in element.attributes().filter(|attribute| attribute.namespace().is_none()) {
            node.attributes.push((attribute.name().to_owned(), attribute.value().to_owned()));
        }
        let other =
            element.attributes().filter(|attribute| attribute.namespace().is_some_and(|name| name != SCHEMA_INSTANCE));
        let foreign_attribute = other.clone().next().map(|attribute| attribute.name());
        for attribute in other {
            let (file, name) = (self.file, attribute.name());
            tracing::warn!(file, line, name, "an attribute of another namespace is left out, as in Liquibase");
        }
        let mut text = String::new();
        for child in element.children() {
            if child.is_element() {
                node.children.push(self.convert(child, &node.name, depth + 1)?);
            } else if child.is_text() {
                text.push_str(child.text().unwrap_or_default());
            }
        }
        let trimmed = text.trim_matches(|c: char| c <= ' ');
        node.text = (!trimmed.is_empty()).then(|| trimmed.to_owned());
        let allows_empty_attributes = self.allows_empty_attributes;
        let content = Content { parent, node: &node, text: &text, allows_empty_attributes, foreign_attribute };
        self.check_content(&content)?;
        Ok(node)
    }

    /// Checks the content of an element of a changelog.
    fn check_content(&self, content: &Content<'_>) -> Result<(), LoadError> {
        let problem = self.is_changelog.then(|| content.problem()).flatten();
        let Some(ContentProblem { found, allowed }) = problem else { return Ok(()) };
        let at = Location { file: self.file.to_owned(), line: content.node.line, changeset: None };
        Err(LoadError::Content { at: at.into(), element: content.node.name.clone(), found, allowed })
    }
}

fn syntax_error(file: &str, error: &Error) -> LoadError {
    let position = error.pos();
    let reason = match error {
        Error::DtdDetected => "a document type is not allowed; remove the <!DOCTYPE ...>".to_owned(),
        error => error.to_string(),
    };
    LoadError::Syntax { file: file.to_owned(), line: position.row, column: position.col, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_type_is_refused() {
        let bomb = "<!DOCTYPE x [<!ENTITY a \"b\">]><x>&a;</x>";
        assert!(matches!(parse("a.xml", bomb), Err(LoadError::Syntax { line: 1, .. })));
    }

    #[test]
    fn nesting_is_limited() {
        let deep = format!("{}{}", "<a>".repeat(5000), "</a>".repeat(5000));
        assert!(matches!(parse("a.xml", &deep), Err(LoadError::TooDeep { .. })));
    }

    #[test]
    fn the_text_of_children_is_not_part_of_an_element() {
        let node = parse("a.xml", "<sql a='1'>\n <comment>c</comment> select <![CDATA[1 < 2]]>\n</sql>").unwrap();
        assert_eq!(node.text.as_deref(), Some("select 1 < 2"));
        assert_eq!(node.children[0].text.as_deref(), Some("c"));
        assert_eq!(node.attribute("a"), Some("1"));
    }

    #[test]
    fn some_versions_of_the_schema_allow_any_attribute_in_some_changes() {
        let allowed = |version: &str, change: &str| {
            let text = format!(
                "<databaseChangeLog xmlns:xsi='{SCHEMA_INSTANCE}' xsi:schemaLocation='x dbchangelog-{version}.xsd '>\
                 <changeSet id='1' author='a'><{change} tableName='t' tag='x' viewName='v' oldColumnName='a' newColumnName='b'/></changeSet>\
                 </databaseChangeLog>"
            );
            parse("a.xml", &text).unwrap().children[0].children[0].allows_any_attribute
        };
        for (version, change, expected) in [
            ("3.5", "renameColumn", false),
            ("3.6", "renameColumn", true),
            ("3.10", "renameColumn", true),
            ("4.0", "renameColumn", false),
            ("latest", "renameColumn", false),
            ("3.7", "tagDatabase", true),
            ("3.8", "tagDatabase", false),
            ("3.8", "createView", false),
        ] {
            assert_eq!(allowed(version, change), expected, "{version} {change}");
        }
    }

    fn check(body: &str) -> Result<(), LoadError> {
        let text = format!("<databaseChangeLog>{body}</databaseChangeLog>");
        parse("a.xml", &text).map(drop)
    }

    #[test]
    fn the_order_of_the_schema_is_required() {
        let set = |inner: &str| format!("<changeSet id='1' author='a'>{inner}</changeSet>");
        let change = "<createTable tableName='t'/>";
        for good in [
            String::new(),
            format!("<property/><preConditions/>{}", set("")),
            set(&format!(
                "<validCheckSum/><validCheckSum/><preConditions/><comment/>{change}<rollback/>{change}<modifySql/>"
            )),
            set("<tagDatabase tag='x'/>"),
        ] {
            check(&good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for bad in [
            format!("{}<property/>", set("")),
            "<preConditions/><preConditions/>".to_owned(),
            set(&format!("{change}<preConditions/>")),
            set("<comment/><validCheckSum/>"),
            set("<preConditions/><validCheckSum/>"),
            set("<modifySql/><rollback/>"),
            set(&format!("{change}<tagDatabase tag='x'/>")),
            set("<tagDatabase tag='x'/><comment/>"),
        ] {
            assert!(check(&bad).is_err_and(|error| error.to_string().contains("cannot stand here")), "{bad}");
        }
    }

    #[test]
    fn what_the_schema_does_not_allow_is_refused() {
        let set = |inner: &str| format!("<changeSet id='1' author='a'>{inner}</changeSet>");
        for change in [
            "<delete tableName='t' x:y='z' xmlns:x='urn:x'/>",
            "<sql>select 1<dbms>oracle</dbms></sql>",
            "<update tableName='t'><where>true</where><column name='c' value='1'/></update>",
            "<update tableName='t'/>",
            "<delete tableName='t'><where>true</where><whereParams><column name='c'/></whereParams></delete>",
            "<delete tableName='t'><where>true</where><whereParams/></delete>",
            "<createTable tableName='t' ifNotExists='${p}'/>",
            "<addAutoIncrement tableName='t' columnName='c' startWith='9223372036854775808'/>",
            "<loadData tableName='t' file='f' encoding='UTF 8'/>",
            "<loadData tableName='t' file='f'><column name='c' remarks='r'/></loadData>",
            "<createIndex tableName='t' indexName='i'><column name='c' afterColumn='b'/></createIndex>",
            "<output message='x'>y</output>",
        ] {
            assert!(check(&set(change)).is_err(), "{change}");
        }
        for change in [
            "<createTable tableName='t' x:y='z' xmlns:x='urn:x'/>",
            "<sql>select 1<comment>c</comment></sql>",
            "<update tableName='t'>text<column name='c' value='1'/><where>true</where></update>",
            "<createView viewName='v' replaceIfExists='${p}'/>",
            "<loadData tableName='t' file='f'><column name='c' defaultValueBoolean='yes'/></loadData>",
            "<addColumn tableName='t'><column name='c' afterColumn='b'/></addColumn>",
        ] {
            check(&set(change)).unwrap_or_else(|error| panic!("{change}: {error}"));
        }
    }

    #[test]
    fn what_liquibase_does_not_read_is_removed() {
        let text = "<databaseChangeLog><changeSet id='1' author='a'><dropSequence sequenceName='s' cycle='true'/>\
                    <delete tableName='t'>text</delete><createProcedure>x<comment>c</comment></createProcedure></changeSet></databaseChangeLog>";
        let set = parse("a.xml", text).unwrap().children.remove(0);
        assert_eq!((set.children[0].attribute("cycle"), set.children[1].text.as_deref()), (None, None));
        assert_eq!((set.children[2].text.as_deref(), set.children[2].children.len()), (Some("x"), 0));
    }

    #[test]
    fn blanks_count_in_strings_and_in_no_other_value() {
        let text = "<databaseChangeLog><changeSet id=' 1 ' author='a' runAlways=' true&#10;' context=' x\n\ty '>\
                    <loadData tableName=' t ' file='f' encoding=' UTF-8 '><column index='\n 1' type=' STRING '/></loadData>\
                    <addForeignKeyConstraint constraintName='c' baseTableName='a' baseColumnNames='a' referencedTableName='b' \
                    referencedColumnNames='b' onDelete=' SET \n NULL '/><createSequence sequenceName='s' startValue=' 5 '/>\
                    <addDefaultValue tableName='t' columnName='c' defaultValueBoolean=' true '/></changeSet></databaseChangeLog>";
        let set = parse("a.xml", text).unwrap().children.remove(0);
        let value = |index: usize, name: &str| set.children[index].attribute(name).unwrap_or_default().to_owned();
        assert_eq!((set.attribute("id"), set.attribute("runAlways")), (Some(" 1 "), Some("true")));
        assert_eq!(set.attribute("context"), Some(" x  y "));
        assert_eq!((value(0, "tableName"), value(0, "encoding")), (" t ".to_owned(), "UTF-8".to_owned()));
        assert_eq!(set.children[0].children[0].attribute("index"), Some("1"));
        assert_eq!(set.children[0].children[0].attribute("type"), Some(" STRING "));
        assert_eq!(value(1, "onDelete"), "SET NULL");
        assert_eq!((value(2, "startValue"), value(3, "defaultValueBoolean")), (" 5 ".to_owned(), " true ".to_owned()));
        assert!(check("<changeSet id='1' author='a' runAlways=' ${x} '/>").is_err());
    }

    #[test]
    fn the_required_attributes_of_the_schema_are_required() {
        for (bad, name) in [
            ("<changeSet id='1'/>", "author"),
            ("<include/>", "file"),
            ("<changeSet id='1' author='a'><addColumn/></changeSet>", "tableName"),
            ("<changeSet id='1' author='a'><rollback><tagDatabase/></rollback></changeSet>", "tag"),
            ("<preConditions><dbms/></preConditions>", "type"),
            ("<preConditions onFail='CONTINUE'/>", "HALT"),
            ("<changeSet id='1' author='a'><preConditions onFail='mark_ran'/></changeSet>", "MARK_RAN"),
            ("<changeSet id='1' author='a'><preConditions onError=' WARN'/></changeSet>", "WARN"),
            ("<changeSet id='1' author='a'><preConditions onSqlOutput='${x}'/></changeSet>", "TEST"),
        ] {
            assert!(check(bad).is_err_and(|error| error.to_string().contains(name)), "{bad}");
        }
    }
}
