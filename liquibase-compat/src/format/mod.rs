//! Changelog syntaxes, chosen by the file's ending.
//!
//! Each syntax is one file with one function from bytes to [`Node`]; adding one is adding it to [`parse`].

mod data;
mod line;
mod scalar;
mod schema;
mod sql;
mod sql_lines;
mod xml;
mod yaml;

use crate::load_error::LoadError;
use crate::node::Node;

/// The syntaxes, each with the endings of its files.
const SYNTAXES: &[(Parse, &[&str])] =
    &[(xml::parse, &[".xml"]), (yaml::parse, &[".yaml", ".yml", ".json"]), (sql::parse, &[".sql"])];

type Parse = fn(&str, &str) -> Result<Node, LoadError>;

fn syntax(file: &str) -> Option<Parse> {
    let file = file.to_lowercase();
    SYNTAXES.iter().find(|(_, endings)| endings.iter().any(|ending| file.ends_with(ending))).map(|(parse, _)| *parse)
}

/// Whether the file's ending is that of a changelog, so that `includeAll` picks it up.
pub(crate) fn is_changelog(file: &str) -> bool {
    syntax(file).is_some()
}

/// Reads one changelog file into a tree.
///
/// # Errors
/// When the ending names no known syntax, or the file does not follow it.
pub(crate) fn parse(file: &str, bytes: &[u8]) -> Result<Node, LoadError> {
    let Some(parse) = syntax(file) else {
        return Err(LoadError::UnknownFormat { file: file.to_owned() });
    };
    let text = std::str::from_utf8(bytes).map_err(|error| LoadError::Syntax {
        file: file.to_owned(),
        line: line_at(bytes, error.valid_up_to()),
        column: 1,
        reason: "it is not UTF-8; save it as UTF-8".to_owned(),
    })?;
    parse(file, text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn line_at(bytes: &[u8], offset: usize) -> u32 {
    let lines = bytes.iter().take(offset).filter(|byte| **byte == b'\n').count();
    u32::try_from(lines).map_or(u32::MAX, |lines| lines.saturating_add(1))
}
