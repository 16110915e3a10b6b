//! Context expressions, label filters and dbms lists.
//!
//! The operators, from the weakest: comma (which means `or` and separates even inside parentheses), `or`, `and`, and `not` or `!`. If there
//! are no items to match, every term is true, except terms with `@`.
//!
//! A parenthesis that a comma leaves without its pair, or with nothing in it, makes an alternative unreadable. As in Liquibase, that is an
//! error only if no alternative before it holds. Alternatives of contexts are evaluated in the order of a hash set of Java, and those of a
//! label filter as they are written.

use crate::java_hash::sort_in_hash_order;

const TRUE: &str = ":TRUE";
const FALSE: &str = ":FALSE";

/// An alternative cannot be read. The text is Liquibase's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Cannot parse expression {alternative}")]
pub(crate) struct UnreadableExpression {
    /// What is left of the alternative when no pair of parentheses is found in it.
    pub(crate) alternative: String,
}

/// Whether the context expression holds for the contexts of a run, ignoring case. An empty expression always holds.
pub(crate) fn contexts_match(expression: &str, contexts: &[String]) -> Result<bool, UnreadableExpression> {
    let mut alternatives = list(expression);
    let count = alternatives.len();
    sort_in_hash_order(&mut alternatives, count, |alternative| alternative);
    let is_filled = |context: &String| !context.is_empty();
    let contexts: Vec<String> = contexts.iter().map(|one| without_escapes(one)).filter(is_filled).collect();
    any_holds(&alternatives, &contexts)
}

/// Whether a list of labels matches a label filter, ignoring case. An empty filter always matches.
pub(crate) fn labels_match(filter: &str, labels: &str) -> Result<bool, UnreadableExpression> {
    any_holds(&list(&without_escapes(filter)), &list(labels))
}

/// The parts of a list, in small letters and each only once. As in Java, empty parts at the end are none, and others are parts.
pub(crate) fn list(text: &str) -> Vec<String> {
    let text = java_trim(text).trim_end_matches(',');
    let mut parts: Vec<String> = Vec::new();
    for part in text.split(',').filter(|_| !text.is_empty()).map(|part| java_trim(part).to_lowercase()) {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts
}

/// Liquibase removes the backslashes in contexts and label filters of a run, with which a shell protects `!`.
fn without_escapes(text: &str) -> String {
    java_trim(text).replace('\\', "").to_lowercase()
}

fn any_holds(alternatives: &[String], items: &[String]) -> Result<bool, UnreadableExpression> {
    for alternative in alternatives {
        if holds(alternative, items)? {
            return Ok(true);
        }
    }
    Ok(alternatives.is_empty())
}

/// Whether a dbms list includes PostgreSQL. An empty list includes every database.
pub(crate) fn for_postgresql(list: &str) -> bool {
    let terms: Vec<&str> = list.split(',').map(str::trim).filter(|term| !term.is_empty()).collect();
    if terms.is_empty() || terms.contains(&"all") {
        return true;
    }
    if terms.contains(&"none") || terms.contains(&"!postgresql") {
        return false;
    }
    terms.contains(&"postgresql") || terms.iter().all(|term| term.starts_with('!'))
}

/// As [`for_postgresql`], ignoring case: the list of a changeset or a precondition.
pub(crate) fn for_postgresql_in_any_case(list: &str) -> bool {
    for_postgresql(&list.to_lowercase())
}

/// Evaluates an alternative or a part of it. Each innermost pair of parentheses is replaced with its value.
fn holds(text: &str, items: &[String]) -> Result<bool, UnreadableExpression> {
    let mut text = java_trim(text).to_owned();
    match text.as_str() {
        TRUE => return Ok(true),
        FALSE => return Ok(false),
        _ => {}
    }
    while text.contains('(') {
        let Some((open, close)) = innermost_pair(&text) else {
            return Err(UnreadableExpression { alternative: text.trim_end().to_owned() });
        };
        let value = if holds(&text[open + 1..close], items)? { TRUE } else { FALSE };
        text.replace_range(open..=close, &format!(" {value} "));
    }
    let parts = split_at_operator(&text, "or");
    if parts.len() > 1 {
        return combine(parts, items, true);
    }
    let parts = split_at_operator(&text, "and");
    if parts.len() > 1 {
        return combine(parts, items, false);
    }
    Ok(term_holds(&text, items))
}

/// The value of parts that an operator joins. One part with the `decisive` value (true for `or`, false for `and`) decides; no later one is evaluated.
fn combine(parts: Vec<&str>, items: &[String], decisive: bool) -> Result<bool, UnreadableExpression> {
    for part in parts {
        if holds(part, items)? == decisive {
            return Ok(decisive);
        }
    }
    Ok(!decisive)
}

/// The first pair of parentheses that has a text and no other parenthesis inside.
fn innermost_pair(text: &str) -> Option<(usize, usize)> {
    let mut open = None;
    for (at, c) in text.char_indices() {
        match (c, open) {
            ('(', _) => open = Some(at),
            (')', Some(start)) if start + 1 < at => return Some((start, at)),
            (')', _) => open = None,
            _ => {}
        }
    }
    None
}

/// Splits at an operator, which has blanks on both sides.
fn split_at_operator<'t>(text: &'t str, operator: &str) -> Vec<&'t str> {
    let is_blank = |c: char| matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r');
    let (mut parts, mut begin, mut from) = (Vec::new(), 0, 0);
    while let Some(at) = text[from..].find(operator).map(|offset| from + offset) {
        let end = at + operator.len();
        if text[begin..at].ends_with(is_blank) && text[end..].starts_with(is_blank) {
            parts.push(text[begin..at].trim_end_matches(is_blank));
            begin = text.len() - text[end..].trim_start_matches(is_blank).len();
            from = begin;
        } else {
            from = end;
        }
    }
    parts.push(&text[begin..]);
    parts
}

/// Evaluates a term. Without items, only a term with `@` can be false, even if it is a pair of parentheses without a value of its own.
fn term_holds(text: &str, items: &[String]) -> bool {
    let (mut is_negated, mut term) = (false, text);
    if let Some(rest) = term.strip_prefix('!').or_else(|| term.strip_prefix("not ")) {
        (is_negated, term) = (true, java_trim(rest));
    } else if let Some(rest) = negated_strict_term(term) {
        (is_negated, term) = (true, java_trim(rest));
    }
    let strict = term.strip_prefix('@').map(java_trim);
    if strict.is_none() && items.is_empty() {
        return true;
    }
    match java_trim(strict.unwrap_or(term)) {
        TRUE => !is_negated,
        FALSE => is_negated,
        term => items.iter().any(|item| item == term) != is_negated,
    }
}

/// What follows `@!` or `@not `. Such a term is not strict.
fn negated_strict_term(term: &str) -> Option<&str> {
    let rest = term.strip_prefix('@')?.trim_ascii_start();
    let rest = rest.strip_prefix('!').or_else(|| rest.strip_prefix("not "))?;
    (!rest.is_empty()).then_some(rest)
}

/// Removes what Java's `trim` removes: blanks and control characters.
fn java_trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(expression: &str, items: &[&str]) -> bool {
        contexts_match(expression, &items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn expressions_are_evaluated_like_in_liquibase() {
        for (expression, items, expected) in [
            ("test", &["test"][..], true),
            ("prod", &["test"], false),
            ("", &["test"], true),
            ("test and !prod", &["test"], true),
            ("(prod or qa) and test", &["test"], false),
            ("(prod or qa) and test", &["test", "qa"], true),
            ("prod, test", &["test"], true),
            ("TEST", &["test"], true),
            ("!test", &["test"], false),
            ("not test", &["other"], true),
            ("@test", &["test"], true),
            ("!test", &[], true),
            ("prod", &[], true),
            ("@test", &[], false),
            ("!(a and b)", &["a"], true),
            ("!(a and b)", &["a", "b"], false),
            ("@!a", &["a"], false),
            ("@ not a", &[], true),
            ("(@a)", &[], true),
            ("a or (@b)", &[], true),
            ("!!a", &["a"], true),
            ("a)", &["a"], false),
            ("nothing", &["hing"], false),
            ("a or or b", &["b"], false),
            ("a\tand\n b", &["a", "b"], true),
            (",", &["b"], true),
            ("a,,b", &["c"], false),
        ] {
            assert_eq!(on(expression, items), expected, "{expression} on {items:?}");
        }
    }

    #[test]
    fn an_unreadable_alternative_is_an_error_unless_another_one_before_it_holds() {
        let error = |expression, items: &[&str]| {
            let items: Vec<String> = items.iter().map(|item| (*item).to_owned()).collect();
            contexts_match(expression, &items).err().map(|error| error.alternative)
        };
        for (expression, items, expected) in [
            ("(a", &[][..], Some("(a")),
            ("()", &["a"], Some("()")),
            ("((a)", &["a"], Some("( :TRUE")),
            ("((a)", &["b"], Some("( :FALSE")),
            // In a hash set of Java, "b)" comes before "(a".
            ("(a,b)", &[], None),
            ("(a,b)", &["a"], Some("(a")),
            ("a)", &["a"], None),
        ] {
            assert_eq!(error(expression, items).as_deref(), expected, "{expression} on {items:?}");
        }
        // A label filter is evaluated as it is written.
        assert!(labels_match("(a, b", "b").is_err());
        assert_eq!(labels_match("b, (a", "b"), Ok(true));
    }

    #[test]
    fn labels_match_a_filter() {
        for (filter, labels, expected) in [
            ("", "a", true),
            ("a and b", "A, b", true),
            ("a and b", "a", false),
            ("a", "", true),
            ("@a", "", false),
            ("\\!a", "b", true),
        ] {
            assert_eq!(labels_match(filter, labels), Ok(expected), "{filter} on {labels}");
        }
    }

    #[test]
    fn a_dbms_list_includes_or_excludes_postgresql() {
        for (list, expected) in [
            ("", true),
            ("postgresql", true),
            ("oracle, postgresql", true),
            ("oracle", false),
            ("!oracle", true),
            ("!postgresql", false),
            ("all", true),
            ("none", false),
            ("PostgreSQL", false),
        ] {
            assert_eq!(for_postgresql(list), expected, "{list}");
        }
    }
}
