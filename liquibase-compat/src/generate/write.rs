//! The formats of a generated changelog.

use super::Element;
use crate::changelog::Changelog;
use crate::changeset_error::SqlGenerationError;

/// XML.
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
    match (&element.body, element.children.is_empty()) {
        (None, true) => text.push_str("/>\n"),
        (Some((_, body)), _) => text.push_str(&format!(">{}</{}>\n", xml_escaped(body), element.name)),
        (None, false) => {
            text.push_str(">\n");
            element.children.iter().for_each(|child| xml_element(child, level + 1, text));
            text.push_str(&format!("{indent}</{}>\n", element.name));
        }
    }
}

/// Line ends and tabs in attributes would be read as blanks.
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

/// A value of YAML and JSON.
enum Value {
    Text(String),
    List(Vec<Value>),
    Map(Vec<(&'static str, Value)>),
}

/// The changelog as YAML and JSON have it: lists of one-entry maps.
fn tree(sets: &[(String, Element)], author: &str) -> Value {
    let set = |(id, change): &(String, Element)| {
        let fields = vec![
            ("id", Value::Text(id.clone())),
            ("author", Value::Text(author.to_owned())),
            ("changes", Value::List(vec![named(change)])),
        ];
        Value::Map(vec![("changeSet", Value::Map(fields))])
    };
    Value::Map(vec![("databaseChangeLog", Value::List(sets.iter().map(set).collect()))])
}

fn named(element: &Element) -> Value {
    Value::Map(vec![(element.name, content(element))])
}

fn content(element: &Element) -> Value {
    let mut fields: Vec<(&'static str, Value)> =
        element.attributes.iter().map(|(name, value)| (*name, Value::Text(value.clone()))).collect();
    if let Some((name, body)) = &element.body {
        fields.push((name, Value::Text(body.clone())));
    }
    // Columns are a list, the constraints of a column are not.
    match element.children.first() {
        Some(child) if child.name == "constraints" => fields.push(("constraints", content(child))),
        Some(_) => fields.push(("columns", Value::List(element.children.iter().map(named).collect()))),
        None => {}
    }
    Value::Map(fields)
}

/// JSON.
pub(super) fn json(sets: &[(String, Element)], author: &str) -> String {
    json_value(&tree(sets, author), 0) + "\n"
}

fn json_value(value: &Value, level: usize) -> String {
    let (inner, outer) = ("  ".repeat(level + 1), "  ".repeat(level));
    match value {
        Value::Text(text) => quoted(text),
        Value::List(items) if items.is_empty() => "[]".to_owned(),
        Value::Map(fields) if fields.is_empty() => "{}".to_owned(),
        Value::List(items) => {
            let items: Vec<String> =
                items.iter().map(|item| format!("{inner}{}", json_value(item, level + 1))).collect();
            format!("[\n{}\n{outer}]", items.join(",\n"))
        }
        Value::Map(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{inner}\"{name}\": {}", json_value(value, level + 1)))
                .collect();
            format!("{{\n{}\n{outer}}}", fields.join(",\n"))
        }
    }
}

/// A text in double quotes, which JSON and YAML read alike.
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

/// YAML.
pub(super) fn yaml(sets: &[(String, Element)], author: &str) -> String {
    let mut text = String::new();
    yaml_value(&tree(sets, author), 0, &mut text);
    text
}

fn yaml_value(value: &Value, level: usize, text: &mut String) {
    let indent = "  ".repeat(level);
    match value {
        Value::Text(value) => text.push_str(&format!(" {}\n", quoted(value))),
        Value::List(items) if items.is_empty() => text.push_str(" []\n"),
        Value::Map(fields) if fields.is_empty() => text.push_str(" {}\n"),
        Value::List(items) => {
            text.push('\n');
            for item in items {
                text.push_str(&format!("{indent}-"));
                yaml_value(item, level + 1, text);
            }
        }
        Value::Map(fields) => {
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

/// Formatted SQL.
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
    fn yaml_nests_by_indentation() {
        assert_eq!(
            yaml(&table(), "me"),
            "databaseChangeLog:\n  -\n    changeSet:\n      id: \"1-1\"\n      author: \"me\"\n      changes:\n        -\n          \
             createTable:\n            tableName: \"t\"\n            columns:\n              -\n                column:\n                  \
             name: \"a\\\"b\"\n                  type: \"int\"\n                  constraints:\n                    nullable: \"false\"\n"
        );
    }

    #[test]
    fn xml_is_read_again() {
        let text = xml(&table(), "me");
        let source = crate::EmbeddedSource::of_texts(&[("a.xml", &text)]);
        assert_eq!(Changelog::load(&source, "a.xml", &crate::Options::default()).unwrap().len(), 1);
    }
}
