//! Splits SQL text into tokens, by Liquibase's grammar, which does not have dollar quotes.

/// The tokens: runs of blanks, comments, strings, numbers and names, and all other characters one by one. Joined they are the text.
pub(super) fn tokenize(sql: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let (token, after) = rest.split_at(token_length(rest, first));
        tokens.push(token);
        rest = after;
    }
    tokens
}

pub(super) fn is_comment(token: &str) -> bool {
    token.starts_with("--") || token.starts_with("/*")
}

fn token_length(rest: &str, first: char) -> usize {
    let run = |belongs: fn(char) -> bool| rest.find(|c| !belongs(c)).unwrap_or(rest.len());
    // A comment, string or quoted name without an end is no token: its first character stands alone, and the text after it is split.
    match first {
        c if c.is_whitespace() => run(char::is_whitespace),
        '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
        '/' if rest.starts_with("/*") => rest[2..].find("*/").map_or(1, |end| end + 4),
        '\'' | '"' => quoted_length(rest, first).unwrap_or(1),
        '`' => bracketed_length(rest, '`').unwrap_or(1),
        '[' => bracketed_length(rest, ']').unwrap_or(1),
        c => name_length(rest).or_else(|| number_length(rest)).unwrap_or(c.len_utf8()),
    }
}

/// The length of a name: a letter, `$` or `_`, and what may follow it.
fn name_length(rest: &str) -> Option<usize> {
    let begins = rest.starts_with(|c: char| (c.is_alphanumeric() && !c.is_ascii_digit()) || matches!(c, '_' | '$'));
    let continues = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '#' | '@' | '.');
    begins.then(|| rest.len() - rest.trim_start_matches(continues).len())
}

/// The length of a number with or without a fraction.
fn number_length(rest: &str) -> Option<usize> {
    let is_digit = |c: char| c.is_ascii_digit();
    let after = rest.trim_start_matches(is_digit);
    let fraction = after.strip_prefix('.').filter(|fraction| fraction.starts_with(is_digit));
    let end = fraction.map_or(after, |fraction| fraction.trim_start_matches(is_digit));
    rest.starts_with(is_digit).then(|| rest.len() - end.len())
}

/// The length of a quoted token; `None` if it has no end. The longest possible token counts: a quote that is doubled or that follows a
/// backslash ends the token only if no other quote does.
fn quoted_length(rest: &str, quote: char) -> Option<usize> {
    let mut possible = None;
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((index, c)) = chars.next() {
        if c == '\\' {
            if let Some((index, _)) = chars.next_if(|(_, next)| *next == quote) {
                possible = Some(index + 1);
            }
        } else if c == quote {
            if chars.next_if(|(_, next)| *next == quote).is_none() {
                return Some(index + 1);
            }
            possible = Some(index + 1);
        }
    }
    possible
}

/// The length of a name in brackets or backticks; `None` if its line has no end of it.
fn bracketed_length(rest: &str, close: char) -> Option<usize> {
    let end = rest[1..].find([close, '\n'])? + 1;
    rest[end..].starts_with(close).then_some(end + 1)
}
