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

use crate::encoding::{self, XmlEncodingError};
use crate::load_error::LoadError;
use crate::node::Node;

/// The syntaxes with the suffixes of their files.
const SYNTAXES: &[(Parse, &[&str])] =
    &[(xml::parse, &[XML_SUFFIX]), (yaml::parse, &[".yaml", ".yml", ".json"]), (formatted_sql::parse, &[SQL_SUFFIX])];

const SQL_SUFFIX: &str = ".sql";
const XML_SUFFIX: &str = ".xml";

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
    parse(file, &decode(file, bytes)?)
}

/// Decodes the text of a file. Each syntax has its own rules, as in Liquibase.
fn decode(file: &str, bytes: &[u8]) -> Result<String, LoadError> {
    if is_formatted_sql(file) {
        return Ok(encoding::decode_marked(bytes));
    }
    let is_xml = file.to_lowercase().ends_with(XML_SUFFIX);
    let text = if is_xml {
        encoding::decode_xml(bytes)
    } else {
        encoding::decode_yaml(bytes).ok_or_else(|| XmlEncodingError::Other("UTF-8".to_owned()))
    };
    text.map_err(|error| {
        let reason = match error {
            XmlEncodingError::Unknown(label) => {
                format!("the encoding {label} is not known; use UTF-8, ISO-8859-1 or another one by its name")
            }
            XmlEncodingError::Other(name) => format!("it is not {name}; save it as {name}"),
        };
        let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
        LoadError::Syntax { file: file.to_owned(), line: line_at(bytes, valid), column: 1, reason }
    })
}

fn line_at(bytes: &[u8], offset: usize) -> u32 {
    let lines = bytes.iter().take(offset).filter(|byte| **byte == b'\n').count();
    u32::try_from(lines).map_or(u32::MAX, |lines| lines.saturating_add(1))
}
