//! The parts of a type definition, by the rules of Liquibase's `DataTypeFactory`.

use super::error::DataTypeError;

/// Names of several words. All words of a text that begins with one of them are its name.
const LONG_NAMES: &[&str] =
    &["bit varying", "character varying", "long binary", "long varchar", "long varbinary", "long nvarchar"];

/// Pairs of quotes around a name.
const QUOTES: &[(char, char)] = &[('"', '"'), ('[', ']'), ('`', '`'), ('\'', '\'')];

/// A type definition and its parts.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    /// The whole definition, trimmed.
    pub(super) written: String,
    /// The name without quotes, in the case of the changelog.
    pub(super) name: String,
    pub(super) parameters: Vec<String>,
    /// The words behind the name and the parameters.
    pub(super) information: Option<String>,
    /// Whether the definition ended with the word `identity`.
    pub(super) is_identity: bool,
}

impl Definition {
    pub(super) fn parse(written: &str) -> Self {
        let whole = written.trim().to_owned();
        // An undefined property is the name.
        if is_undefined_property(written) {
            return Self {
                name: whole.clone(),
                written: whole,
                parameters: Vec::new(),
                information: None,
                is_identity: false,
            };
        }
        let without_parameters = without_properties(&without_parentheses(written));
        let lower = without_parameters.to_lowercase();
        let (unquoted, is_identity) = match lower.strip_suffix(" identity") {
            Some(rest) => (unquoted(rest), true),
            None => (unquoted(&without_parameters), false),
        };
        let (name, information) = name_and_information(&unquoted);
        Self { written: whole, name, parameters: parameters(written), information, is_identity }
    }

    /// Whether it is nothing but a property that has no value.
    fn is_undefined_property(&self) -> bool {
        is_undefined_property(&self.written)
    }

    /// Whether the definition begins with this word, in any case.
    pub(super) fn starts_with(&self, word: &str) -> bool {
        self.written.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
    }

    pub(super) fn is_interval(&self) -> bool {
        self.name.get(.."interval".len()).is_some_and(|start| start.eq_ignore_ascii_case("interval"))
    }

    /// The properties in braces, as in `int{autoIncrement:true}`.
    pub(super) fn properties(&self) -> Result<Vec<(&str, &str)>, DataTypeError> {
        let Some((_, rest)) = self.written.split_once('{').filter(|_| !self.is_undefined_property()) else {
            return Ok(Vec::new());
        };
        let inner = rest.split_once('}').map_or(rest, |(inner, _)| inner);
        let parts = inner.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts
            .map(|part| {
                part.split_once(':')
                    .ok_or_else(|| DataTypeError::EmbeddedInformation { definition: self.written.clone() })
            })
            .collect()
    }
}

fn is_undefined_property(written: &str) -> bool {
    written.starts_with("${") && written.ends_with('}')
}

/// Removes the text from the first opening to the last closing parenthesis, and the blanks before it.
fn without_parentheses(written: &str) -> String {
    match (written.find('('), written.rfind(')')) {
        (Some(start), Some(end)) if 0 < start && start < end => {
            format!("{}{}", written[..start].trim_end(), &written[end + 1..])
        }
        _ => written.to_owned(),
    }
}

/// Removes the text from the first opening brace, and the blanks before it.
fn without_properties(written: &str) -> String {
    match written.find('{') {
        Some(start) if start > 0 => written[..start].trim_end().to_owned(),
        _ => written.to_owned(),
    }
}

/// Removes quotes around the beginning of the text, if it has only one pair of them.
fn unquoted(written: &str) -> String {
    for (open, close) in QUOTES {
        let Some(rest) = written.strip_prefix(*open) else { continue };
        if let Some((inner, after)) = rest.split_once(*close)
            && !after.contains(*close)
        {
            return format!("{inner}{after}");
        }
    }
    written.to_owned()
}

fn name_and_information(written: &str) -> (String, Option<String>) {
    let lower = written.to_lowercase();
    if LONG_NAMES.iter().any(|name| lower.starts_with(name)) {
        return (written.to_owned(), None);
    }
    match written.trim().split_once(char::is_whitespace) {
        Some((name, information)) => (name.to_owned(), Some(information.trim_start().to_owned())),
        None => (written.trim().to_owned(), None),
    }
}

/// The texts between the first opening parenthesis and the first closing one after it.
fn parameters(written: &str) -> Vec<String> {
    let Some((name, rest)) = written.split_once('(') else { return Vec::new() };
    if name.is_empty() {
        return Vec::new();
    }
    let inner = rest.split_once(')').map_or(rest, |(inner, _)| inner);
    inner.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
