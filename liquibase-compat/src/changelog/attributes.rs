//! Reads attributes that several elements of a changelog have.

use crate::expression;
use crate::load_error::{LoadError, Location};
use crate::node::Node;
use crate::sql::Quoting;

/// A required attribute, which must not be empty.
pub(super) fn needed<'n>(node: &'n Node, name: &str, at: &Location) -> Result<&'n str, LoadError> {
    node.attribute(name).filter(|value| !value.is_empty()).ok_or_else(|| LoadError::Missing {
        at: at.clone().into(),
        element: node.name.clone(),
        name: name.to_owned(),
    })
}

/// A boolean attribute: true for `true` in any case, and false for every other value. What XML allows is checked before; a property
/// without a value remains.
pub(super) fn boolean(node: &Node, name: &str, default: bool) -> bool {
    match node.attribute(name) {
        None | Some("") => default,
        Some(value) => value.eq_ignore_ascii_case("true"),
    }
}

/// The attribute `ignore` of an include, which is a string in the schema: true for `true` in any case.
pub(super) fn is_ignored(node: &Node) -> bool {
    node.attribute("ignore").is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

pub(super) fn bad_value(node: &Node, name: &str, value: &str, allowed: &str, at: &Location) -> LoadError {
    LoadError::BadValue {
        at: at.clone().into(),
        element: node.name.clone(),
        name: name.to_owned(),
        value: value.to_owned(),
        allowed: allowed.to_owned(),
    }
}

/// The context expression of an element.
pub(super) fn context(node: &Node) -> Option<String> {
    let written = node.attribute("contextFilter").or_else(|| node.attribute("context"));
    written.map(str::trim).filter(|text| !expression::list(text).is_empty()).map(str::to_owned)
}

/// The labels of an element.
pub(super) fn labels(node: &Node) -> Option<String> {
    node.attribute("labels").filter(|text| !expression::list(text).is_empty()).map(str::to_owned)
}

/// The quoting strategy of an element, or the `inherited` one.
pub(super) fn quoting(node: &Node, inherited: Quoting, at: &Location) -> Result<Quoting, LoadError> {
    match node.attribute("objectQuotingStrategy") {
        None => Ok(inherited),
        Some(name) => Quoting::named(name).ok_or_else(|| {
            bad_value(node, "objectQuotingStrategy", name, "LEGACY, QUOTE_ALL_OBJECTS, QUOTE_ONLY_RESERVED_WORDS", at)
        }),
    }
}
