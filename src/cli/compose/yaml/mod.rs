//! YAML as a tree that keeps the order of keys, the style of each scalar and every tag, so that what is not ours is
//! written back as it was. Aliases and merge keys are resolved, comments are lost. No I/O; no node can be shown.

mod read;
mod write;

pub(super) use read::{MAX_FILE, read};
pub(super) use write::write;

/// A value of a document.
#[derive(Clone)]
pub(super) struct Node {
    /// What it is.
    pub(super) kind: Kind,
    /// Its tag as it is written, such as `!reset`.
    pub(super) tag: Option<String>,
    /// The line that it begins at, from 1; 0 for what we have made.
    pub(super) line: usize,
}

/// What a node is.
#[derive(Clone)]
pub(super) enum Kind {
    /// Text, a number, a truth value, or (plain and empty) nothing.
    Scalar(String, Style),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys, each once and each with its value, in order.
    Mapping(Vec<Entry>),
}

/// How a scalar is written: a plain one may be a number, the others are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Literal,
}

/// One key of a mapping.
#[derive(Clone)]
pub(super) struct Entry {
    /// A scalar.
    pub(super) key: Node,
    /// What it has.
    pub(super) value: Node,
}

impl Entry {
    /// The key's text.
    pub(super) fn name(&self) -> &str {
        self.key.text().unwrap_or_default()
    }

    /// A key and a value of ours.
    pub(super) fn new(name: &str, value: Node) -> Self {
        Self { key: Node::plain(name), value }
    }
}

impl Node {
    /// Text of ours that no parser takes for anything else.
    pub(super) fn plain(text: &str) -> Self {
        Self::of(Kind::Scalar(text.to_owned(), Style::Plain))
    }

    /// Text of ours in quotes.
    pub(super) fn quoted(text: &str) -> Self {
        Self::of(Kind::Scalar(text.to_owned(), Style::DoubleQuoted))
    }

    /// A node of ours.
    pub(super) fn of(kind: Kind) -> Self {
        Self { kind, tag: None, line: 0 }
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    /// Whether it is nothing: `key:`, `~` or `null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(text, Style::Plain) if ["", "~", "null", "Null", "NULL"].contains(&text.as_str()))
    }

    /// The keys of a mapping; none for nothing.
    pub(super) fn entries(&self) -> Option<&[Entry]> {
        match &self.kind {
            Kind::Mapping(entries) => Some(entries),
            _ if self.is_null() => Some(&[]),
            _ => None,
        }
    }

    /// The items of a sequence; none for nothing.
    pub(super) fn items(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::Sequence(items) => Some(items),
            _ if self.is_null() => Some(&[]),
            _ => None,
        }
    }

    /// The value of a mapping's key.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.entries()?.iter().find(|entry| entry.name() == name).map(|entry| &entry.value)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        let Kind::Mapping(entries) = &mut self.kind else { return None };
        entries.iter_mut().find(|entry| entry.name() == name).map(|entry| &mut entry.value)
    }

    /// Takes a key out of a mapping.
    pub(super) fn remove(&mut self, name: &str) {
        if let Kind::Mapping(entries) = &mut self.kind {
            entries.retain(|entry| entry.name() != name);
        }
    }

    /// Adds a key at the end of a mapping, which does not have it.
    pub(super) fn push(&mut self, name: &str, value: Node) {
        if let Kind::Mapping(entries) = &mut self.kind {
            entries.push(Entry::new(name, value));
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
