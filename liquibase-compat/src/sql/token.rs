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

/// The text with the first token that is `word`, in any case, replaced; `None` if there is none.
pub(crate) fn with_replaced_word(sql: &str, word: &str, replacement: &str) -> Option<String> {
    let mut tokens = tokenize(sql);
    let found = tokens.iter_mut().find(|token| token.eq_ignore_ascii_case(word))?;
    *found = replacement;
    Some(tokens.concat())
}

/// The text with `schema` before the name that follows the first `word`, in any case, instead of the schema that the name has. A text that
/// names a package first stays as it is, and so does one without such a name.
pub(crate) fn with_schema_behind_word(sql: &str, word: &str, schema: &str) -> String {
    let tokens = tokenize(sql);
    let is_code = |token: &str| !is_comment(token) && !token.trim_start_matches(is_blank).is_empty();
    let mut code = tokens.iter().enumerate().filter(|(_, token)| is_code(token));
    let found = code.find(|(_, token)| ["package", word].iter().any(|stop| token.eq_ignore_ascii_case(stop)));
    let is_package = found.is_some_and(|(_, token)| token.eq_ignore_ascii_case("package"));
    let Some((index, name)) = code.next().filter(|_| !is_package) else { return sql.to_owned() };
    // As in Liquibase, a dot in a quoted name counts, too.
    let qualified = match name.trim_end_matches('.').split('.').collect::<Vec<_>>()[..] {
        [] | [""] => return sql.to_owned(),
        [name] | [_, name] => format!("{schema}.{name}"),
        [catalog, _, name] => format!("{catalog}.{schema}.{name}"),
        _ => return sql.to_owned(),
    };
    format!("{}{qualified}{}", tokens[..index].concat(), tokens[index + 1..].concat())
}

pub(super) fn is_comment(token: &str) -> bool {
    token.starts_with("--") || token.starts_with("/*")
}

fn token_length(rest: &str, first: char) -> usize {
    // A comment, string or quoted name without an end is no token: its first character stands alone, and the text after it is split.
    match first {
        c if is_blank(c) => rest.len() - rest.trim_start_matches(is_blank).len(),
        '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
        '/' if rest.starts_with("/*") => rest[2..].find("*/").map_or(1, |end| end + 4),
        c => {
            let longest = name_length(rest).max(literal_length(rest)).max(number_length(rest));
            longest.unwrap_or(c.len_utf8())
        }
    }
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

/// The length of a name, which may have several parts with dots between them, and blanks around the dots.
fn name_length(rest: &str) -> Option<usize> {
    let mut length = name_part_length(rest)?;
    while let Some(next) = next_part(&rest[length..]) {
        length = rest.len() - next.len() + name_part_length(next)?;
    }
    Some(length)
}

/// The rest of the text from the next part of a name, if there is one.
fn next_part(rest: &str) -> Option<&str> {
    let blanks = [' ', '\t', '\r', '\n'];
    let part = rest.trim_start_matches(blanks).strip_prefix('.')?.trim_start_matches(blanks);
    name_part_length(part).map(|_| part)
}

fn name_part_length(rest: &str) -> Option<usize> {
    match rest.chars().next()? {
        quote @ ('"' | '`') => quoted_name_length(rest, quote),
        '[' => bracketed_length(rest),
        first => {
            let continues = |c: char| is_letter(c) || c.is_ascii_digit() || matches!(c, '#' | '@');
            is_letter(first).then(|| rest.len() - rest.trim_start_matches(continues).len())
        }
    }
}

/// Java sees a character above U+FFFF as two, which are no letters.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '_' | '$') || (('\u{c0}'..='\u{ffff}').contains(&c) && c.is_alphabetic())
}

/// The length of a string in either kind of quotes, with the prefix that it may have.
fn literal_length(rest: &str) -> Option<usize> {
    let prefix = |prefix: &&&str| rest.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    ["", "u", "e", "n", "r", "b", "rb", "_utf8"].iter().filter(prefix).find_map(|prefix| {
        let after = &rest[prefix.len()..];
        let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        Some(prefix.len() + quoted_length(after, quote)?)
    })
}

/// The length of a number with or without a fraction and an exponent.
fn number_length(rest: &str) -> Option<usize> {
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let whole = digits(rest);
    let fraction = rest[whole..].strip_prefix('.').map(|fraction| 1 + digits(fraction));
    let length = whole + fraction.filter(|length| whole > 0 || *length > 1).unwrap_or(0);
    if length == 0 {
        return None;
    }
    let exponent = rest[length..].strip_prefix(['e', 'E']).map_or(0, |exponent| {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        match digits(&exponent[sign..]) {
            0 => 0,
            digits => 1 + sign + digits,
        }
    });
    Some(length + exponent)
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

/// The length of a name in quotes or backticks; `None` if its line has no end of it, or if it is empty.
fn quoted_name_length(rest: &str, quote: char) -> Option<usize> {
    let end = rest[1..].find([quote, '\n'])? + 1;
    (end > 1 && rest[end..].starts_with(quote)).then_some(end + 1)
}

/// The length of a name in brackets; `None` if its line has no end of it, or if it is an index of an array. A line end may stand first.
fn bracketed_length(rest: &str) -> Option<usize> {
    let first = rest[1..].chars().next().filter(|c| !c.is_ascii_digit() && *c != ']')?;
    let start = 1 + first.len_utf8();
    let end = start + rest[start..].find([']', '\n'])?;
    rest[end..].starts_with(']').then_some(end + 1)
}
