//! The global objects of a server (roles and their memberships), from the script of `pg_dumpall --globals-only`.
//!
//! Policy: each statement is executed by itself, and an error is reported, except that a role which exists is kept. The superuser of the cluster is the
//! appliance's own: what the script says about it is left out, or the appliance would lose its login.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::Error;

/// The superuser of every managed cluster.
const SUPERUSER: &str = "postgres";

/// Executes the script.
pub(super) async fn apply(client: &Client, script: &str) -> Result<(), Error> {
    for statement in statements(script) {
        if is_about_superuser(statement) {
            continue;
        }
        match client.batch_execute(statement).await {
            Err(error)
                if error.code() == Some(&SqlState::DUPLICATE_OBJECT) && statement.starts_with("CREATE ROLE ") => {}
            Err(source) => return Err(Error::Globals { statement: first_words(statement), source }),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Whether a statement makes or changes the superuser itself.
fn is_about_superuser(statement: &str) -> bool {
    ["CREATE ROLE ", "ALTER ROLE "]
        .iter()
        .any(|words| statement.strip_prefix(words).is_some_and(|rest| rest.split([' ', ';']).next() == Some(SUPERUSER)))
}

/// The first three words; the rest may have the verifier of a password.
fn first_words(statement: &str) -> String {
    statement.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// The statements of a script, without comments and without the commands of psql, which begin with a backslash.
fn statements(script: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = script;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return found;
        }
        if rest.starts_with("--") || rest.starts_with('\\') {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
            continue;
        }
        let end = statement_end(rest);
        found.push(rest[..end].trim_end_matches(';'));
        rest = &rest[end..];
    }
}

/// The position after the semicolon that ends the first statement; semicolons in quotes do not.
fn statement_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut quote = None;
    let mut has_escapes = false;
    let mut position = 0;
    while position < bytes.len() {
        let byte = bytes[position];
        match quote {
            None if byte == b';' => return position + 1,
            None if byte == b'\'' || byte == b'"' => {
                has_escapes = byte == b'\'' && position > 0 && bytes[position - 1] == b'E';
                quote = Some(byte);
            }
            // The next character belongs to the text, also if it is a quote.
            Some(_) if has_escapes && byte == b'\\' => position += 1,
            // A doubled quote ends the text and begins it again.
            Some(mark) if byte == mark => quote = None,
            _ => {}
        }
        position += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_outside_of_quotes() {
        let script = "--\n-- Roles; all of them\n--\n\\restrict abc\nSET x = on;\n\nCREATE ROLE \"a;b\";\n\
            ALTER ROLE c SET d TO 'it''s; fine', E'x\\';y';\nGRANT a TO b\n";
        let expected =
            ["SET x = on", "CREATE ROLE \"a;b\"", "ALTER ROLE c SET d TO 'it''s; fine', E'x\\';y'", "GRANT a TO b\n"];
        assert_eq!(statements(script), expected);
    }

    #[test]
    fn the_superuser_stays_as_it_is() {
        assert!(is_about_superuser("CREATE ROLE postgres"));
        assert!(is_about_superuser("ALTER ROLE postgres WITH SUPERUSER"));
        for other in
            ["CREATE ROLE postgres2", "ALTER ROLE \"postgres x\" SET a TO b", "GRANT a TO b GRANTED BY postgres"]
        {
            assert!(!is_about_superuser(other), "{other}");
        }
        assert_eq!(first_words("ALTER ROLE a WITH PASSWORD 'secret'"), "ALTER ROLE a");
    }
}
