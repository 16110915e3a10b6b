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
    match first {
        c if c.is_whitespace() => run(char::is_whitespace),
        '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
        '/' if rest.starts_with("/*") => rest[2..].find("*/").map_or(rest.len(), |end| end + 4),
        '\'' | '"' => quoted_length(rest, first),
        c if is_name(c) => run(|c| is_name(c) || c == '.'),
        c => c.len_utf8(),
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '#' | '@')
}

/// The length of a quoted token. A doubled quote or one after a backslash does not end it; the end of the text does.
fn quoted_length(rest: &str, quote: char) -> usize {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((index, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return index + 1;
        }
    }
    rest.len()
}
