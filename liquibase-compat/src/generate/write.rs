//! Writes a generated changelog in each format.

use super::element::Element;
use crate::changelog::Changelog;
use crate::changeset_error::SqlGenerationError;

/// The changelog as XML.
pub(super) fn xml(sets: &[(String, Element)], author: &str) -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<databaseChangeLog xmlns=\"http://www.liquibase.org/xml/ns/dbchangelog\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"http://www.liquibase.org/xml/ns/dbchangelog \
         http://www.liquibase.org/xml/ns/dbchangelog/dbchangelog-latest.xsd\">\n",
    );
    for (id, change) in sets {
        text.push_str(&format!("    <changeSet author=\"{}\" id=\"{}\">\n", xml_escaped(author), xml_escaped(id)));
        xml_element(change, 2, &mut text);
        text.push_str("    </changeSet>\n");
    }
    text + "</databaseChangeLog>\n"
}

fn xml_element(element: &Element, level: usize, text: &mut String) {
    let indent = "    ".repeat(level);
    text.push_str(&format!("{indent}<{}", element.name));
    for (name, value) in &element.attributes {
        text.push_str(&format!(" {name}=\"{}\"", xml_escaped(value)));
    }
    match (&element.text, element.children.is_empty()) {
        (None, true) => text.push_str("/>\n"),
        (Some((_, inner)), _) => text.push_str(&format!(">{}</{}>\n", xml_escaped(inner), element.name)),
        (None, false) => {
            text.push_str(">\n");
            element.children.iter().for_each(|child| xml_element(child, level + 1, text));
            text.push_str(&format!("{indent}</{}>\n", element.name));
        }
    }
}

/// Escapes text for XML. Line ends and tabs are escaped, too, because a parser replaces them with blanks in attributes.
fn xml_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            c => out.push(c),
        }
    }
    out
}

/// A JSON value; YAML is written from it, too.
enum JsonValue {
    Text(String),
    List(Vec<JsonValue>),
    Map(Vec<(&'static str, JsonValue)>),
}

/// The changelog in the structure of YAML and JSON: lists of maps with one entry.
fn changelog_value(sets: &[(String, Element)], author: &str) -> JsonValue {
    let set = |(id, change): &(String, Element)| {
        let fields = vec![
            ("id", JsonValue::Text(id.clone())),
            ("author", JsonValue::Text(author.to_owned())),
            ("changes", JsonValue::List(vec![element_entry(change)])),
        ];
        JsonValue::Map(vec![("changeSet", JsonValue::Map(fields))])
    };
    JsonValue::Map(vec![("databaseChangeLog", JsonValue::List(sets.iter().map(set).collect()))])
}

fn element_entry(element: &Element) -> JsonValue {
    JsonValue::Map(vec![(element.name, content(element))])
}

fn content(element: &Element) -> JsonValue {
    let mut fields: Vec<(&'static str, JsonValue)> =
        element.attributes.iter().map(|(name, value)| (*name, JsonValue::Text(value.clone()))).collect();
    if let Some((name, text)) = &element.text {
        fields.push((name, JsonValue::Text(text.clone())));
    }
    // Columns are a list. The constraints of a column are a map.
    match element.children.first() {
        Some(child) if child.name == "constraints" => fields.push(("constraints", content(child))),
        Some(_) => fields.push(("columns", JsonValue::List(element.children.iter().map(element_entry).collect()))),
        None => {}
    }
    JsonValue::Map(fields)
}

/// The changelog as JSON.
pub(super) fn json(sets: &[(String, Element)], author: &str) -> String {
    json_value(&changelog_value(sets, author), 0) + "\n"
}

fn json_value(value: &JsonValue, level: usize) -> String {
    let (inner, outer) = ("  ".repeat(level + 1), "  ".repeat(level));
    match value {
        JsonValue::Text(text) => quoted(text),
        JsonValue::List(items) if items.is_empty() => "[]".to_owned(),
        JsonValue::Map(fields) if fields.is_empty() => "{}".to_owned(),
        JsonValue::List(items) => {
            let items: Vec<String> =
                items.iter().map(|item| format!("{inner}{}", json_value(item, level + 1))).collect();
            format!("[\n{}\n{outer}]", items.join(",\n"))
        }
        JsonValue::Map(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{inner}\"{name}\": {}", json_value(value, level + 1)))
                .collect();
            format!("{{\n{}\n{outer}}}", fields.join(",\n"))
        }
    }
}

/// A text in double quotes, in a form that is valid in JSON and YAML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "\""
}

/// The changelog as YAML.
pub(super) fn yaml(sets: &[(String, Element)], author: &str) -> String {
    let mut text = String::new();
    yaml_value(&changelog_value(sets, author), 0, &mut text);
    text
}

fn yaml_value(value: &JsonValue, level: usize, text: &mut String) {
    let indent = "  ".repeat(level);
    match value {
        JsonValue::Text(value) => text.push_str(&format!(" {}\n", quoted(value))),
        JsonValue::List(items) if items.is_empty() => text.push_str(" []\n"),
        JsonValue::Map(fields) if fields.is_empty() => text.push_str(" {}\n"),
        JsonValue::List(items) => {
            text.push('\n');
            for item in items {
                text.push_str(&format!("{indent}-"));
                yaml_value(item, level + 1, text);
            }
        }
        JsonValue::Map(fields) => {
            if level > 0 {
                text.push('\n');
            }
            for (name, value) in fields {
                text.push_str(&format!("{indent}{name}:"));
                yaml_value(value, level + 1, text);
            }
        }
    }
}

/// The changelog as formatted SQL.
///
/// # Errors
/// When a change has no SQL.
pub(super) fn sql(changelog: &Changelog, schema: &str) -> Result<String, SqlGenerationError> {
    let mut text = String::from("-- liquibase formatted sql\n");
    for set in &changelog.changesets {
        text.push_str(&format!("\n-- changeset {}:{} splitStatements:false\n", set.id.author, set.id.id));
        for statement in set.statements(schema)? {
            text.push_str(&format!("{};\n", statement.trim_end().trim_end_matches(';')));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Vec<(String, Element)> {
        let mut column = Element::new("column").with("name", "a\"b").with("type", "int");
        column.children.push(Element::new("constraints").with("nullable", "false"));
        let mut table = Element::new("createTable").with("tableName", "t");
        table.children.push(column);
        vec![("1-1".to_owned(), table)]
    }

    #[test]
    fn yaml_is_nested_by_indentation() {
        assert_eq!(
            yaml(&table(), "me"),
            "databaseChangeLog:\n  -\n    changeSet:\n      id: \"1-1\"\n      author: \"me\"\n      changes:\n        -\n          \
             createTable:\n            tableName: \"t\"\n            columns:\n              -\n                column:\n                  \
             name: \"a\\\"b\"\n                  type: \"int\"\n                  constraints:\n                    nullable: \"false\"\n"
        );
    }

    #[test]
    fn generated_xml_can_be_loaded() {
        let text = xml(&table(), "me");
        let source = crate::EmbeddedSource::of_texts(&[("a.xml", &text)]);
        assert_eq!(Changelog::load(&source, "a.xml", &crate::Options::default()).unwrap().len(), 1);
    }
}
