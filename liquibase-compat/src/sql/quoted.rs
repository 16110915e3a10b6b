//! The parts of SQL that are no code: literals, quoted names, comments and dollar-quoted text, as PostgreSQL reads them.

/// Whether the text ends in a comment that would include what is written behind it.
pub(crate) fn ends_in_line_comment(sql: &str) -> bool {
    let mut at = 0;
    while at < sql.len() {
        match quoted_end(sql, at) {
            Some(end) if end == sql.len() => return sql[at..].starts_with("--"),
            Some(end) => at = end,
            None => at += sql[at..].chars().next().map_or(1, char::len_utf8),
        }
    }
    false
}

/// The position behind the last character that is neither blank nor in a comment.
pub(crate) fn code_end(sql: &str) -> usize {
    let (mut at, mut code_end) = (0, 0);
    while let Some(c) = sql[at..].chars().next() {
        let end = quoted_end(sql, at);
        let is_code = match end {
            Some(_) => !sql[at..].starts_with("--") && !sql[at..].starts_with("/*"),
            None => !c.is_whitespace(),
        };
        at = end.unwrap_or(at + c.len_utf8());
        if is_code {
            code_end = at;
        }
    }
    code_end
}

/// Whether the text is one line that is a comment.
pub(crate) fn is_line_comment(sql: &str) -> bool {
    sql.starts_with("--") && !sql.contains(['\r', '\n'])
}

/// If a literal, a quoted name, a comment or a dollar-quoted text begins here, the position behind it.
pub(super) fn quoted_end(sql: &str, at: usize) -> Option<usize> {
    let rest = &sql[at..];
    let length = match rest.as_bytes().first()? {
        b'\'' => literal_length(rest, has_escape_prefix(&sql[..at])),
        b'"' => rest[1..].find('"').map(|length| length + 2),
        b'-' if rest.starts_with("--") => rest.find(['\r', '\n']),
        b'/' if rest.starts_with("/*") => comment_length(rest),
        b'$' => return dollar_quoted_end(sql, at),
        _ => return None,
    };
    Some(length.map_or(sql.len(), |length| at + length))
}

/// Whether the text before a literal ends with the E of `E'..'`.
fn has_escape_prefix(before: &str) -> bool {
    let name = before.strip_suffix(['e', 'E']);
    name.is_some_and(|before| before.ends_with(|c: char| !is_name_part(c)))
}

fn is_name_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii()
}

fn literal_length(rest: &str, has_escapes: bool) -> Option<usize> {
    if !has_escapes {
        return rest[1..].find('\'').map(|length| length + 2);
    }
    let mut chars = rest.char_indices().skip(1);
    while let Some((index, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '\'' => return Some(index + 1),
            _ => {}
        }
    }
    None
}

/// The length of a comment, which may contain comments.
fn comment_length(rest: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while at + 1 < rest.len() {
        match &rest.as_bytes()[at..at + 2] {
            b"/*" => {
                depth += 1;
                at += 2;
            }
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
    None
}

fn dollar_quoted_end(sql: &str, at: usize) -> Option<usize> {
    if sql[..at].ends_with(is_name_part) {
        return None;
    }
    let rest = &sql[at..];
    let tag = &rest[..=rest[1..].find('$')? + 1];
    let name = &tag[1..tag.len() - 1];
    let is_tag = !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii());
    if !is_tag {
        return None;
    }
    let content = &rest[tag.len()..];
    Some(content.find(tag).map_or(sql.len(), |length| at + 2 * tag.len() + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_ends_before_comments_and_blanks() {
        for (sql, code) in
            [("a; -- b\n/* c */ \n", "a;"), ("a '-- b' -- c", "a '-- b'"), ("-- a", ""), ("a /* b */ c", "a /* b */ c")]
        {
            assert_eq!(&sql[..code_end(sql)], code, "{sql}");
        }
    }

    #[test]
    fn a_comment_at_the_end_is_told_from_literals_that_look_like_one() {
        for sql in ["select 1 -- x", "-- x", "select '--' --", "select $$ $$ -- $$"] {
            assert!(ends_in_line_comment(sql), "{sql}");
        }
        for sql in [
            "select '-- x'",
            "select \"a--b\"",
            "select $a$ -- $a$",
            "select 1 /* -- */",
            "select 1 -- x\n+ 1",
            "select E'\\'--'",
        ] {
            assert!(!ends_in_line_comment(sql), "{sql}");
        }
    }
}
