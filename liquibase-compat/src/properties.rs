//! Properties: `${name}` in changelogs.
//!
//! The first definition of a name wins, and a global one takes precedence over one of a file. Names ignore case. Values and names may
//! contain further `${}`. The options decide what stands for an unknown `${name}`, and whether `${:name}` is an escape.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::database_properties::{BuiltIn, DatabaseProperties, built_in};
use crate::expression::UnreadableExpression;
use crate::load_error::LoadError;
use crate::locations::Locations;
use crate::options::{MissingProperty, Options};

/// The limit of replacements in one text.
const MAX_REPLACEMENTS: usize = 1_000_000;
/// The limit of bytes that expansion may add to a text.
const MAX_GROWTH: usize = 16 * 1024 * 1024;
/// The limit of nested references between values. A deeper reference is treated as a cycle.
const MAX_NESTING: usize = 64;

/// The properties that are defined at one point of a changelog.
#[derive(Debug, Clone, Default)]
pub(crate) struct Properties {
    /// Those of Liquibase itself, `database.…`, as far as they were looked up.
    built_in: BuiltInProperties,
    global: Vec<(String, Definition)>,
    local: Vec<(String, Definition)>,
    missing: MissingProperty,
    has_escapes: bool,
}

/// The value of a property, or why it cannot be known whether the definition is for this run.
type Definition = Result<String, UnreadableExpression>;

/// The properties of Liquibase itself. They take precedence over all others.
#[derive(Debug, Clone, Default)]
struct BuiltInProperties {
    locations: Locations,
    database: Option<DatabaseProperties>,
    /// One was looked up that must be read from the database and was not. Shared with the properties of included files.
    is_incomplete: Arc<AtomicBool>,
}

impl Properties {
    /// The properties of the options (`-Dname=value`), which take precedence over all others.
    pub(crate) fn from_options(options: &Options) -> Self {
        let (locations, database) = (options.locations.clone(), options.database.clone());
        let built_in = BuiltInProperties { locations, database, ..BuiltInProperties::default() };
        let (missing, has_escapes) = (options.missing_property, options.property_escaping);
        let mut properties = Self { built_in, missing, has_escapes, ..Self::default() };
        for (name, value) in &options.properties {
            properties.define(name, value, true);
        }
        properties
    }

    /// Adds a definition, unless the scope has one already.
    pub(crate) fn define(&mut self, name: &str, value: &str, global: bool) {
        self.add(name, Ok(value.to_owned()), global);
    }

    /// Adds a definition of which the contexts or the label filter cannot be read. Using the property is an error.
    pub(crate) fn define_unreadable(&mut self, name: &str, error: UnreadableExpression, global: bool) {
        self.add(name, Err(error), global);
    }

    fn add(&mut self, name: &str, definition: Definition, global: bool) {
        let scope = if global { &mut self.global } else { &mut self.local };
        if !scope.iter().any(|(key, _)| key.eq_ignore_ascii_case(name)) {
            scope.push((name.to_owned(), definition));
        }
    }

    /// The properties that an included file sees: the global ones.
    pub(crate) fn for_included_file(&self) -> Self {
        Self { local: Vec::new(), ..self.clone() }
    }

    /// Adds the global definitions of an included file.
    pub(crate) fn adopt_globals(&mut self, other: &Self) {
        self.global.clone_from(&other.global);
    }

    /// The value of a property.
    pub(crate) fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.find(name).ok().flatten()
    }

    fn find(&self, name: &str) -> Result<Option<Cow<'_, str>>, UnreadableExpression> {
        if let Some(found) = self.built_in(name) {
            return Ok(Some(Cow::Owned(found)));
        }
        let mut both = self.global.iter().chain(&self.local);
        match both.find(|(key, _)| key.eq_ignore_ascii_case(name)) {
            Some((_, Ok(value))) => Ok(Some(Cow::Borrowed(value.as_str()))),
            Some((_, Err(error))) => Err(error.clone()),
            None => Ok(None),
        }
    }

    fn built_in(&self, name: &str) -> Option<String> {
        let is_candidate = name.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("database."));
        let own = &self.built_in;
        match is_candidate.then(|| built_in(name, &own.locations, own.database.as_ref()))?? {
            BuiltIn::Value(value) => Some(value),
            BuiltIn::Unread => {
                own.is_incomplete.store(true, Ordering::Relaxed);
                None
            }
        }
    }

    /// Whether a property was looked up that must be read from the database and was not.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.built_in.is_incomplete.load(Ordering::Relaxed)
    }

    /// Replaces every known `${name}` in `text`, the innermost first.
    ///
    /// # Errors
    /// When a property refers to itself.
    pub(crate) fn expand(&self, text: &str, file: &str, line: u32) -> Result<String, LoadError> {
        let mut out = String::with_capacity(text.len());
        let mut budget = Budget { replacements: MAX_REPLACEMENTS, length: text.len() + MAX_GROWTH };
        match self.expand_into(&mut out, text, 0, &mut budget) {
            Ok(()) => Ok(out),
            Err(ExpansionError::Endless { name }) => {
                Err(LoadError::EndlessProperty { file: file.to_owned(), line, name })
            }
            Err(ExpansionError::Missing { name }) => {
                Err(LoadError::MissingProperty { file: file.to_owned(), line, name })
            }
            Err(ExpansionError::Unreadable(error)) => Err(error.into()),
        }
    }

    /// Appends the expanded text to `out`.
    fn expand_into(
        &self,
        out: &mut String,
        text: &str,
        nesting: usize,
        budget: &mut Budget,
    ) -> Result<(), ExpansionError> {
        // The offsets in `out` of each `${` without its `}` so far.
        let mut open = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['$', '}']) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("${") {
                open.push(out.len());
                out.push_str("${");
                rest = after;
                continue;
            }
            let start = if rest.starts_with('}') { open.pop() } else { None };
            let (mark, after) = rest.split_at(1);
            rest = after;
            let Some(start) = start else {
                out.push_str(mark);
                continue;
            };
            let name = out[start + 2..].trim();
            if self.has_escapes && name.starts_with(':') {
                let colon = start + out[start..].find(':').unwrap_or(0);
                out.remove(colon);
                out.push_str(mark);
                continue;
            }
            let value = match (self.find(name).map_err(ExpansionError::Unreadable)?, self.missing) {
                (Some(value), _) => value.into_owned(),
                (None, MissingProperty::Empty) => String::new(),
                (None, MissingProperty::Error) => return Err(ExpansionError::Missing { name: name.to_owned() }),
                (None, MissingProperty::Preserve) => {
                    out.push_str(mark);
                    continue;
                }
            };
            if nesting == MAX_NESTING || budget.replacements == 0 || out.len() > budget.length {
                return Err(ExpansionError::Endless { name: name.to_owned() });
            }
            budget.replacements -= 1;
            out.truncate(start);
            self.expand_into(out, &value, nesting + 1, budget)?;
        }
        out.push_str(rest);
        Ok(())
    }
}

/// Why a text cannot be expanded.
enum ExpansionError {
    /// A property refers to itself, or its expansion exceeds a limit.
    Endless { name: String },
    /// A property has no value.
    Missing { name: String },
    /// The contexts of the definition of a property cannot be read.
    Unreadable(UnreadableExpression),
}

/// What remains of the limits for one text.
struct Budget {
    replacements: usize,
    length: usize,
}

/// Parses a Java properties file: `name=value` or `name: value`, comments with `#` and `!`, and `\` for continuation lines and escapes.
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

    fn from_pairs(pairs: &[(String, String)]) -> Properties {
        Properties::from_options(&Options::default().with_properties(pairs.iter().cloned()))
    }

    fn expand(text: &str) -> String {
        let mut properties = from_pairs(&[("a".into(), "one".into()), ("one".into(), "inner".into())]);
        properties.define("A", "two", true);
        properties.define("nest", "<${a}>", false);
        properties.expand(text, "f", 1).unwrap()
    }

    #[test]
    fn names_are_replaced_like_in_liquibase() {
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
    fn the_options_decide_what_an_unknown_name_and_an_escape_stand_for() {
        let expand = |options: Options, text: &str| {
            let properties = Properties::from_options(&options.with_property("a", "one"));
            properties.expand(text, "f", 3)
        };
        let missing = |mode| Options::default().with_missing_property(mode);
        assert_eq!(expand(missing(MissingProperty::Empty), "${x}-${a}-${${x}a}").unwrap(), "-one-one");
        let refused = expand(missing(MissingProperty::Error), "${a} ${x}").unwrap_err();
        assert_eq!(refused.to_string(), "Could not resolve expression `${x}` in file f");
        let escaping = || Options::default().with_property_escaping(true);
        for (text, expanded) in [("${:a}", "${a}"), ("${ :a} ${a}", "${ a} one"), ("${:${a}}", "${one}")] {
            assert_eq!(expand(escaping(), text).unwrap(), expanded, "{text}");
        }
    }

    #[test]
    fn large_texts_are_expanded_and_growth_is_bounded() {
        let mut pairs = vec![("a".to_owned(), "x".to_owned()), ("v0".to_owned(), String::new())];
        pairs.extend((1..40).map(|level| (format!("v{level}"), format!("${{v{0}}}${{v{0}}}", level - 1))));
        let properties = from_pairs(&pairs);
        assert_eq!(properties.expand(&"${a}".repeat(100_000), "f", 1).unwrap().len(), 100_000);
        assert!(properties.expand("${v39}", "f", 1).is_err());
        let braces = format!("{}{}", "${".repeat(100_000), "}".repeat(100_000));
        assert_eq!(properties.expand(&braces, "f", 1).unwrap(), braces);
    }

    #[test]
    fn a_cycle_is_an_error() {
        let properties = from_pairs(&[("a".into(), "${b}".into()), ("b".into(), "x${a}".into())]);
        assert!(matches!(properties.expand("${a}", "f", 3), Err(LoadError::EndlessProperty { line: 3, .. })));
    }

    #[test]
    fn java_property_files_are_read() {
        let pairs = parse_file("# c\n a = b \\\n  c\nd:e\n! x\nf\\ g h\n");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(pairs, [pair("a", "b c"), pair("d", "e"), pair("f g", "h")]);
    }
}
