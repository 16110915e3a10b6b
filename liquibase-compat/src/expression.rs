//! Context expressions, label filters and dbms lists.
//!
//! The operators, from the weakest: comma (which means `or` and separates even inside parentheses), `or`, `and`, and `not` or `!`. If there
//! are no items to match, every term is true, except terms with `@`.

const TRUE: &str = ":true";
const FALSE: &str = ":false";

/// Whether `expression` holds for `items`, ignoring case. An empty expression always holds.
pub(crate) fn matches(expression: &str, items: &[String]) -> bool {
    let expression = expression.to_lowercase();
    let items: Vec<String> = items.iter().map(|item| item.trim().to_lowercase()).filter(|i| !i.is_empty()).collect();
    expression.trim().is_empty() || expression.split(',').any(|alternative| alternative_holds(alternative, &items))
}

/// The alternative that Liquibase cannot read, if it comes to it before one that holds: a parenthesis without a pair, as a comma leaves
/// it, or with nothing in it.
pub(crate) fn unreadable_alternative<'e>(expression: &'e str, items: &[String]) -> Option<&'e str> {
    let mut alternatives = expression.split(',').map(str::trim);
    alternatives.find(|part| !is_readable(part) || matches(part, items)).filter(|part| !is_readable(part))
}

fn is_readable(alternative: &str) -> bool {
    let mut text = alternative.to_owned();
    while text.contains('(') {
        let close = text.find(')').unwrap_or_default();
        match text[..close].rfind('(') {
            Some(open) if open + 1 < close => text.replace_range(open..=close, TRUE),
            _ => return false,
        }
    }
    true
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

/// Evaluates one alternative. Each innermost pair of parentheses is replaced with its value.
fn alternative_holds(alternative: &str, items: &[String]) -> bool {
    let mut text = alternative.to_owned();
    while let Some(close) = text.find(')') {
        let Some(open) = text[..close].rfind('(') else {
            break;
        };
        let value = if any_of(&text[open + 1..close], items) { TRUE } else { FALSE };
        text.replace_range(open..=close, &format!(" {value} "));
    }
    // A comma inside parentheses leaves unpaired ones.
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
        ] {
            assert_eq!(on(expression, items), expected, "{expression} on {items:?}");
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
