//! The syntaxes of changelog files, selected by the suffix of the file.
//!
//! Each syntax has one function that parses a text into a [`Node`]. To add a syntax, add it to [`SYNTAXES`].

mod document;
mod formatted_sql;
mod sql_directive;
mod sql_line;
mod xml;
mod xml_content;
mod xml_schema;
mod yaml;
mod yaml_scalar;

use crate::load_error::LoadError;
use crate::node::Node;

/// The syntaxes with the suffixes of their files.
const SYNTAXES: &[(Parse, &[&str])] =
    &[(xml::parse, &[".xml"]), (yaml::parse, &[".yaml", ".yml", ".json"]), (formatted_sql::parse, &[SQL_SUFFIX])];

const SQL_SUFFIX: &str = ".sql";

type Parse = fn(&str, &str) -> Result<Node, LoadError>;

fn syntax(file: &str) -> Option<Parse> {
    let file = file.to_lowercase();
    SYNTAXES.iter().find(|(_, suffixes)| suffixes.iter().any(|suffix| file.ends_with(suffix))).map(|(parse, _)| *parse)
}

/// Whether the file has the suffix of a changelog, so that `includeAll` includes it.
pub(crate) fn is_changelog(file: &str) -> bool {
    syntax(file).is_some()
}

/// Whether the file is read as formatted SQL.
pub(crate) fn is_formatted_sql(file: &str) -> bool {
    file.to_lowercase().ends_with(SQL_SUFFIX)
}

/// Parses one changelog file.
///
/// # Errors
/// When the suffix is unknown, or the file violates the syntax.
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
