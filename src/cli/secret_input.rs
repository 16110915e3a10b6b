//! Passwords from a terminal or a file.
//!
//! Policy: a password is never an argument, which every user of the machine can read, and never echoed.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::error::Error;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// Asks twice for a new password.
///
/// # Errors
/// When there is no terminal, or the answers differ.
pub fn from_terminal() -> Result<String, Error> {
    let ask = |prompt: &str| rpassword::prompt_password(prompt).map_err(Error::Terminal);
    let password = ask("New password: ")?;
    match ask("New password, again: ")? == password {
        true => Ok(password),
        false => Err(Error::PasswordsDiffer),
    }
}

/// Reads a password from a file; one newline at its end is not a part of it.
///
/// # Errors
/// When the file cannot be read, is not text, or has more than 64 KiB.
pub fn from_file(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::PasswordFile { path: path.to_owned(), source };
    // The length of a device or a pipe is not known before it is read.
    let mut text = String::new();
    File::open(path).map_err(failed)?.take(MAX_FILE + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE {
        return Err(failed(std::io::Error::from(std::io::ErrorKind::FileTooLarge)));
    }
    Ok(without_newline(&text).to_owned())
}

fn without_newline(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_final_newline_is_dropped() {
        for (text, password) in [("a\n", "a"), ("a\r\n", "a"), ("a", "a"), ("a\n\n", "a\n"), ("a \n", "a "), ("", "")] {
            assert_eq!(without_newline(text), password);
        }
    }

    #[test]
    fn a_file_without_an_end_is_refused() {
        assert!(from_file(Path::new("/dev/zero")).is_err());
    }
}
