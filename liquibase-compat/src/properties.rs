//! `${name}` in changelogs.
//!
//! The first definition of a name wins, global ones come before those of a file; names ignore case; an unknown name is left
//! as it stands. A value may hold further `${}`, and so may a name. There is no escape.

use crate::error::LoadError;

/// The most replacements in one text: enough for any changelog, few enough to notice a circle at once.
const MAX_REPLACEMENTS: usize = 10_000;
/// The longest text that expansion may make, in bytes.
const MAX_EXPANDED: usize = 16 * 1024 * 1024;

/// The properties visible at one place of a changelog.
#[derive(Debug, Clone, Default)]
pub(crate) struct Properties {
    global: Vec<(String, String)>,
    local: Vec<(String, String)>,
}

impl Properties {
    /// The properties given from outside (`-Dname=value`), which come before all others.
    pub(crate) fn given(pairs: &[(String, String)]) -> Self {
        let mut properties = Self::default();
        for (name, value) in pairs {
            properties.define(name, value, true);
        }
        properties
    }

    /// Adds a definition, unless there is one in that scope already.
    pub(crate) fn define(&mut self, name: &str, value: &str, global: bool) {
        let scope = if global { &mut self.global } else { &mut self.local };
        if !scope.iter().any(|(key, _)| key.eq_ignore_ascii_case(name)) {
            scope.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Takes over what an included file defined for all.
    pub(crate) fn adopt_globals(&mut self, other: &Self) {
        self.global.clone_from(&other.global);
    }

    /// The value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut both = self.global.iter().chain(&self.local);
        both.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// `text` with every known `${name}` replaced, inside out.
    ///
    /// # Errors
    /// When a property refers to itself.
    pub(crate) fn expand(&self, text: &str, file: &str, line: u32) -> Result<String, LoadError> {
        let mut text = text.to_owned();
        // Looks for the last `${` that still may be replaced: what follows it holds no other, so inner ones come first.
        let mut end = text.len();
        let mut replaced = 0;
        while let Some(start) = text[..end].rfind("${") {
            let close = text[start..].find('}').map(|offset| start + offset);
            let name = close.map(|close| text[start + 2..close].trim().to_owned());
            let value = name.as_deref().and_then(|name| self.get(name));
            let (Some(close), Some(value)) = (close, value) else {
                end = start;
                continue;
            };
            text.replace_range(start..=close, value);
            // The value may itself hold `${}`, and an enclosing name may now be complete.
            end = text.len();
            replaced += 1;
            if replaced > MAX_REPLACEMENTS || text.len() > MAX_EXPANDED {
                let name = name.unwrap_or_default();
                return Err(LoadError::EndlessProperty { file: file.to_owned(), line, name });
            }
        }
        Ok(text)
    }
}

/// The pairs of a Java properties file: `name=value` or `name: value`, `#` and `!` comments, `\` continuation and escapes.
pub fn parse_file(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut logical = line.trim_start().to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        while logical.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1 {
            logical.pop();
            logical.push_str(lines.next().unwrap_or_default().trim_start());
        }
        pairs.push(split_pair(&logical));
    }
    pairs
}

fn split_pair(line: &str) -> (String, String) {
    let mut name = String::new();
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next_if(|c| !matches!(c, '=' | ':') && !c.is_whitespace()) {
        name.push(c);
        if c == '\\' {
            name.extend(rest.next());
        }
    }
    let value: String = rest.collect();
    let value = value.trim_start();
    let value = value.strip_prefix(['=', ':']).unwrap_or(value).trim_start();
    (unescape(&name), unescape(value))
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('u') => {
                let digits: String = rest.by_ref().take(4).collect();
                out.extend(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> String {
        let mut properties = Properties::given(&[("a".into(), "one".into()), ("one".into(), "inner".into())]);
        properties.define("A", "two", true);
        properties.define("nest", "<${a}>", false);
        properties.expand(text, "f", 1).unwrap()
    }

    #[test]
    fn names_are_replaced_as_liquibase_does() {
        for (text, expanded) in [
            ("${a}", "one"),
            ("${ A }", "one"),
            ("$${a}", "$one"),
            ("${:a}", "${:a}"),
            ("${unknown} ${a}", "${unknown} one"),
            ("${${a}}", "inner"),
            ("${nest}", "<one>"),
            ("${a", "${a"),
        ] {
            assert_eq!(expand(text), expanded, "{text}");
        }
    }

    #[test]
    fn a_circle_is_an_error() {
        let properties = Properties::given(&[("a".into(), "${b}".into()), ("b".into(), "x${a}".into())]);
        assert!(matches!(properties.expand("${a}", "f", 3), Err(LoadError::EndlessProperty { line: 3, .. })));
    }

    #[test]
    fn java_property_files_are_read() {
        let pairs = parse_file("# c\n a = b \\\n  c\nd:e\n! x\nf\\ g h\n");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(pairs, [pair("a", "b c"), pair("d", "e"), pair("f g", "h")]);
    }
}
