//! A YAML document as a tree of texts with their positions.
//!
//! Policy: nothing is guessed. A scalar stays the text that was written, with the knowledge whether it was quoted. Features that
//! a configuration does not need (aliases, tags, a second document, a duplicate key) are errors with their position. The depth
//! is limited here and the size by the caller, so reading takes time in proportion to the length of the document.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Marker, Options, Parser, ScalarStyle, ScanError, StrInput, Tag, options};

/// Sections contain keys, keys contain values. More depth is never needed; a little more gives better messages.
const MAX_DEPTH: usize = 8;

/// A position in a document; both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// A value with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub position: Position,
    /// Its content.
    pub content: Content,
}

/// The content of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Empty, `~` or `null`.
    Null,
    /// A text.
    Scalar {
        /// What was written, quotes and escapes resolved.
        text: String,
        /// Written without quotes.
        plain: bool,
    },
    /// Keys and values, in their order.
    Mapping(Vec<Entry>),
    /// A list.
    Sequence(Vec<Node>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub position: Position,
    /// Its value.
    pub value: Node,
}

/// A document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct Error {
    /// Where reading ended.
    pub position: Position,
    /// Why, and what to do.
    pub kind: ErrorKind,
}

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// Not YAML, or nested too deeply.
    #[error("not valid YAML: {0}; correct the line (its indentation, or a text that needs quotes?)")]
    Syntax(String),
    /// `*name` or `<<`
    #[error(
        "aliases and merge keys are not supported; write the value itself (a text that begins with * needs quotes)"
    )]
    Alias,
    /// `!something`
    #[error("the tag {0} is not supported; write the plain value")]
    Tag(String),
    /// A key that is a list or a mapping.
    #[error("a key must be a word; a value that begins with {{ or [ needs quotes")]
    Key,
    /// A key given twice in one mapping.
    #[error("the key {key} is given a second time, first in line {first}; keep one")]
    Duplicate {
        /// The key.
        key: String,
        /// The line of the first.
        first: usize,
    },
    /// `---` again.
    #[error("a second document begins here; a configuration must be one document")]
    SecondDocument,
}

/// Reads a document. An empty one is [`Content::Null`].
pub fn parse(text: &str) -> Result<Node, Error> {
    let limits: Options = options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut reader = Reader { parser: Parser::new_from_str_with_options(text, limits) };
    reader.document()
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Node, Error> {
        let mut root = None;
        loop {
            let (event, position) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => return Err(error(position, ErrorKind::SecondDocument)),
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, position)?),
            }
        }
        Ok(root.unwrap_or(Node { position: Position { line: 1, column: 1 }, content: Content::Null }))
    }

    /// Completes the value that begins with this event. Recursion is bounded by the parser's nesting limits.
    fn node(&mut self, event: Event<'a>, position: Position) -> Result<Node, Error> {
        check_tag(event.tag(), position)?;
        let content = match event {
            Event::Scalar(text, style, _, _) => scalar(text, style),
            Event::MappingStart(..) => self.mapping()?,
            Event::SequenceStart(..) => self.sequence()?,
            _ => return Err(error(position, ErrorKind::Alias)),
        };
        Ok(Node { position, content })
    }

    fn mapping(&mut self) -> Result<Content, Error> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut lines: HashMap<String, usize> = HashMap::new();
        loop {
            let (event, position) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(Content::Mapping(entries)),
                Event::Scalar(text, style, ..) if text == "<<" && style == ScalarStyle::Plain => {
                    return Err(error(position, ErrorKind::Alias));
                }
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(error(position, ErrorKind::Key)),
            };
            if let Some(first) = lines.insert(key.clone(), position.line) {
                return Err(error(position, ErrorKind::Duplicate { key, first }));
            }
            let (event, value_place) = self.next()?;
            entries.push(Entry { key, position, value: self.node(event, value_place)? });
        }
    }

    fn sequence(&mut self) -> Result<Content, Error> {
        let mut items = Vec::new();
        loop {
            let (event, position) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Content::Sequence(items));
            }
            items.push(self.node(event, position)?);
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Position), Error> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, position(&span.start))),
            Some(Err(error)) => Err(syntax(&error)),
            // The parser ends every stream with StreamEnd, after which nothing more is read.
            None => Ok((Event::StreamEnd, Position { line: 1, column: 1 })),
        }
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> Content {
    let plain = style == ScalarStyle::Plain;
    if plain && ["", "~", "null", "Null", "NULL"].contains(&&*text) {
        return Content::Null;
    }
    Content::Scalar { text: text.into_owned(), plain }
}

/// Tags of YAML itself, such as `!!str`, are ignored, because the key determines the type; other tags are errors.
fn check_tag(tag: Option<&Tag>, position: Position) -> Result<(), Error> {
    match tag {
        Some(tag) if tag.is_custom() => Err(error(position, ErrorKind::Tag(tag.original()))),
        _ => Ok(()),
    }
}

fn syntax(cause: &ScanError) -> Error {
    error(position(cause.marker()), ErrorKind::Syntax(cause.info()))
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

fn error(position: Position, kind: ErrorKind) -> Error {
    Error { position, kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> (ErrorKind, usize) {
        let error = parse(text).unwrap_err();
        (error.kind, error.position.line)
    }

    #[test]
    fn texts_keep_their_spelling_and_position() {
        let root = parse("a:\n  port: 05432\n  name: \"5\"\n  none:\n").unwrap();
        let Content::Mapping(sections) = root.content else { panic!("{root:?}") };
        let Content::Mapping(keys) = &sections[0].value.content else { panic!("{sections:?}") };
        assert_eq!(keys[0].value.content, Content::Scalar { text: "05432".to_owned(), plain: true });
        assert_eq!(keys[0].value.position, Position { line: 2, column: 9 });
        assert_eq!(keys[1].value.content, Content::Scalar { text: "5".to_owned(), plain: false });
        assert_eq!(keys[2].value.content, Content::Null);
    }

    #[test]
    fn flow_style_is_read() {
        let root = parse("redis: { host: h, port: 6379, password: \"\" }").unwrap();
        let Content::Mapping(sections) = root.content else { panic!("{root:?}") };
        assert!(matches!(&sections[0].value.content, Content::Mapping(keys) if keys.len() == 3));
    }

    #[test]
    fn features_that_a_configuration_does_not_need_are_errors() {
        assert_eq!(reason("a: &x 1\nb: *x\n"), (ErrorKind::Alias, 2));
        assert_eq!(reason("password: *secret\n"), (ErrorKind::Alias, 1));
        assert_eq!(reason("a: {}\nb:\n  <<: {}\n"), (ErrorKind::Alias, 3));
        assert_eq!(reason("a: !env X\n"), (ErrorKind::Tag("!env".to_owned()), 1));
        assert_eq!(reason("a: 1\na: 2\n"), (ErrorKind::Duplicate { key: "a".to_owned(), first: 1 }, 2));
        assert_eq!(reason("a: 1\n---\nb: 2\n").0, ErrorKind::SecondDocument);
        assert_eq!(reason("a: {{ value }}\n").0, ErrorKind::Key);
        assert!(matches!(reason("a: 1\n b: 2\n"), (ErrorKind::Syntax(_), _)));
        assert!(matches!(reason(&"[".repeat(100_000)), (ErrorKind::Syntax(_), 1)));
    }

    #[test]
    fn an_empty_document_has_no_content() {
        for text in ["", "# only a comment\n", "---\n", "~"] {
            assert_eq!(parse(text).unwrap().content, Content::Null, "{text:?}");
        }
    }
}
