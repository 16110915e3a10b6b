//! Recognises the lines of formatted SQL, and finds `name:value` in them.
//!
//! Words ignore case. A directive is a comment line that begins with a known word. The number of dashes and blanks that it may have differs
//! between the words, as in Liquibase.

/// The blanks of Liquibase's grammar; others are part of a word.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{b}' | '\u{c}' | '\r')
}

pub(super) fn trim_start(text: &str) -> &str {
    text.trim_start_matches(is_blank)
}

/// The text after `word`, if `text` begins with the word.
fn after<'l>(text: &'l str, word: &str) -> Option<&'l str> {
    let head = text.get(..word.len())?;
    head.eq_ignore_ascii_case(word).then(|| &text[word.len()..])
}

/// The text after `--word`. The dashes may be indented.
pub(super) fn directive<'l>(line: &'l str, word: &str) -> Option<&'l str> {
    directive_at_start(trim_start(line), word)
}

/// The text after `--word`. The dashes must be the first characters.
pub(super) fn directive_at_start<'l>(line: &'l str, word: &str) -> Option<&'l str> {
    after(trim_start(line.strip_prefix("--")?), word)
}

/// The text after `-word`, a directive that lacks a dash.
pub(super) fn one_dash<'l>(line: &'l str, word: &str) -> Option<&'l str> {
    after(trim_start(line.strip_prefix('-')?), word)
}

/// Whether the line is the header of a formatted SQL file.
pub(super) fn is_header(line: &str) -> bool {
    directive(line, "liquibase").is_some_and(|rest| after(trim_start(rest), "formatted").is_some())
}

/// Whether the line opens a rollback comment: `/* liquibase rollback`.
pub(super) fn opens_rollback(line: &str) -> bool {
    let word = |text, word| after(trim_start(text), word);
    trim_start(line)
        .strip_prefix("/*")
        .and_then(|rest| word(rest, "liquibase"))
        .and_then(|rest| word(rest, "rollback"))
        .is_some_and(|rest| trim_start(rest).is_empty())
}

/// The text before the `*/` that ends the line.
pub(super) fn closes_rollback(line: &str) -> Option<&str> {
    line.trim_end_matches(is_blank).strip_suffix("*/")
}

/// Whether the text begins with a blank.
pub(super) fn begins_blank(text: &str) -> bool {
    text.starts_with(is_blank)
}

/// Splits off the first word, which may be in quotes: `"a b" c`.
pub(super) fn word(text: &str) -> (&str, &str) {
    let quoted = text.strip_prefix('"').and_then(|rest| rest.find('"')).filter(|end| *end > 0);
    let end = match quoted {
        Some(end) => end + 2,
        None => text.find(is_blank).unwrap_or(text.len()),
    };
    text.split_at(end)
}

/// Removes quotes of either kind around a text.
pub(super) fn unquoted(text: &str) -> &str {
    let inner = ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
    inner.unwrap_or(text)
}

/// The syntax of an attribute's value.
#[derive(Debug, Clone, Copy)]
pub(super) enum ValueSyntax {
    /// Letters, digits and underscores.
    Word,
    /// Everything up to the next blank; may be empty.
    OptionalToken,
    /// As `OptionalToken`, but not empty and after any blanks.
    Token,
    /// A text in quotes, or everything up to the next blank.
    QuotedOrToken,
    /// Names of databases with at least two characters.
    DatabaseList,
    /// A word that may contain `${}`.
    WordOrProperty,
}

/// The value of the last `name:value` in a line. As in Liquibase, `name` may be the end of another name.
pub(super) fn attribute<'l>(line: &'l str, name: &str, syntax: ValueSyntax) -> Option<&'l str> {
    let lower = line.to_ascii_lowercase();
    let prefix = format!("{}:", name.to_ascii_lowercase());
    let mut end = lower.len();
    while let Some(start) = lower[..end].rfind(&prefix) {
        if let Some(value) = value(&line[start + prefix.len()..], syntax) {
            return Some(value);
        }
        // The next search includes all but the last character of this match, to find one that overlaps it.
        end = start + prefix.len() - 1;
    }
    None
}

fn value(text: &str, syntax: ValueSyntax) -> Option<&str> {
    let run = |text: &str, belongs: fn(char) -> bool| text.find(|c| !belongs(c)).unwrap_or(text.len());
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (text, length, min_length) = match syntax {
        ValueSyntax::Word => (text, run(text, is_word), 1),
        ValueSyntax::OptionalToken => (text, run(text, |c| !is_blank(c)), 0),
        ValueSyntax::Token => {
            let text = trim_start(text);
            (text, run(text, |c| !is_blank(c)), 1)
        }
        ValueSyntax::QuotedOrToken => {
            let quoted = text.strip_prefix('"').and_then(|rest| rest.find('"')).map(|end| end + 2);
            (text, quoted.unwrap_or_else(|| run(text, |c| !is_blank(c))), 0)
        }
        ValueSyntax::DatabaseList => {
            let first = text.chars().next().filter(|c| *c != ',')?.len_utf8();
            let more = run(&text[first..], |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '!' | ','));
            (text, first + more, first + 1)
        }
        ValueSyntax::WordOrProperty => {
            (text, run(text, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '{' | '}')), 1)
        }
    };
    (length >= min_length).then(|| &text[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_is_used_even_inside_another_name() {
        let line = "--changeset a:1 endDelimiter:; rollbackEndDelimiter:@ context:\"a b\" labels:x, y dbms:!oracle,h2 runAlways:";
        assert_eq!(attribute(line, "endDelimiter", ValueSyntax::OptionalToken), Some("@"));
        assert_eq!(attribute(line, "context", ValueSyntax::QuotedOrToken), Some("\"a b\""));
        assert_eq!(attribute(line, "labels", ValueSyntax::QuotedOrToken), Some("x,"));
        assert_eq!(attribute(line, "dbms", ValueSyntax::DatabaseList), Some("!oracle,h2"));
        assert_eq!(attribute(line, "RUNALWAYS", ValueSyntax::Word), None);
        assert_eq!(attribute("dbms:a dbms:,x", "dbms", ValueSyntax::DatabaseList), None);
        assert_eq!(attribute("name:  x value:y", "name", ValueSyntax::Token), Some("x"));
    }

    #[test]
    fn directives_are_recognised_with_their_blanks() {
        assert!(is_header("  --  LiquiBase   formattedSQL x"));
        assert!(!is_header("- liquibase formatted sql"));
        assert_eq!(directive(" --  rollback x", "rollback"), Some(" x"));
        assert_eq!(directive_at_start(" --comment x", "comment"), None);
        assert!(opens_rollback(" /*liquibase  rollback "));
        assert!(!opens_rollback("/* liquibase rollback x"));
        assert_eq!(closes_rollback("drop table x; */ "), Some("drop table x; "));
        assert_eq!(word("\"a b\" c"), ("\"a b\"", " c"));
        assert_eq!(word("\"a b"), ("\"a", " b"));
    }
}
