//! A template's text to tokens: Go's text/template actions, trim markers, comments, quoted text.

use super::TemplateError;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    /// Text that is printed as it stands.
    Text(String),
    /// What stands between `{{` and `}}`.
    Action(Vec<Token>),
}

/// A token inside an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    /// What it is.
    pub(super) kind: Kind,
    /// Whether it follows the one before without white space: `.a.b` is one operand, `.a .b` two.
    pub(super) glued: bool,
    /// Where it stands in the whole text, in bytes.
    pub(super) at: usize,
}

/// The kinds of token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A function or key word.
    Word(String),
    /// `.name`.
    Field(String),
    /// `.`.
    Dot,
    /// `$` or `$name`.
    Variable(String),
    /// A quoted text.
    Text(String),
    /// A number.
    Number(String),
    /// `|`, `(`, `)`, `,`, `=`.
    Mark(char),
    /// `:=`.
    Declare,
}

/// Splits `text`.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = 0;
    let mut trim_next = false;
    while let Some(found) = text[rest..].find("{{") {
        let open = rest + found;
        let mut before = &text[rest..open];
        if trim_next {
            before = before.trim_start();
        }
        let mut inside = open + 2;
        if text[inside..].starts_with('-') && text[inside + 1..].starts_with(char::is_whitespace) {
            before = before.trim_end();
            inside += 1;
        }
        push_text(&mut pieces, before);
        let close;
        (close, trim_next) = if text[inside..].trim_start().starts_with("/*") {
            comment_end(text, open, inside)?
        } else {
            let mut tokens = Vec::new();
            let end = scan_action(text, inside, open, &mut tokens)?;
            pieces.push(Piece::Action(tokens));
            end
        };
        rest = close;
    }
    let last = if trim_next { text[rest..].trim_start() } else { &text[rest..] };
    push_text(&mut pieces, last);
    Ok(pieces)
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// Where the text after a comment goes on, and whether its white space is trimmed.
fn comment_end(text: &str, open: usize, inside: usize) -> Result<(usize, bool), TemplateError> {
    let unclosed = || TemplateError::parse(text, open, "unclosed comment");
    let end = inside + text[inside..].find("*/").ok_or_else(unclosed)? + 2;
    if text[end..].starts_with("}}") {
        Ok((end + 2, false))
    } else if text[end..].trim_start().starts_with("-}}") {
        Ok((end + text[end..].find("-}}").ok_or_else(unclosed)? + 3, true))
    } else {
        Err(TemplateError::parse(text, open, "comment ends before closing delimiter"))
    }
}

/// Reads tokens up to `}}`; gives what [`comment_end`] gives.
fn scan_action(text: &str, start: usize, open: usize, tokens: &mut Vec<Token>) -> Result<(usize, bool), TemplateError> {
    let mut at = start;
    let mut glued = false;
    loop {
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else {
            return Err(TemplateError::parse(text, open, "unclosed action"));
        };
        if rest.starts_with("}}") {
            return Ok((at + 2, false));
        }
        if rest.starts_with("-}}") && !glued {
            return Ok((at + 3, true));
        }
        if first.is_whitespace() {
            at += first.len_utf8();
            glued = false;
            continue;
        }
        let (kind, length) = token(rest).map_err(|words| TemplateError::parse(text, at, words))?;
        tokens.push(Token { kind, glued, at });
        at += length;
        glued = true;
    }
}

/// The token that `rest` begins with, and its length in bytes.
fn token(rest: &str) -> Result<(Kind, usize), String> {
    let word_length = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let first = rest.chars().next().unwrap_or_default();
    match first {
        ':' if rest.starts_with(":=") => Ok((Kind::Declare, 2)),
        '|' | '(' | ')' | ',' | '=' => Ok((Kind::Mark(first), 1)),
        '.' => match word_length(&rest[1..]) {
            0 => Ok((Kind::Dot, 1)),
            length => Ok((Kind::Field(rest[1..=length].to_owned()), length + 1)),
        },
        '$' => {
            let length = word_length(&rest[1..]) + 1;
            Ok((Kind::Variable(rest[..length].to_owned()), length))
        }
        '"' => quoted(rest),
        '`' => {
            let end = rest[1..].find('`').ok_or("unterminated raw quoted string")?;
            Ok((Kind::Text(rest[1..=end].to_owned()), end + 2))
        }
        '0'..='9' | '-' | '+' => {
            let length =
                rest[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '.').map_or(rest.len(), |end| end + 1);
            Ok((Kind::Number(rest[..length].to_owned()), length))
        }
        c if c.is_alphabetic() || c == '_' => {
            let length = word_length(rest);
            Ok((Kind::Word(rest[..length].to_owned()), length))
        }
        other => Err(format!("unexpected {other:?} in command")),
    }
}

/// A text in double quotes, with Go's usual escapes.
fn quoted(rest: &str) -> Result<(Kind, usize), String> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, character)) = chars.next() {
        match character {
            '"' => return Ok((Kind::Text(text), at + 1)),
            '\n' => break,
            '\\' => text.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, 't')) => '\t',
                Some((_, 'r')) => '\r',
                Some((_, same @ ('"' | '\\' | '\''))) => same,
                _ => return Err("invalid escape in quoted string".to_owned()),
            }),
            other => text.push(other),
        }
    }
    Err("unterminated quoted string".to_owned())
}
