//! Context expressions, label filters and dbms lists.
//!
//! A comma is an `or` that binds weakest of all (it is split at first, even inside parentheses), then `or`, then `and`, then
//! `not` or `!`. With no items to match against, every term is true unless it is marked with `@`.

const TRUE: &str = ":true";
const FALSE: &str = ":false";

/// Whether `expression` holds for `items`, ignoring case. An empty expression always holds.
pub(crate) fn matches(expression: &str, items: &[String]) -> bool {
    let expression = expression.to_lowercase();
    let items: Vec<String> = items.iter().map(|item| item.trim().to_lowercase()).filter(|i| !i.is_empty()).collect();
    expression.trim().is_empty() || expression.split(',').any(|alternative| holds(alternative, &items))
}

/// Whether a changeset with this dbms list is meant for PostgreSQL. An empty list is meant for all.
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

/// One alternative: parentheses are worked out innermost first and replaced by their outcome.
fn holds(alternative: &str, items: &[String]) -> bool {
    let mut text = alternative.to_owned();
    while let Some(close) = text.find(')') {
        let Some(open) = text[..close].rfind('(') else {
            break;
        };
        let outcome = if any_of(&text[open + 1..close], items) { TRUE } else { FALSE };
        text.replace_range(open..=close, &format!(" {outcome} "));
    }
    // A comma inside parentheses leaves halves of them behind.
    any_of(&text.replace(['(', ')'], " "), items)
}

fn any_of(text: &str, items: &[String]) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.split(|word| *word == "or").any(|part| part.split(|word| *word == "and").all(|term| term_holds(term, items)))
}

fn term_holds(words: &[&str], items: &[String]) -> bool {
    let (mut positive, mut words) = (true, words);
    if let Some((&"not", rest)) = words.split_first() {
        (positive, words) = (false, rest);
    }
    let joined = words.join(" ");
    let mut term = joined.as_str();
    if let Some(rest) = term.strip_prefix('!') {
        (positive, term) = (false, rest.trim());
    }
    match term {
        TRUE => return positive,
        FALSE => return !positive,
        _ => {}
    }
    match term.strip_prefix('@') {
        Some(strict) => items.iter().any(|item| item == strict.trim()) == positive,
        None => items.is_empty() || items.iter().any(|item| item == term) == positive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(expression: &str, items: &[&str]) -> bool {
        matches(expression, &items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn expressions_hold_as_in_liquibase() {
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
        ] {
            assert_eq!(on(expression, items), expected, "{expression} on {items:?}");
        }
    }

    #[test]
    fn dbms_lists() {
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
