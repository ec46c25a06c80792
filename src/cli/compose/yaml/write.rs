//! From a tree to text that every parser of YAML 1.1 or 1.2 reads as the same tree. It decides nothing about meaning: a
//! plain scalar stays plain, a quoted one stays quoted.

use std::fmt::Write;

use super::{Entry, Kind, Node, Style};

/// The text of a document.
pub(in crate::cli::compose) fn write(document: &Node) -> String {
    let mut text = String::new();
    match &document.kind {
        Kind::Mapping(entries) if !entries.is_empty() => mapping(entries, 0, true, &mut text),
        Kind::Sequence(items) if !items.is_empty() => sequence(items, 0, true, &mut text),
        _ => value(document, 0, &mut text),
    }
    text
}

/// The lines of a mapping; the first one is indented already unless `fresh`.
fn mapping(entries: &[Entry], indent: usize, mut fresh: bool, text: &mut String) {
    for entry in entries {
        if fresh {
            spaces(indent, text);
        }
        fresh = true;
        if let Some(tag) = &entry.key.tag {
            text.push_str(tag);
            text.push(' ');
        }
        let Kind::Scalar(name, style) = &entry.key.kind else { continue };
        inline(name, *style, text);
        text.push(':');
        value(&entry.value, indent, text);
    }
}

fn sequence(items: &[Node], indent: usize, mut fresh: bool, text: &mut String) {
    for item in items {
        if fresh {
            spaces(indent, text);
        }
        fresh = true;
        text.push('-');
        match &item.kind {
            Kind::Mapping(entries) if item.tag.is_none() && !entries.is_empty() => {
                text.push(' ');
                mapping(entries, indent + 2, false, text);
            }
            Kind::Sequence(items) if item.tag.is_none() && !items.is_empty() => {
                text.push(' ');
                sequence(items, indent + 2, false, text);
            }
            _ => value(item, indent, text),
        }
    }
}

/// What stands after `key:` or `-` at `indent`, with the end of the line.
fn value(node: &Node, indent: usize, text: &mut String) {
    if let Some(tag) = &node.tag {
        text.push(' ');
        text.push_str(tag);
    }
    match &node.kind {
        Kind::Mapping(entries) if entries.is_empty() => text.push_str(" {}\n"),
        Kind::Sequence(items) if items.is_empty() => text.push_str(" []\n"),
        Kind::Mapping(entries) => {
            text.push('\n');
            mapping(entries, indent + 2, true, text);
        }
        Kind::Sequence(items) => {
            text.push('\n');
            sequence(items, indent + 2, true, text);
        }
        Kind::Scalar(scalar, Style::Literal) if fits_literal(scalar) => literal(scalar, indent + 2, text),
        Kind::Scalar(scalar, style) => {
            if !(scalar.is_empty() && *style == Style::Plain) {
                text.push(' ');
                inline(scalar, *style, text);
            }
            text.push('\n');
        }
    }
}

/// Whether a block of lines gives `scalar` back without more signs than `|` and `|-`.
fn fits_literal(scalar: &str) -> bool {
    !scalar.starts_with([' ', '\n', '\t'])
        && !scalar.is_empty()
        && !scalar.ends_with("\n\n")
        && scalar.chars().all(|character| character == '\n' || !needs_escape(character))
        && scalar.lines().all(|line| line.is_empty() || !line.trim().is_empty())
}

fn literal(scalar: &str, indent: usize, text: &mut String) {
    text.push_str(if scalar.ends_with('\n') { " |\n" } else { " |-\n" });
    for line in scalar.lines() {
        if !line.is_empty() {
            spaces(indent, text);
            text.push_str(line);
        }
        text.push('\n');
    }
}

/// A scalar on one line.
fn inline(scalar: &str, style: Style, text: &mut String) {
    let on_one_line = !scalar.chars().any(needs_escape);
    match style {
        Style::Plain if on_one_line && stays_plain(scalar) => text.push_str(scalar),
        Style::SingleQuoted if on_one_line => {
            let _ = write!(text, "'{}'", scalar.replace('\'', "''"));
        }
        _ => double_quoted(scalar, text),
    }
}

/// Whether a plain scalar of a parser is one also where we write it: it was folded from several lines otherwise, and is
/// text.
fn stays_plain(scalar: &str) -> bool {
    let ends_it = [": ", " #"].iter().any(|sign| scalar.contains(sign)) || scalar.ends_with(':');
    let is_marker = ["---", "..."].iter().any(|marker| scalar.starts_with(marker));
    !ends_it && !is_marker
}

fn double_quoted(scalar: &str, text: &mut String) {
    text.push('"');
    for character in scalar.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            other if needs_escape(other) => {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\U{:08X}", u32::from(other));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

/// Characters that end a line, or that YAML does not print.
fn needs_escape(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn spaces(count: usize, text: &mut String) {
    text.extend(std::iter::repeat_n(' ', count));
}
