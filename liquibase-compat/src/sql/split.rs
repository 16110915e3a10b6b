//! Cutting raw SQL into statements, as Liquibase cuts it.
//!
//! The rules are Liquibase's, odd as they are, because a changelog was written against them: dollar quotes are not known, only a
//! depth of BEGIN and END protects a `;`, and an inline `/` never splits. Whoever needs a `;` inside of a statement says
//! `splitStatements="false"`.

use std::borrow::Cow;

use fancy_regex::{Regex, RegexBuilder};

use super::token::{is_comment, tokenize};

/// The most steps that deciding on one token may take.
const MAX_STEPS: usize = 10_000;

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
    match how.delimiter.map(Delimiter::new) {
        None => trimmed(cut(&tokens, ends_by_default)),
        Some(delimiter) => {
            let tokens = merged(&tokens, delimiter.text);
            let tokens: Vec<&str> = tokens.iter().map(|token| &**token).collect();
            trimmed(cut(&tokens, |token, before| delimiter.ends(token, before)))
        }
    }
}

fn trimmed(pieces: impl IntoIterator<Item = String>) -> Vec<String> {
    // What Java trims: not every blank that Unicode knows.
    let trim = |piece: String| piece.trim_matches(|c: char| c <= ' ').to_owned();
    pieces.into_iter().map(trim).filter(|piece| !piece.is_empty()).collect()
}

/// Cuts where `ends` says that a token, with the one before it, is a delimiter, except between BEGIN and END.
fn cut(tokens: &[&str], ends: impl Fn(&str, Option<&str>) -> bool) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().copied().enumerate() {
        let before = index.checked_sub(1).map(|index| tokens[index]);
        let next_is = |words: &[&str]| {
            let next = tokens[index + 1..].iter().find(|next| !is_blank(next));
            next.is_some_and(|next| words.iter().any(|word| next.eq_ignore_ascii_case(word)))
        };
        if token.eq_ignore_ascii_case("begin") && !next_is(TRANSACTIONS) && !next_is(OTHER_BEGINNINGS) {
            depth += 1;
        } else if token.eq_ignore_ascii_case("end") && !next_is(TRANSACTIONS) {
            depth = depth.saturating_sub(1);
        }
        if depth == 0 && ends(token, before) {
            pieces.push(String::new());
        } else if let Some(last) = pieces.last_mut() {
            last.push_str(token);
        }
    }
    pieces
}

/// After BEGIN or END these make it a statement of its own.
const TRANSACTIONS: &[&str] = &["transaction", "trans", "tran"];
/// After BEGIN these do, too.
const OTHER_BEGINNINGS: &[&str] = &["dialog", "conversation", "distributed"];

fn on_own_line(before: Option<&str>) -> bool {
    before.is_none_or(|before| before.ends_with('\n'))
}

fn ends_by_default(token: &str, before: Option<&str>) -> bool {
    token == ";" || (on_own_line(before) && (token == "/" || token.eq_ignore_ascii_case("go")))
}

/// A delimiter that the changelog names.
struct Delimiter<'a> {
    text: &'a str,
    /// A longer one is also an expression for a token and the one before it, after any blanks.
    pattern: Option<Regex>,
}

impl<'a> Delimiter<'a> {
    fn new(text: &'a str) -> Self {
        let longer = text.chars().nth(1).is_some();
        // What is no expression is a mere text.
        let whole = format!("\\A\\s*(?:{})\\z", text.to_lowercase());
        let pattern = longer.then(|| RegexBuilder::new(&whole).backtrack_limit(MAX_STEPS).build().ok()).flatten();
        Self { text, pattern }
    }

    fn ends(&self, token: &str, before: Option<&str>) -> bool {
        if self.text == "/" && !on_own_line(before) {
            return false;
        }
        if token.eq_ignore_ascii_case(self.text) {
            return true;
        }
        let Some(pattern) = &self.pattern else { return false };
        let both = format!("{}{token}", before.unwrap_or_default()).to_lowercase();
        // An expression that takes too long to decide does not match.
        pattern.is_match(&both).unwrap_or(false)
    }
}

/// Joins neighbouring tokens that together spell a longer delimiter, such as `//`.
fn merged<'t>(tokens: &[&'t str], delimiter: &str) -> Vec<Cow<'t, str>> {
    let mut out: Vec<Cow<'t, str>> = Vec::with_capacity(tokens.len());
    // How many of the last tokens in `out` begin the delimiter.
    let mut started = 0;
    for token in tokens {
        out.push(Cow::Borrowed(token));
        started += 1;
        let joined = out[out.len() - started..].concat();
        if joined == delimiter {
            out.truncate(out.len() - started);
            out.push(Cow::Owned(joined));
            started = 0;
        } else if !delimiter.starts_with(&joined) {
            started = 0;
        }
    }
    out
}

fn is_blank(token: &str) -> bool {
    token.trim().is_empty()
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
            ("a\nGO\nb go\nc", Some("\\ngo"), vec!["a", "b go\nc"]),
            ("a\n/\nb", Some("\n/$"), vec!["a", "b"]),
            ("a ## b # c", Some("##"), vec!["a", "b # c"]),
            ("a; begin b; end transaction; c; end; d", None, vec!["a", "begin b; end transaction; c; end", "d"]),
            ("a (b", Some("(("), vec!["a (b"]),
            ("a *[ b", Some("*["), vec!["a", "b"]),
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
