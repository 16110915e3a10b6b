//! Explanations of single keys, for `config explain`.

use super::config::TABLE;
use super::key::Key;

/// A name that is neither a key nor a section.
#[derive(Debug, thiserror::Error)]
#[error("there is no key and no section {name}; {}", advice(*.nearest))]
pub struct UnknownName {
    name: String,
    nearest: Option<&'static str>,
}

fn advice(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => "`attendance-api config explain` explains every key".to_owned(),
    }
}

/// What a key means, or every key of a section, or with an empty name every key.
///
/// # Errors
/// When there is no key and no section of that name.
pub fn explain(name: &str) -> Result<String, UnknownName> {
    let is_meant = |key: &&Key| {
        let rest = key.path.strip_prefix(name);
        name.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let found: Vec<String> = TABLE.keys().filter(is_meant).map(text).collect();
    if found.is_empty() {
        let nearest = TABLE.nearest_key(name).map(|key| key.path);
        return Err(UnknownName { name: name.chars().filter(|c| !c.is_control()).take(80).collect(), nearest });
    }
    Ok(found.join("\n"))
}

fn text(key: &Key) -> String {
    let default = key.default.map(|text| format!(" {text}")).unwrap_or_default();
    let lines: String = key.documentation.lines().map(|line| format!("   {line}\n")).collect();
    let change = if key.is_reloadable { "a reload (SIGHUP)" } else { "a restart" };
    format!(
        "{}:{default}\n{lines}    Variable: {}\n    A change takes effect after {change}.\n",
        key.path,
        key.variable()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_every_section_is_explained() {
        for key in TABLE.keys() {
            let text = explain(key.path).unwrap();
            assert!(text.starts_with(&format!("{}:", key.path)) && text.contains(&key.variable()), "{text}");
        }
        let section = explain("server").unwrap();
        assert!(section.contains("server.listen:") && section.contains("server.cors.origins:"), "{section}");
        assert!(!section.contains("postgres."), "{section}");
        assert!(explain("").unwrap().contains("log.level:"));
    }

    #[test]
    fn an_unknown_name_gets_advice() {
        let advice = |name: &str| explain(name).unwrap_err().to_string();
        assert!(advice("server.listn").contains("did you mean server.listen?"));
        assert!(advice("nothing.like.it").contains("config explain"));
    }
}
