//! What an element may hold, and what it does hold.
//!
//! A change type declares its fields as a table of [`Field`]; [`read`] turns a node into an [`Object`] by that table. The same
//! object feeds the SQL, the checksum and the description, so each field is written down once. Values keep the spelling
//! of the changelog, because checksums are made of it.

use crate::attachment::Attachment;
use crate::load_error::{LoadError, Location};
use crate::node::Node;

/// How a field is written in a changelog and what it is read into.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FieldKind {
    /// A string, also numbers: an attribute, or a child element's text.
    Text,
    /// A string that may also be the element's own text.
    Body,
    /// True for `true` in any case, else false.
    Flag,
    /// A number as it is spelled; what is none goes to the field named here as an SQL expression.
    Number(&'static str),
    /// A date, time or timestamp; what is none goes to the field named here as an SQL expression.
    Date(&'static str),
    /// Child elements `column`, each with these fields.
    Columns(&'static [Field]),
    /// One child element of the field's name, with these fields.
    Nested(&'static [Field]),
    /// One child element of the field's name, which holds any number of elements `each` with these fields.
    Items { each: &'static str, fields: &'static [Field] },
    /// Child elements of the field's name, each with these fields.
    Repeated(&'static [Field]),
    /// A string that names a file; its content is attached later (`attachment.rs`).
    File,
}

/// One field of a change, column or constraint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: FieldKind,
    pub(crate) required: bool,
    /// The value that Liquibase's own reader sets when there is none; it counts in checksums.
    pub(crate) initial: Option<&'static str>,
}

impl Field {
    const fn of(name: &'static str, kind: FieldKind) -> Self {
        Self { name, kind, required: false, initial: None }
    }

    /// An optional string.
    pub(crate) const fn text(name: &'static str) -> Self {
        Self::of(name, FieldKind::Text)
    }

    /// An optional string, or the element's text.
    pub(crate) const fn body(name: &'static str) -> Self {
        Self::of(name, FieldKind::Body)
    }

    /// An optional boolean.
    pub(crate) const fn flag(name: &'static str) -> Self {
        Self::of(name, FieldKind::Flag)
    }

    /// An optional number, or an expression for `computed`.
    pub(crate) const fn number(name: &'static str, computed: &'static str) -> Self {
        Self::of(name, FieldKind::Number(computed))
    }

    /// An optional date, or an expression for `computed`.
    pub(crate) const fn date(name: &'static str, computed: &'static str) -> Self {
        Self::of(name, FieldKind::Date(computed))
    }

    /// A list of columns.
    pub(crate) const fn columns(fields: &'static [Self]) -> Self {
        Self::of("columns", FieldKind::Columns(fields))
    }

    /// One nested object.
    pub(crate) const fn nested(name: &'static str, fields: &'static [Self]) -> Self {
        Self::of(name, FieldKind::Nested(fields))
    }

    /// An optional file.
    pub(crate) const fn file(name: &'static str) -> Self {
        Self::of(name, FieldKind::File)
    }

    /// An element around elements of one kind.
    pub(crate) const fn items(name: &'static str, each: &'static str, fields: &'static [Self]) -> Self {
        Self::of(name, FieldKind::Items { each, fields })
    }

    /// Elements of one name.
    pub(crate) const fn repeated(name: &'static str, fields: &'static [Self]) -> Self {
        Self::of(name, FieldKind::Repeated(fields))
    }

    /// The same field, with the value it has when none is given.
    pub(crate) const fn initially(mut self, value: &'static str) -> Self {
        self.initial = Some(value);
        self
    }

    /// The same field, which validation asks for.
    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// As spelled.
    Text(String),
    /// A boolean.
    Flag(bool),
    /// Columns, in document order.
    List(Vec<Object>),
    /// Constraints.
    Nested(Object),
}

/// The fields an element has, in document order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) fields: Vec<(&'static str, Value)>,
    /// What stands in the files that fields name, by field; a file that cannot be had is the message that says so.
    pub(crate) attached: Vec<(&'static str, Result<Attachment, String>)>,
}

impl Object {
    fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// A string field, as spelled.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A string field, none if it is empty.
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// A string field that validation has asked for; empty if it is missing all the same.
    pub(crate) fn required(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    /// A boolean field.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name) {
            Some(Value::Flag(flag)) => Some(*flag),
            _ => None,
        }
    }

    /// Whether a boolean field is there and true.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.flag(name) == Some(true)
    }

    /// The columns.
    pub(crate) fn columns(&self) -> &[Self] {
        self.list("columns")
    }

    /// The objects of a list; none if it is missing.
    pub(crate) fn list(&self, name: &str) -> &[Self] {
        match self.get(name) {
            Some(Value::List(list)) => list,
            _ => &[],
        }
    }

    /// The file that a field names; none if it names none, the message if it cannot be had.
    pub(crate) fn file(&self, name: &str) -> Option<Result<&Attachment, &str>> {
        let (_, found) = self.attached.iter().find(|(key, _)| *key == name)?;
        Some(found.as_ref().map_err(String::as_str))
    }

    /// A nested object.
    pub(crate) fn nested(&self, name: &str) -> Option<&Self> {
        match self.get(name) {
            Some(Value::Nested(object)) => Some(object),
            _ => None,
        }
    }
}

/// Reads the fields of `node` by the table `fields`.
///
/// # Errors
/// When it holds an attribute or element that the table does not know.
pub(crate) fn read(node: &Node, fields: &'static [Field], at: &Location) -> Result<Object, LoadError> {
    let at = Location { line: node.line, ..at.clone() };
    let mut object = Object::default();
    for (name, value) in &node.attributes {
        let Some(field) = scalar(node, fields, name) else {
            if node.lenient {
                left_out(name, node, &at);
                continue;
            }
            return Err(LoadError::UnknownAttribute {
                at: at.into(),
                name: name.clone(),
                element: node.name.clone(),
                known: known(fields),
            });
        };
        set_scalar(&mut object, field, value);
    }
    for child in &node.children {
        read_child(&mut object, node, child, fields, &at)?;
    }
    if let Some(text) = &node.text {
        match fields.iter().find(|field| matches!(field.kind, FieldKind::Body)) {
            Some(body) => set(&mut object, body.name, Value::Text(text.clone())),
            None if node.lenient => left_out("text", node, &at),
            None => return Err(unknown_element(at, "text", node, fields)),
        }
    }
    if fields.iter().any(|field| matches!(field.kind, FieldKind::Columns(_)) && field.required)
        && object.get("columns").is_none()
    {
        set(&mut object, "columns", Value::List(Vec::new()));
    }
    for field in fields {
        if let (Some(initial), None) = (field.initial, object.get(field.name)) {
            set_scalar(&mut object, field, initial);
        }
    }
    Ok(object)
}

fn read_child(
    object: &mut Object,
    node: &Node,
    child: &Node,
    fields: &'static [Field],
    at: &Location,
) -> Result<(), LoadError> {
    for field in fields {
        match field.kind {
            FieldKind::Columns(columns) if child.name == "column" => {
                push(object, field.name, read(child, columns, at)?);
                return Ok(());
            }
            FieldKind::Repeated(fields) if child.name == field.name => {
                push(object, field.name, read(child, fields, at)?);
                return Ok(());
            }
            FieldKind::Items { each, fields } if child.name == field.name => {
                let items = child.children.iter().filter(|item| item.name == each);
                let items = items.map(|item| read(item, fields, at)).collect::<Result<_, _>>()?;
                set(object, field.name, Value::List(items));
                return Ok(());
            }
            FieldKind::Nested(nested) if child.name == field.name => {
                let value = read(child, nested, at)?;
                set(object, field.name, Value::Nested(value));
                return Ok(());
            }
            _ => {}
        }
    }
    match scalar(node, fields, &child.name) {
        Some(field) => {
            set_scalar(object, field, child.text.as_deref().unwrap_or_default());
            Ok(())
        }
        None if node.lenient => {
            left_out(&child.name, node, at);
            Ok(())
        }
        None => {
            let at = Location { line: child.line, ..at.clone() };
            Err(unknown_element(at, &child.name, node, fields))
        }
    }
}

/// Liquibase does not look at what it does not know in YAML and JSON.
fn left_out(name: &str, node: &Node, at: &Location) {
    tracing::warn!(place = %at, element = node.name, name, "not known here; it is left out");
}

/// Adds to a list, which is made when it gets its first.
fn push(object: &mut Object, name: &'static str, item: Object) {
    match object.fields.iter_mut().find(|(key, _)| *key == name) {
        Some((_, Value::List(list))) => list.push(item),
        _ => object.fields.push((name, Value::List(vec![item]))),
    }
}

fn scalar(node: &Node, fields: &'static [Field], name: &str) -> Option<&'static Field> {
    let structured = |field: &Field| {
        use FieldKind::{Columns, Items, Nested, Repeated};
        matches!(field.kind, Columns(_) | Nested(_) | Items { .. } | Repeated(_))
    };
    fields.iter().find(|field| node.is_called(name, field.name) && !structured(field))
}

fn unknown_element(at: Location, name: &str, node: &Node, fields: &[Field]) -> LoadError {
    LoadError::UnknownElement { at: at.into(), name: name.to_owned(), parent: node.name.clone(), known: known(fields) }
}

fn known(fields: &[Field]) -> String {
    if fields.is_empty() {
        return "none".to_owned();
    }
    fields.iter().map(|field| field.name).collect::<Vec<_>>().join(", ")
}

/// Gives a field its value, whatever it had before.
pub(crate) fn set(object: &mut Object, name: &'static str, value: Value) {
    object.fields.retain(|(key, _)| *key != name);
    object.fields.push((name, value));
}

fn set_scalar(object: &mut Object, field: &Field, text: &str) {
    match field.kind {
        FieldKind::Flag => set(object, field.name, Value::Flag(text.eq_ignore_ascii_case("true"))),
        FieldKind::Number(computed) => set_number(object, field.name, computed, text),
        FieldKind::Date(computed) => {
            let name = if is_date(text) { field.name } else { computed };
            set(object, name, Value::Text(date_text(text)));
        }
        _ => set(object, field.name, Value::Text(text.to_owned())),
    }
}

/// A number is kept as it is spelled if one can be read from its start; `null` is no value at all.
fn set_number(object: &mut Object, name: &'static str, computed: &'static str, text: &str) {
    if text.eq_ignore_ascii_case("null") {
        return;
    }
    if text.eq_ignore_ascii_case("GENERATED_BY_DEFAULT") {
        return set(object, "autoIncrement", Value::Flag(true));
    }
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text);
    let name = if is_number(inner) { name } else { computed };
    set(object, name, Value::Text(inner.to_owned()));
}

/// Whether a number can be read from the start of the text.
pub(crate) fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let digits = digits.strip_prefix('.').unwrap_or(digits);
    digits.starts_with(|c: char| c.is_ascii_digit())
}

/// `yyyy-MM-dd`, `HH:mm:ss`, or both with `T` or a blank between and an optional fraction.
pub(crate) fn is_date(text: &str) -> bool {
    let date = |text: &str| shape(text, "dddd-dd-dd");
    let time = |text: &str| shape(text, "dd:dd:dd");
    if date(text) || time(text) {
        return true;
    }
    let (Some(day), Some(rest)) = (text.get(..10), text.get(10..)) else {
        return false;
    };
    let Some(clock) = rest.strip_prefix(['T', ' ']) else {
        return false;
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    date(day) && time(clock) && !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

fn shape(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(byte, kind)| match kind {
            b'd' => byte.is_ascii_digit(),
            other => byte == other,
        })
}

/// The spelling that checksums use: `T` between date and time, no trailing zeros in the fraction.
fn date_text(text: &str) -> String {
    if text.len() <= 10 || !is_date(text) {
        return text.to_owned();
    }
    let text = text.replacen(' ', "T", 1);
    match text.split_once('.') {
        Some((seconds, fraction)) => match fraction.trim_end_matches('0') {
            "" => seconds.to_owned(),
            fraction => format!("{seconds}.{fraction}"),
        },
        None => text,
    }
}
