//! Splits SQL text into statements, by the rules of Liquibase.
//!
//! Changelogs depend on these rules, including their limits: dollar quotes are not recognised, only BEGIN and END protect a `;`, and a `/`
//! inside a line never splits. A changelog that needs a `;` inside a statement sets `splitStatements="false"`.

use std::borrow::Cow;

use fancy_regex::{Regex, RegexBuilder};

use super::token::{is_comment, tokenize};

/// The limit of steps to match one delimiter.
const MAX_BACKTRACK_STEPS: usize = 10_000;

/// How to split SQL text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Splitting<'a> {
    /// Whether to split the text.
    pub(crate) split: bool,
    /// Whether to remove comments.
    pub(crate) strip_comments: bool,
    /// The end of a statement; by default `;`, and `go` or `/` on a line of its own. An empty one ends hardly any.
    pub(crate) delimiter: Option<&'a str>,
}

/// The statements in `sql`, trimmed, without their delimiters. Empty statements are removed.
pub(crate) fn split(sql: &str, rules: Splitting<'_>) -> Vec<String> {
    let sql = sql.replace('\r', "");
    let mut tokens = tokenize(&sql);
    if rules.strip_comments {
        tokens.retain(|token| !is_comment(token));
    }
    if !rules.split {
        return trimmed([tokens.concat()]);
    }
    match rules.delimiter.map(Delimiter::new) {
        None => trimmed(split_tokens(&tokens, ends_by_default)),
        Some(delimiter) => {
            let tokens = join_delimiter(&tokens, delimiter.text);
            let tokens: Vec<&str> = tokens.iter().map(|token| &**token).collect();
            trimmed(split_tokens(&tokens, |token, before| delimiter.ends(token, before)))
        }
    }
}

fn trimmed(pieces: impl IntoIterator<Item = String>) -> Vec<String> {
    // Java trims fewer characters than Rust.
    let trim = |piece: String| piece.trim_matches(|c: char| c <= ' ').to_owned();
    pieces.into_iter().map(trim).filter(|piece| !piece.is_empty()).collect()
}

/// Splits where `ends` accepts a token, with the one before it, as a delimiter, except between BEGIN and END.
fn split_tokens(tokens: &[&str], ends: impl Fn(&str, Option<&str>) -> bool) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().copied().enumerate() {
        let before = index.checked_sub(1).map(|index| tokens[index]);
        let next_is = |words: &[&str]| {
            let next = tokens[index + 1..].iter().find(|next| !is_blank(next));
            next.is_some_and(|next| words.iter().any(|word| next.eq_ignore_ascii_case(word)))
        };
        if token.eq_ignore_ascii_case("begin") && !next_is(TRANSACTION_WORDS) && !next_is(OTHER_BEGIN_WORDS) {
            depth += 1;
        } else if token.eq_ignore_ascii_case("end") && !next_is(TRANSACTION_WORDS) {
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

/// Words after BEGIN or END that make it a complete statement.
const TRANSACTION_WORDS: &[&str] = &["transaction", "trans", "tran"];
/// Further words after BEGIN that make it a complete statement.
const OTHER_BEGIN_WORDS: &[&str] = &["dialog", "conversation", "distributed"];

fn on_own_line(before: Option<&str>) -> bool {
    before.is_none_or(|before| before.ends_with('\n'))
}

fn ends_by_default(token: &str, before: Option<&str>) -> bool {
    token == ";" || (on_own_line(before) && (token == "/" || token.eq_ignore_ascii_case("go")))
}

/// The delimiter in a changelog.
struct Delimiter<'a> {
    text: &'a str,
    /// A delimiter that is not a single character is also a regular expression for a token together with the token before it.
    pattern: Option<Regex>,
}

impl<'a> Delimiter<'a> {
    fn new(text: &'a str) -> Self {
        let is_single = text.chars().count() == 1;
        // A delimiter that is not a valid expression is only compared as text. Liquibase puts the blanks into its first alternative.
        let whole = format!("\\A(?:[ \\t\\n\\x0B\\f\\r]*{})\\z", text.to_lowercase());
        let pattern =
            (!is_single).then(|| RegexBuilder::new(&whole).backtrack_limit(MAX_BACKTRACK_STEPS).build().ok()).flatten();
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
        // Before the first token Java has the word null.
        let both = format!("{}{token}", before.unwrap_or("null")).to_lowercase();
        // An expression that exceeds the limit of steps does not match.
        pattern.is_match(&both).unwrap_or(false)
    }
}

/// Joins neighbouring tokens that together are the delimiter, such as `//`.
///
/// As in Liquibase, a token that starts the delimiter is held back until the token behind it is read, also if it is the whole delimiter
/// (the first `;` of `;;` with the delimiter `;`). The second token is then no start of another delimiter, and what is held back at the
/// end of the text is lost, so that a delimiter there need not be on a line of its own.
fn join_delimiter<'t>(tokens: &[&'t str], delimiter: &str) -> Vec<Cow<'t, str>> {
    let mut out: Vec<Cow<'t, str>> = Vec::with_capacity(tokens.len());
    let mut held: Vec<&'t str> = Vec::new();
    for token in tokens.iter().copied() {
        let is_first = held.is_empty();
        held.push(token);
        let joined = held.concat();
        if joined == delimiter && !is_first {
            out.push(Cow::Owned(joined));
            held.clear();
        } else if !delimiter.starts_with(&joined) {
            out.extend(held.drain(..).map(Cow::Borrowed));
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
    use crate::recorded_text::unescaped;

    fn by(sql: &str, delimiter: Option<&str>) -> Vec<String> {
        split(sql, Splitting { split: true, strip_comments: false, delimiter })
    }

    #[test]
    fn statements_are_split_by_the_rules_of_liquibase() {
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

    /// What Liquibase 4.28.0 did: the text, whether comments are removed, the delimiter, and each statement in brackets.
    #[test]
    fn statements_are_those_that_liquibase_recorded() {
        let mut found = Vec::new();
        for line in include_str!("../../tests/data/split.tsv").lines() {
            let [sql, strip, delimiter, recorded] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let delimiter = unescaped(delimiter);
            let delimiter = (!delimiter.is_empty()).then_some(delimiter.as_str());
            let rules = Splitting { split: true, strip_comments: strip == "1", delimiter };
            let ours: String = split(&unescaped(sql), rules).iter().map(|statement| format!("[{statement}]")).collect();
            if ours != unescaped(recorded) {
                found.push(format!("{line}\n  {ours:?}"));
            }
        }
        assert!(found.is_empty(), "{} differ\n{}", found.len(), found.join("\n"));
    }

    #[test]
    fn comments_are_removed_on_request_and_unsplit_text_stays_one_statement() {
        let rules = Splitting { split: false, strip_comments: true, delimiter: None };
        assert_eq!(split("a; -- c\nb;", rules), ["a; \nb;"]);
        assert!(split("-- only a comment", rules).is_empty());
    }
}
