//! From text to a tree, within limits: a file of a few lines can ask for more memory than there is (aliases of aliases).
//! No message quotes the file, which may hold passwords.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::{Entry, Kind, Node, Style};
use crate::cli::compose::error::ComposeError;

/// The longest file, in bytes.
pub(in crate::cli::compose) const MAX_FILE: usize = 1024 * 1024;
/// The most nodes of a document, those that aliases repeat counted each time.
const MAX_NODES: usize = 100_000;
/// The most text of a document, in bytes, counted in the same way.
const MAX_TEXT: usize = 8 * MAX_FILE;
/// How deep nodes may lie in one another.
const MAX_DEPTH: usize = 64;
/// The longest key, in bytes: YAML reads one of more than 1,024 characters as no key.
const MAX_KEY: usize = 1000;

/// Reads the one document of `text`.
///
/// # Errors
/// [`ComposeError::Yaml`] with the line and what is wrong there.
pub(in crate::cli::compose) fn read(text: &str) -> Result<Node, ComposeError> {
    if text.len() > MAX_FILE {
        return Err(wrong(1, "the file is longer than 1 MiB"));
    }
    let mut reader = Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0, text: 0 };
    let mut document = None;
    loop {
        let (event, span) = reader.event()?;
        match event {
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
            Event::StreamEnd => return document.ok_or_else(|| wrong(1, "the file is empty")),
            _ if document.is_some() => {
                return Err(wrong(line(&span), "a second document begins here; give one file for each"));
            }
            event => document = Some(reader.node(event, &span, 0)?),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    text: usize,
}

impl<'a> Reader<'a> {
    fn event(&mut self) -> Result<(Event<'a>, Span), ComposeError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(wrong(error.marker().line(), "this is not YAML")),
            None => Err(wrong(1, "this is not YAML")),
        }
    }

    /// The node that begins with `event`.
    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, ComposeError> {
        let line = line(span);
        if depth > MAX_DEPTH {
            return Err(wrong(line, "this lies deeper than 64 levels"));
        }
        let (kind, anchor, tag) = match event {
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| wrong(line, "an alias stands within what it stands for"))?;
                self.spend_again(&node, line)?;
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.spend(text.len(), line)?;
                (Kind::Scalar(text.into_owned(), style_of(style)), anchor, tag)
            }
            Event::SequenceStart(anchor, tag) => {
                self.spend(0, line)?;
                (self.sequence(depth)?, anchor, tag)
            }
            Event::MappingStart(anchor, tag) => {
                self.spend(0, line)?;
                (self.mapping(depth)?, anchor, tag)
            }
            _ => return Err(wrong(line, "this is not YAML")),
        };
        let tag = tag.map(|tag| written(&tag).ok_or_else(|| wrong(line, "this tag is not understood"))).transpose()?;
        let node = Node { kind, tag, line };
        if anchor != 0 {
            self.spend_again(&node, line)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn sequence(&mut self, depth: usize) -> Result<Kind, ComposeError> {
        let mut items = Vec::new();
        loop {
            match self.event()? {
                (Event::SequenceEnd, _) => return Ok(Kind::Sequence(items)),
                (event, span) => items.push(self.node(event, &span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Kind, ComposeError> {
        let (mut entries, mut names, mut merged) = (Vec::new(), HashSet::new(), Vec::new());
        loop {
            let key = match self.event()? {
                (Event::MappingEnd, _) => break,
                (event, span) => self.node(event, &span, depth + 1)?,
            };
            let (event, span) = self.event()?;
            let value = self.node(event, &span, depth + 1)?;
            let Some(name) = key.text() else { return Err(wrong(key.line, "a key that is not text")) };
            if name.len() > MAX_KEY {
                return Err(wrong(key.line, "a key longer than 1,000 bytes"));
            }
            if is_merge(&key) {
                merged.push(value);
            } else if !names.insert(name.to_owned()) {
                return Err(wrong(key.line, "a key that this mapping has already"));
            } else {
                entries.push(Entry { key, value });
            }
        }
        for value in merged {
            merge(value, &mut entries, &mut names)?;
        }
        Ok(Kind::Mapping(entries))
    }

    fn spend(&mut self, text: usize, line: usize) -> Result<(), ComposeError> {
        self.nodes += 1;
        self.text += text;
        if self.nodes > MAX_NODES || self.text > MAX_TEXT {
            return Err(wrong(
                line,
                "the file grows too large here: 100,000 values and 8 MiB of text are the most, with aliases resolved",
            ));
        }
        Ok(())
    }

    /// Counts a copy of `node`.
    fn spend_again(&mut self, node: &Node, line: usize) -> Result<(), ComposeError> {
        match &node.kind {
            Kind::Scalar(text, _) => self.spend(text.len(), line),
            Kind::Sequence(items) => {
                self.spend(0, line)?;
                items.iter().try_for_each(|item| self.spend_again(item, line))
            }
            Kind::Mapping(entries) => {
                self.spend(0, line)?;
                entries.iter().try_for_each(|entry| {
                    self.spend_again(&entry.key, line)?;
                    self.spend_again(&entry.value, line)
                })
            }
        }
    }
}

/// Adds what `<<:` brings and the mapping does not have itself; of several, the first wins.
///
/// Source: YAML's merge key type, <https://yaml.org/type/merge.html>.
fn merge(value: Node, entries: &mut Vec<Entry>, names: &mut HashSet<String>) -> Result<(), ComposeError> {
    match value.kind {
        Kind::Mapping(brought) => {
            for entry in brought {
                if names.insert(entry.name().to_owned()) {
                    entries.push(entry);
                }
            }
            Ok(())
        }
        Kind::Sequence(items) if items.iter().all(|item| matches!(item.kind, Kind::Mapping(_))) => {
            items.into_iter().try_for_each(|item| merge(item, entries, names))
        }
        _ => Err(wrong(value.line, "'<<' takes a mapping or a list of mappings")),
    }
}

fn is_merge(key: &Node) -> bool {
    matches!(&key.kind, Kind::Scalar(text, Style::Plain) if text == "<<")
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::SingleQuoted,
        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
        ScalarStyle::Literal | ScalarStyle::Folded => Style::Literal,
    }
}

/// The tag as it is written; none if it could not be read back.
fn written(tag: &Tag) -> Option<String> {
    let sound = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/,".contains(&byte));
    match tag.handle.as_str() {
        "!" if sound(&tag.suffix) => Some(format!("!{}", tag.suffix)),
        "tag:yaml.org,2002:" if sound(&tag.suffix) => Some(format!("!!{}", tag.suffix)),
        handle if sound(handle) && sound(&tag.suffix) => Some(format!("!<{handle}{}>", tag.suffix)),
        _ => None,
    }
}

fn line(span: &Span) -> usize {
    span.start.line()
}

fn wrong(line: usize, what: &'static str) -> ComposeError {
    ComposeError::Yaml { line, what }
}
