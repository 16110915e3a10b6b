//! What the JDBC driver of PostgreSQL changes in a statement, because changelogs are written for it.
//!
//! Liquibase passes SQL text of a changelog through `Connection.nativeSQL` ([`native`]), which replaces JDBC escapes such as
//! `{ts '2026-01-31 10:00:00'}`, `??` with `?`, and a single `?` with a parameter. The driver then replaces `??` in every statement that it
//! executes ([`executed`]), and escapes unless the statement contains a question mark anywhere, because Liquibase says so. In a query
//! ([`queried`]) both are replaced. Literals, quoted names, comments and dollar-quoted text stay as they are.
//!
//! The driver splits a text into statements, too ([`sent`]): each is parsed when those before it have run, and the position in an error is that in
//! its own text. `nativeSQL` joins them again, so that empty ones and the last semicolon are lost.

mod function;
mod parts;

use std::borrow::Cow;

use function::call;
use parts::parts;

use super::quoted::quoted_end;

/// The limit of escapes inside each other. An argument may occur twice in what replaces an escape, so the text could grow without it.
const MAX_ESCAPE_DEPTH: usize = 4;

/// Each kind of escape: its keyword, whether a name may begin after it, other characters that may, and what replaces it.
const ESCAPES: &[(&str, bool, &[char], &str)] = &[
    ("d", false, &['\''], "DATE "),
    ("t", false, &['\''], "TIME "),
    ("ts", false, &['\''], "TIMESTAMP "),
    (FUNCTION, true, &['"'], ""),
    ("oj", true, &['"', '('], ""),
    ("escape", false, &['\''], "ESCAPE "),
];

/// The keyword of an escape that is a function call.
const FUNCTION: &str = "fn";

/// A statement of a changelog's SQL text after `Connection.nativeSQL`. Liquibase trims it again.
pub(crate) fn native(sql: &str) -> Cow<'_, str> {
    let escaped = with_escapes_replaced(sql);
    if !escaped.contains(['?', ';']) {
        return escaped;
    }
    let native: Vec<String> = parts(&escaped).into_iter().map(|part| with_parameters(&escaped[part])).collect();
    Cow::Owned(native.join(";").trim_matches(|c: char| c <= ' ').to_owned())
}

/// The texts that reach the server for a statement, one after the other.
pub(crate) fn sent(sql: &str) -> Vec<Cow<'_, str>> {
    match executed(sql) {
        whole if !whole.contains(';') => vec![whole],
        Cow::Borrowed(whole) => parts(whole).into_iter().map(|part| Cow::Borrowed(&whole[part])).collect(),
        Cow::Owned(whole) => parts(&whole).into_iter().map(|part| Cow::Owned(whole[part].to_owned())).collect(),
    }
}

/// The statement that reaches the server.
pub(crate) fn executed(sql: &str) -> Cow<'_, str> {
    if sql.contains('?') { with_marks_replaced(Cow::Borrowed(sql)) } else { with_escapes_replaced(sql) }
}

/// The query that reaches the server.
pub(crate) fn queried(sql: &str) -> Cow<'_, str> {
    with_marks_replaced(with_escapes_replaced(sql))
}

fn with_escapes_replaced(sql: &str) -> Cow<'_, str> {
    if sql.contains('{') { Cow::Owned(without_escapes(sql)) } else { Cow::Borrowed(sql) }
}

fn with_marks_replaced(sql: Cow<'_, str>) -> Cow<'_, str> {
    if sql.contains("??") { Cow::Owned(with_single_marks(&sql)) } else { sql }
}

/// Replaces `??` with `?`, and a single `?` with the next parameter.
fn with_parameters(sql: &str) -> String {
    let mut parameters = 0;
    replace_outside_of_quotes(sql, |rest, out| {
        if rest.starts_with("??") {
            out.push('?');
            return 2;
        }
        if rest.starts_with('?') {
            parameters += 1;
            out.push_str(&format!("${parameters}"));
            return 1;
        }
        0
    })
}

fn with_single_marks(sql: &str) -> String {
    replace_outside_of_quotes(sql, |rest, out| {
        if rest.starts_with("??") {
            out.push('?');
            return 2;
        }
        0
    })
}

/// Copies the text. At each position outside of quotes and comments `replace` may write something else; it returns the number of bytes that
/// it replaced.
fn replace_outside_of_quotes(sql: &str, mut replace: impl FnMut(&str, &mut String) -> usize) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut at = 0;
    while at < sql.len() {
        if let Some(end) = quoted_end(sql, at) {
            out.push_str(&sql[at..end]);
            at = end;
            continue;
        }
        match replace(&sql[at..], &mut out) {
            0 => at += push_char(sql, at, &mut out),
            replaced => at += replaced,
        }
    }
    out
}

/// Copies one character. Returns its length.
fn push_char(sql: &str, at: usize, out: &mut String) -> usize {
    let Some(c) = sql[at..].chars().next() else { return 1 };
    out.push(c);
    c.len_utf8()
}

fn without_escapes(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut at = 0;
    while at < sql.len() {
        at = copy_code(sql, at, &mut out, false, 0);
        // A closing parenthesis without an opening one does not end the text.
        if at < sql.len() {
            at += push_char(sql, at, &mut out);
        }
    }
    out
}

/// Copies SQL up to its end, a closing parenthesis without an opening one, or a comma if `is_argument`. Returns the position of the end.
fn copy_code(sql: &str, start: usize, out: &mut String, is_argument: bool, depth: usize) -> usize {
    let mut at = start;
    let mut parentheses = 0_usize;
    while at < sql.len() {
        if let Some(end) = quoted_end(sql, at) {
            out.push_str(&sql[at..end]);
            at = end;
            continue;
        }
        match sql.as_bytes()[at] {
            b'(' => parentheses += 1,
            b')' if parentheses == 0 => return at,
            b')' => parentheses -= 1,
            b',' if is_argument && parentheses == 0 => return at,
            b'{' if depth < MAX_ESCAPE_DEPTH => {
                if let Some(end) = replace_escape(sql, at, out, depth) {
                    at = end;
                    continue;
                }
            }
            _ => {}
        }
        at += push_char(sql, at, out);
    }
    at
}

/// Writes what replaces the escape at this opening brace. Returns the position behind it; `None` if it is no escape.
fn replace_escape(sql: &str, brace: usize, out: &mut String, depth: usize) -> Option<usize> {
    let rest = &sql[brace + 1..];
    for (keyword, before_name, before, replacement) in ESCAPES {
        let Some(after) = rest.get(..keyword.len()).filter(|word| word.eq_ignore_ascii_case(keyword)) else { continue };
        let inner = rest[after.len()..].trim_start_matches(' ');
        if !inner.starts_with(|c: char| before.contains(&c) || (*before_name && c.is_alphabetic())) {
            continue;
        }
        let start = sql.len() - inner.len();
        if *keyword == FUNCTION {
            return replace_function(sql, start, out, depth);
        }
        out.push_str(replacement);
        let end = sql[start..].find('}').map_or(sql.len(), |length| start + length);
        out.push_str(&sql[start..end]);
        return Some((end + 1).min(sql.len()));
    }
    None
}

/// Writes what replaces `name(arguments)}`. Returns the position behind it; `None` if the function has other arguments.
fn replace_function(sql: &str, start: usize, out: &mut String, depth: usize) -> Option<usize> {
    let open = start + sql[start..].find(['(', '{', '}']).filter(|length| sql[start + length..].starts_with('('))?;
    let mut arguments: Vec<String> = Vec::new();
    let mut at = open + 1;
    loop {
        let mut argument = String::new();
        let end = copy_code(sql, at, &mut argument, true, depth + 1);
        if end > at {
            arguments.push(argument);
        }
        at = end;
        if !sql[at..].starts_with(',') {
            break;
        }
        at += 1;
    }
    out.push_str(&call(sql[start..open].trim(), &arguments)?);
    // The text between the parenthesis and the brace stays.
    let rest = sql.get(at + 1..).unwrap_or_default();
    let end = rest.find('}').unwrap_or(rest.len());
    out.push_str(&rest[..end]);
    Some((at + 1 + end + 1).min(sql.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_marks_are_replaced_outside_of_quotes_and_comments() {
        for (sql, native_sql) in [
            ("select a ?? 'k'", "select a ? 'k'"),
            ("select a ? 'k', b ? 'l'; select c ? 'm'", "select a $1 'k', b $2 'l'; select c $1 'm'"),
            ("select '??', \"a??\", $$??$$, $t$??$t$ -- ??\n/* ?? /* ?? */ ?? */", ""),
            ("select E'\\'??', '\\', a ?? b", "select E'\\'??', '\\', a ? b"),
            ("select a$1$ ?? b", "select a$1$ ? b"),
            ("select '?? without an end", ""),
        ] {
            assert_eq!(native(sql), if native_sql.is_empty() { sql } else { native_sql });
        }
        assert_eq!(executed("select a ? b ?? c ??? d"), "select a ? b ? c ?? d");
        assert_eq!(executed("select '?', {d '2020-01-02'}"), "select '?', {d '2020-01-02'}");
        assert_eq!(queried("select a ?? b, {d '2020-01-02'}"), "select a ? b, DATE '2020-01-02'");
        assert_eq!(native("select a ?? b, {d '2020-01-02'}"), "select a ? b, DATE '2020-01-02'");
    }

    #[test]
    fn escapes_are_replaced_outside_of_quotes_and_comments() {
        for (sql, replaced) in [
            ("select {d '2020-01-02'}, {t '10:11:12'}", "select DATE '2020-01-02', TIME '10:11:12'"),
            ("select {ts '2020-01-02 10:11:12'} + 1", "select TIMESTAMP '2020-01-02 10:11:12' + 1"),
            ("select {TS'2020-01-02'}", "select TIMESTAMP '2020-01-02'"),
            ("select * from {oj a left join b on a.x = b.x}", "select * from a left join b on a.x = b.x"),
            ("x like 'a' {escape '!'}", "x like 'a' ESCAPE '!'"),
            ("select {fn concat('a', {fn ucase(b)})}", "select ('a'|| upper(b))"),
            ("select {fn locate('a', b)}, {fn now()}", "select position('a' in  b), now()"),
            ("select '{d ''x''}', $${d 'x'}$$ -- {d 'x'}", ""),
            ("select {x 'y'}, {d 5}, {fn left(a)}, ) {", ""),
        ] {
            assert_eq!(executed(sql), if replaced.is_empty() { sql } else { replaced });
        }
    }

    #[test]
    fn nested_escapes_do_not_let_the_text_grow_without_a_limit() {
        let nested = format!("{}a{}", "{fn right(".repeat(40), ", 1)}".repeat(40));
        assert!(executed(&nested).len() < 20_000);
    }
}
