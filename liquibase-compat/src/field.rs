//! The declared fields of elements.
//!
//! A change type declares its fields as a table of [`Field`]; [`read`] reads an element into [`Fields`] by that table. The declaration is
//! the only place that names the fields of a type: SQL, checksum and description are computed from the values.

use crate::fields::{FieldValue, Fields};
use crate::load_error::{LoadError, Location};
use crate::node::Node;
use crate::scalar::{is_date, is_number, normalise_date, whole_number};

/// How a field is written in a changelog, and what it is read into.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FieldKind {
    /// Text or a number: an attribute, or the text of a child element.
    Text,
    /// As `Text`, or the text of the element itself.
    ElementText,
    /// True for `true` in any case, else false.
    Flag,
    /// A number as written. Other text is an SQL expression and is stored in the field with this name.
    Number(&'static str),
    /// A whole number of any size. Other text is refused.
    Integer,
    /// A date, time or timestamp. Other text is an SQL expression and is stored in the field with this name.
    Date(&'static str),
    /// Child elements `column`, each with these fields.
    Columns(&'static [Field]),
    /// One child element with the field's name and these fields.
    Nested(&'static [Field]),
    /// One child element with the field's name, which contains any number of elements `each` with these fields.
    Items { each: &'static str, fields: &'static [Field] },
    /// Child elements with the field's name, each with these fields.
    Repeated(&'static [Field]),
    /// The path of a file. `external_file.rs` reads the file later.
    File,
    /// The name of a file that is no text.
    BinaryFile,
}

/// One field of a change, column or constraint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: FieldKind,
    /// Validation reports a problem if the field is missing.
    pub(crate) required: bool,
    /// The default that Liquibase sets when it reads the element. It is therefore part of checksums.
    pub(crate) initial: Option<&'static str>,
}

impl Field {
    const fn of(name: &'static str, kind: FieldKind) -> Self {
        Self { name, kind, required: false, initial: None }
    }

    /// A text field.
    pub(crate) const fn text(name: &'static str) -> Self {
        Self::of(name, FieldKind::Text)
    }

    /// A text field that may also be the element's own text.
    pub(crate) const fn element_text(name: &'static str) -> Self {
        Self::of(name, FieldKind::ElementText)
    }

    /// A boolean field.
    pub(crate) const fn flag(name: &'static str) -> Self {
        Self::of(name, FieldKind::Flag)
    }

    /// A number, or an expression for the field `computed`.
    pub(crate) const fn number(name: &'static str, computed: &'static str) -> Self {
        Self::of(name, FieldKind::Number(computed))
    }

    /// A whole number.
    pub(crate) const fn integer(name: &'static str) -> Self {
        Self::of(name, FieldKind::Integer)
    }

    /// A date, or an expression for the field `computed`.
    pub(crate) const fn date(name: &'static str, computed: &'static str) -> Self {
        Self::of(name, FieldKind::Date(computed))
    }

    /// The list of columns.
    pub(crate) const fn columns(fields: &'static [Self]) -> Self {
        Self::of("columns", FieldKind::Columns(fields))
    }

    /// One nested element.
    pub(crate) const fn nested(name: &'static str, fields: &'static [Self]) -> Self {
        Self::of(name, FieldKind::Nested(fields))
    }

    /// The path of a file.
    pub(crate) const fn file(name: &'static str) -> Self {
        Self::of(name, FieldKind::File)
    }

    /// The name of a file that is no text.
    pub(crate) const fn binary_file(name: &'static str) -> Self {
        Self::of(name, FieldKind::BinaryFile)
    }

    /// An element that contains a list of elements.
    pub(crate) const fn items(name: &'static str, each: &'static str, fields: &'static [Self]) -> Self {
        Self::of(name, FieldKind::Items { each, fields })
    }

    /// An element that may occur several times.
    pub(crate) const fn repeated(name: &'static str, fields: &'static [Self]) -> Self {
        Self::of(name, FieldKind::Repeated(fields))
    }

    /// Adds a default value.
    pub(crate) const fn initially(mut self, value: &'static str) -> Self {
        self.initial = Some(value);
        self
    }

    /// Makes validation require the field.
    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Whether the field contains elements instead of a scalar.
    const fn has_elements(&self) -> bool {
        use FieldKind::{Columns, Items, Nested, Repeated};
        matches!(self.kind, Columns(_) | Nested(_) | Items { .. } | Repeated(_))
    }
}

/// Reads the fields of `node` that are `declared`.
///
/// # Errors
/// When the node has an attribute or child element that is not declared, or a value that is not possible. In YAML and JSON, which have no
/// schema, an attribute that is not declared is ignored with a warning.
pub(crate) fn read(node: &Node, declared: &'static [Field], at: &Location) -> Result<Fields, LoadError> {
    let at = Location { line: node.line, ..at.clone() };
    let mut fields = Fields::default();
    node.check_repeated(&at, declared.iter().map(|field| field.name))?;
    for (name, value) in &node.attributes {
        let Some(field) = scalar_field(node, declared, name) else {
            if node.lenient || node.allows_any_attribute {
                warn_ignored(name, node, &at);
                continue;
            }
            return Err(LoadError::UnknownAttribute {
                at: at.into(),
                name: name.clone(),
                element: node.name.clone(),
                known: names(declared),
            });
        };
        set_scalar(&mut fields, field, value, node, &at)?;
    }
    for child in &node.children {
        read_child(&mut fields, node, child, declared, &at)?;
    }
    if let Some(text) = &node.text {
        match declared.iter().find(|field| matches!(field.kind, FieldKind::ElementText)) {
            Some(field) => fields.set(field.name, FieldValue::Text(text.clone())),
            None if node.lenient => warn_ignored("text", node, &at),
            None => return Err(unknown_element(at, "text", node, declared)),
        }
    }
    if declared.iter().any(|field| matches!(field.kind, FieldKind::Columns(_)) && field.required)
        && fields.get("columns").is_none()
    {
        fields.set("columns", FieldValue::List(Vec::new()));
    }
    for field in declared {
        if let (Some(initial), None) = (field.initial, fields.get(field.name)) {
            set_scalar(&mut fields, field, initial, node, &at)?;
        }
    }
    Ok(fields)
}

fn read_child(
    fields: &mut Fields,
    node: &Node,
    child: &Node,
    declared: &'static [Field],
    at: &Location,
) -> Result<(), LoadError> {
    for field in declared {
        match field.kind {
            FieldKind::Columns(inner) if child.name == "column" => {
                check_column(child, inner, at)?;
                fields.push(field.name, read(child, inner, at)?);
                return Ok(());
            }
            FieldKind::Repeated(inner) if child.name == field.name => {
                fields.push(field.name, read(child, inner, at)?);
                return Ok(());
            }
            FieldKind::Items { each, fields: inner } if child.name == field.name => {
                let items = child.children.iter().filter(|item| item.name == each);
                let items = items.map(|item| read(item, inner, at)).collect::<Result<_, _>>()?;
                fields.set(field.name, FieldValue::List(items));
                return Ok(());
            }
            FieldKind::Nested(inner) if child.name == field.name => {
                let value = read(child, inner, at)?;
                fields.set(field.name, FieldValue::Nested(value));
                return Ok(());
            }
            _ => {}
        }
    }
    match scalar_field(node, declared, &child.name) {
        // An element without text is absent in XML.
        Some(_) if !node.lenient && child.text.as_deref().is_none_or(|text| text.trim().is_empty()) => Ok(()),
        Some(field) => set_scalar(fields, field, child.text.as_deref().unwrap_or_default(), node, at),
        None if node.lenient => {
            warn_ignored(&child.name, node, at);
            Ok(())
        }
        None => {
            let at = Location { line: child.line, ..at.clone() };
            Err(unknown_element(at, &child.name, node, declared))
        }
    }
}

/// Liquibase refuses unknown and repeated keys of a column, also in YAML and JSON. Only the case of their first letter is free.
fn check_column(column: &Node, declared: &[Field], at: &Location) -> Result<(), LoadError> {
    let at = || Location { line: column.line, ..at.clone() };
    let children = column.children.iter().map(|child| &child.name);
    let mut seen: Vec<&String> = Vec::new();
    let is_seen = |seen: &[&String], name: &str| seen.iter().any(|other| other.eq_ignore_ascii_case(name));
    for name in column.attributes.iter().map(|(name, _)| name).chain(children) {
        if !declared.iter().any(|field| is_property(name, field.name)) {
            return Err(LoadError::UnknownAttribute {
                at: at().into(),
                name: name.clone(),
                element: column.name.clone(),
                known: names(declared),
            });
        }
        if is_seen(&seen, name) {
            return Err(LoadError::Repeated { at: at().into(), name: name.clone(), element: column.name.clone() });
        }
        seen.push(name);
    }
    Ok(())
}

/// Whether a key is the name of a property in Java, where only the case of the first letter is free.
fn is_property(key: &str, name: &str) -> bool {
    let tail = |text: &str| text.chars().skip(1).collect::<String>();
    key.eq_ignore_ascii_case(name) && tail(key) == tail(name)
}

/// Liquibase ignores unknown keys in YAML and JSON.
fn warn_ignored(name: &str, node: &Node, at: &Location) {
    tracing::warn!(place = %at, element = node.name, name, "not known here; it is left out");
}

fn scalar_field(node: &Node, declared: &'static [Field], name: &str) -> Option<&'static Field> {
    declared.iter().find(|field| node.is_called(name, field.name) && !field.has_elements())
}

fn unknown_element(at: Location, name: &str, node: &Node, declared: &[Field]) -> LoadError {
    LoadError::UnknownElement {
        at: at.into(),
        name: name.to_owned(),
        parent: node.name.clone(),
        known: names(declared),
    }
}

fn names(declared: &[Field]) -> String {
    if declared.is_empty() {
        return "none".to_owned();
    }
    declared.iter().map(|field| field.name).collect::<Vec<_>>().join(", ")
}

fn set_scalar(fields: &mut Fields, field: &Field, text: &str, node: &Node, at: &Location) -> Result<(), LoadError> {
    match field.kind {
        FieldKind::Integer => {
            let number = whole_number(text).ok_or_else(|| LoadError::BadValue {
                at: at.clone().into(),
                element: node.name.clone(),
                name: field.name.to_owned(),
                value: text.to_owned(),
                allowed: "a whole number".to_owned(),
            })?;
            fields.set(field.name, FieldValue::Text(number));
        }
        FieldKind::Flag => fields.set(field.name, FieldValue::Flag(text.eq_ignore_ascii_case("true"))),
        FieldKind::Number(computed) => set_number(fields, field.name, computed, text),
        FieldKind::Date(computed) => {
            let name = if is_date(text) { field.name } else { computed };
            fields.set(name, FieldValue::Text(normalise_date(text)));
        }
        _ => fields.set(field.name, FieldValue::Text(text.to_owned())),
    }
    Ok(())
}

/// Liquibase treats `null` as absent and `GENERATED_BY_DEFAULT` as an identity, and removes one pair of parentheses.
fn set_number(fields: &mut Fields, name: &'static str, computed: &'static str, text: &str) {
    if text.eq_ignore_ascii_case("null") {
        return;
    }
    if text.eq_ignore_ascii_case("GENERATED_BY_DEFAULT") {
        return fields.set("autoIncrement", FieldValue::Flag(true));
    }
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text);
    let name = if is_number(inner) { name } else { computed };
    fields.set(name, FieldValue::Text(inner.to_owned()));
}
