//! Settings as YAML, with the origin of each value.

use super::key::Key;
use super::kind;
use super::origin::Origin;
use super::settings::{Setting, Settings};

/// Every key in its section: `key: value  # from ORIGIN`; secrets are `***`. The result is valid YAML.
pub fn render(settings: &Settings) -> String {
    let mut text = String::new();
    for section in settings.table.0 {
        let (outer, inner) = (section.indentation(), section.keys_indentation());
        text.push_str(&section.own_name().map(|name| format!("{outer}{name}:\n")).unwrap_or_default());
        for key in section.keys() {
            text.push_str(&format!("{inner}{}\n", line(key, settings.setting(key))));
        }
    }
    text
}

fn line(key: &Key, setting: Option<&Setting>) -> String {
    let name = key.name();
    let origin = setting.map_or(&Origin::Default, |setting| &setting.origin);
    match setting.and_then(|setting| setting.shown(key)) {
        Some(value) if matches!(key.kind, kind::Kind::Boolean) => {
            format!("{name}: {value}  # from {}", one_line(origin))
        }
        Some(value) => format!("{name}: {}  # from {}", scalar(&value), one_line(origin)),
        None if *origin == Origin::Default => format!("{name}: null  # not set"),
        None => format!("{name}: null  # unset by {}", one_line(origin)),
    }
}

/// A path may contain a line break; a comment may not.
fn one_line(origin: &Origin) -> String {
    origin.to_string().chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A text as a YAML scalar that every YAML reader reads as that text, not as a number or a boolean.
fn scalar(text: &str) -> String {
    let plain_characters = |c: char| c.is_ascii_alphanumeric() || "_./:-@%+".contains(c);
    let begins_plainly = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
    let plain = begins_plainly && text.chars().all(plain_characters) && !text.ends_with(':');
    if plain && !kind::is_ambiguous(text) && text != "null" {
        return text.to_owned();
    }
    // A JSON string is a double-quoted scalar of YAML.
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_texts_are_quoted() {
        for (text, shown) in [
            ("0.0.0.0:8080", "0.0.0.0:8080"),
            ("off", "\"off\""),
            ("***", "\"***\""),
            ("[::]:8080", "\"[::]:8080\""),
            ("/var/lib/a b", "\"/var/lib/a b\""),
            ("1MiB", "1MiB"),
            ("null", "\"null\""),
        ] {
            assert_eq!(scalar(text), shown);
        }
    }
}
