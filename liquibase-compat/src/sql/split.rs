//! Cutting raw SQL into statements, as Liquibase cuts it.
//!
//! The rules are Liquibase's, odd as they are, because a changelog was written against them: dollar quotes are not known, only a
//! depth of BEGIN and END protects a `;`, and an inline `/` never splits. Whoever needs a `;` inside of a statement says
//! `splitStatements="false"`.

/// How raw SQL is to be cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Splitting<'a> {
    /// Cut at all.
    pub(crate) split: bool,
    /// Leave comments out.
    pub(crate) strip_comments: bool,
    /// What ends a statement; by default `;`, and `go` or `/` on a line of their own.
    pub(crate) delimiter: Option<&'a str>,
}

/// The statements in `sql`, trimmed, without delimiters and empty ones.
pub(crate) fn split(sql: &str, how: Splitting<'_>) -> Vec<String> {
    let sql = sql.replace('\r', "");
    let mut tokens = tokenize(&sql);
    if how.strip_comments {
        tokens.retain(|token| !is_comment(token));
    }
    if !how.split {
        return trimmed([tokens.concat()]);
    }
    if let Some(delimiter) = how.delimiter {
        tokens = merged(tokens, delimiter);
    }
    trimmed(cut(&tokens, how.delimiter))
}

fn trimmed(pieces: impl IntoIterator<Item = String>) -> Vec<String> {
    pieces.into_iter().map(|piece| piece.trim().to_owned()).filter(|piece| !piece.is_empty()).collect()
}

fn cut(tokens: &[String], delimiter: Option<&str>) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| tokens.get(index)).map(String::as_str);
        let transaction = tokens[index + 1..].iter().find(|next| !is_blank(next)).is_some_and(|next| {
            let words = ["transaction", "tran", "trans", "dialog", "conversation", "distributed"];
            words.contains(&next.to_lowercase().as_str())
        });
        match token.to_lowercase().as_str() {
            "begin" if !transaction => depth += 1,
            "end" if !transaction => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && ends(token, before, delimiter) {
            pieces.push(String::new());
        } else if let Some(last) = pieces.last_mut() {
            last.push_str(token);
        }
    }
    pieces
}

fn ends(token: &str, before: Option<&str>, delimiter: Option<&str>) -> bool {
    let own_line = before.is_none_or(|before| before.ends_with('\n'));
    match delimiter {
        None => token == ";" || (own_line && (token == "/" || token.eq_ignore_ascii_case("go"))),
        Some("/") => token == "/" && own_line,
        Some(delimiter) => token.eq_ignore_ascii_case(delimiter),
    }
}

/// Joins neighbouring tokens that together spell a longer delimiter, such as `//`.
fn merged(tokens: Vec<String>, delimiter: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.into_iter().peekable();
    while let Some(mut token) = rest.next() {
        while token.len() < delimiter.len()
            && starts(delimiter, &token)
            && let Some(next) = rest.next_if(|next| starts(delimiter, &format!("{token}{next}")))
        {
            token.push_str(&next);
        }
        out.push(token);
    }
    out
}

fn starts(delimiter: &str, text: &str) -> bool {
    delimiter.to_lowercase().starts_with(&text.to_lowercase())
}

fn is_comment(token: &str) -> bool {
    token.starts_with("--") || token.starts_with("/*")
}

fn is_blank(token: &str) -> bool {
    token.trim().is_empty()
}

/// Blanks, comments, strings, numbers and names as wholes, every other character alone. Together they are the text.
fn tokenize(sql: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = token_length(rest, first);
        tokens.push(rest[..length].to_owned());
        rest = &rest[length..];
    }
    tokens
}

fn token_length(rest: &str, first: char) -> usize {
    let run = |belongs: fn(char) -> bool| rest.find(|c| !belongs(c)).unwrap_or(rest.len());
    match first {
        c if c.is_whitespace() => run(char::is_whitespace),
        '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
        '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
        '\'' | '"' => quoted_length(rest, first),
        c if is_name(c) => run(|c| is_name(c) || c == '.'),
        c => c.len_utf8(),
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '#' | '@')
}

/// The length of a quoted token; a doubled or backslashed quote does not end it, the end of the text does.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn by(sql: &str, delimiter: Option<&str>) -> Vec<String> {
        split(sql, Splitting { split: true, strip_comments: false, delimiter })
    }

    #[test]
    fn statements_are_cut_as_liquibase_cuts_them() {
        for (sql, delimiter, statements) in [
            ("a; b;\n;c", None, vec!["a", "b", "c"]),
            ("insert 'x;y'; \"a;b\"", None, vec!["insert 'x;y'", "\"a;b\""]),
            ("select 'it''s; ok'; b", None, vec!["select 'it''s; ok'", "b"]),
            ("a -- no; cut\n; b", None, vec!["a -- no; cut", "b"]),
            ("a /* no; */; b", None, vec!["a /* no; */", "b"]),
            ("do $$ begin a; b; end $$; c", None, vec!["do $$ begin a; b; end $$", "c"]),
            ("$$a;b$$", None, vec!["$$a", "b$$"]),
            ("begin transaction; a; end transaction;", None, vec!["begin transaction", "a", "end transaction"]),
            ("a\ngo\nb\n/\nc / d", None, vec!["a", "b", "c / d"]),
            ("a;b//c", Some("//"), vec!["a;b", "c"]),
            ("a / b", Some("/"), vec!["a / b"]),
            ("a\n/\nb", Some("/"), vec!["a", "b"]),
        ] {
            assert_eq!(by(sql, delimiter), statements, "{sql}");
        }
    }

    #[test]
    fn comments_are_stripped_on_demand_and_one_piece_stays_one() {
        let how = Splitting { split: false, strip_comments: true, delimiter: None };
        assert_eq!(split("a; -- c\nb;", how), ["a; \nb;"]);
        assert!(split("-- only a comment", how).is_empty());
    }
}
