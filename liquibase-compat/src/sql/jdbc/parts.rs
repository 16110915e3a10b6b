//! The statements that the driver finds in a text, each of which it sends on its own.

use std::ops::Range;

use crate::sql::quoted::quoted_end;

/// The keywords that decide which command a statement is. `BEGIN ATOMIC` counts only in one that creates something.
const COMMANDS: &[&str] = &["create", "alter", "update", "delete", "move", "select", "with", "insert"];

/// The parts of the text between semicolons outside of parentheses, without the semicolons. Blank parts are removed, and so is a blank end.
pub(super) fn parts(sql: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut words = Words::default();
    let (mut start, mut at) = (0, 0);
    let mut is_blank = true;
    // A closing parenthesis without an opening one ends the splitting, too.
    let mut depth = 0_i64;
    // The driver reads a word when it has seen the character behind it, so that a semicolon there comes first.
    let mut word = None;
    while let Some(c) = sql[at..].chars().next() {
        let quoted = quoted_end(sql, at);
        let behind = word.take();
        let mut length = c.len_utf8();
        match c {
            _ if quoted.is_some() => length = quoted.map_or(length, |end| end - at),
            ';' => {
                if depth == 0 && !words.is_in_atomic_body {
                    if !is_blank {
                        found.push(start..at);
                    }
                    (start, is_blank) = (at + 1, true);
                    words.command = None;
                }
            }
            c if is_word_start(c) => {
                let rest = &sql[at..];
                length = rest.len() - rest.trim_start_matches(is_word_part).len();
                word = Some(&rest[..length]);
            }
            c => depth += i64::from(c == '(') - i64::from(c == ')'),
        }
        behind.into_iter().for_each(|word| words.read(word));
        is_blank &= c == ';' || is_java_blank(c);
        at += length;
    }
    if !is_blank {
        found.push(start..sql.len());
    }
    found
}

/// What the keywords so far say.
#[derive(Default)]
struct Words {
    command: Option<&'static str>,
    is_behind_begin: bool,
    /// The driver does not recognise the end of such a body.
    is_in_atomic_body: bool,
}

impl Words {
    fn read(&mut self, word: &str) {
        match self.command {
            None => self.command = COMMANDS.iter().copied().find(|command| word.eq_ignore_ascii_case(command)),
            Some("create") => {
                self.is_in_atomic_body |= self.is_behind_begin && word.eq_ignore_ascii_case("atomic");
                self.is_behind_begin = word.eq_ignore_ascii_case("begin");
            }
            Some(_) => {}
        }
    }
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `Character.isWhitespace`.
fn is_java_blank(c: char) -> bool {
    matches!(c, '\u{1c}'..='\u{1f}')
        || (c.is_whitespace() && !matches!(c, '\u{85}' | '\u{a0}' | '\u{2007}' | '\u{202f}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        parts(sql).into_iter().map(|part| &sql[part]).collect()
    }

    #[test]
    fn semicolons_outside_of_quotes_and_parentheses_separate_statements() {
        for (sql, found) in [
            ("a; b", vec!["a", " b"]),
            (";; a ;\n; b;\t", vec![" a ", " b"]),
            ("", vec![]),
            (" ; ", vec![]),
            ("a '; ' \";\" $$;$$ /* ; */ b; -- c;", vec!["a '; ' \";\" $$;$$ /* ; */ b", " -- c;"]),
            ("a (b; c); d[e; f]", vec!["a (b; c)", " d[e", " f]"]),
            ("a ); b; c", vec!["a ); b; c"]),
            ("create function f() begin atomic a; end; b", vec!["create function f() begin atomic a; end; b"]),
            ("do begin atomic a; end", vec!["do begin atomic a", " end"]),
            ("create a begin b atomic; c", vec!["create a begin b atomic", " c"]),
            ("create f() begin atomic; a; end", vec!["create f() begin atomic", " a", " end"]),
        ] {
            assert_eq!(texts(sql), found, "{sql}");
        }
    }
}
