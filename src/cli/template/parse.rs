//! Tokens to a tree: actions, pipelines, `if`, `range`, `with`. Named templates (`define`, `template`, `block`) are not
//! for one-line formats and are refused.

use super::TemplateError;
use super::lex::{Kind, Piece, Token};
use super::value::Value;

/// How deep actions and parentheses may nest.
const MAX_DEPTH: usize = 64;

/// One part of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// Text as it stands.
    Text(String),
    /// A pipeline whose result is printed, unless it sets a variable.
    Print(Pipe),
    /// `if` with its `else if`s, and the last `else`.
    If(Vec<(Pipe, Vec<Node>)>, Vec<Node>),
    /// `range` and its `else`.
    Range(Pipe, Vec<Node>, Vec<Node>),
    /// `with` and its `else`.
    With(Pipe, Vec<Node>, Vec<Node>),
    /// `break`.
    Break,
    /// `continue`.
    Continue,
}

/// Commands joined by `|`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pipe {
    /// Variables that it sets.
    pub(super) variables: Vec<String>,
    /// Whether they are new (`:=`).
    pub(super) declares: bool,
    /// The commands, each a list of operands: the first may be a function.
    pub(super) commands: Vec<Vec<Operand>>,
}

/// A function, or a value and the fields asked of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operand {
    /// What it begins with.
    pub(super) base: Base,
    /// `.a.b` after it.
    pub(super) fields: Vec<String>,
    /// Where it stands in the text.
    pub(super) at: usize,
}

/// What an operand begins with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Base {
    /// `.`.
    Dot,
    /// `$name`.
    Variable(String),
    /// A literal.
    Literal(Value),
    /// A function by name.
    Function(String),
    /// A pipeline in parentheses.
    Pipe(Box<Pipe>),
}

/// Parses the whole of `text`.
pub(super) fn parse(text: &str, pieces: Vec<Piece>) -> Result<Vec<Node>, TemplateError> {
    let mut parser = Parser { text, pieces: pieces.into_iter(), depth: 0 };
    match parser.nodes()? {
        (nodes, Close::EndOfText) => Ok(nodes),
        (_, Close::Else { at, .. }) => Err(parser.error(at, "unexpected {{else}}")),
        (_, Close::End(at)) => Err(parser.error(at, "unexpected {{end}}")),
    }
}

/// What closed a list of nodes.
enum Close {
    EndOfText,
    End(usize),
    Else { rest: Vec<Token>, at: usize },
}

struct Parser<'a> {
    text: &'a str,
    pieces: std::vec::IntoIter<Piece>,
    depth: usize,
}

impl Parser<'_> {
    fn error(&self, at: usize, words: impl Into<String>) -> TemplateError {
        TemplateError::parse(self.text, at, words)
    }

    fn nodes(&mut self) -> Result<(Vec<Node>, Close), TemplateError> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let tokens = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(tokens) => tokens,
            };
            let Some(first) = tokens.first() else {
                return Err(self.error(self.text.len(), "missing value for command"));
            };
            let at = first.at;
            let word = match &first.kind {
                Kind::Word(word) => word.as_str(),
                _ => "",
            };
            match word {
                "end" => return Ok((nodes, Close::End(at))),
                "else" => return Ok((nodes, Close::Else { rest: tokens[1..].to_vec(), at })),
                "if" => nodes.push(self.branch_if(&tokens[1..], at)?),
                "range" => {
                    let (pipe, body, otherwise) = self.block(&tokens[1..], at)?;
                    nodes.push(Node::Range(pipe, body, otherwise));
                }
                "with" => {
                    let (pipe, body, otherwise) = self.block(&tokens[1..], at)?;
                    nodes.push(Node::With(pipe, body, otherwise));
                }
                "break" => nodes.push(Node::Break),
                "continue" => nodes.push(Node::Continue),
                "define" | "template" | "block" => {
                    return Err(self.error(at, format!("{{{{{word}}}}} is not supported here")));
                }
                _ => nodes.push(Node::Print(self.whole_pipe(&tokens, at)?)),
            }
        }
        Ok((nodes, Close::EndOfText))
    }

    fn branch_if(&mut self, tokens: &[Token], at: usize) -> Result<Node, TemplateError> {
        let mut branches = Vec::new();
        let mut condition = self.whole_pipe(tokens, at)?;
        loop {
            let (body, end) = self.deeper(at, Self::nodes)?;
            branches.push((condition, body));
            match end {
                Close::EndOfText => return Err(self.error(self.text.len(), "unexpected EOF")),
                Close::End(_) => return Ok(Node::If(branches, Vec::new())),
                Close::Else { rest, .. } if rest.is_empty() => return Ok(Node::If(branches, self.last_part(at)?)),
                Close::Else { rest, at } if rest[0].kind == Kind::Word("if".into()) => {
                    condition = self.whole_pipe(&rest[1..], at)?;
                }
                Close::Else { at, .. } => return Err(self.error(at, "unexpected token in {{else}}")),
            }
        }
    }

    fn block(&mut self, tokens: &[Token], at: usize) -> Result<(Pipe, Vec<Node>, Vec<Node>), TemplateError> {
        let pipe = self.whole_pipe(tokens, at)?;
        let (body, end) = self.deeper(at, Self::nodes)?;
        let otherwise = match end {
            Close::EndOfText => return Err(self.error(self.text.len(), "unexpected EOF")),
            Close::End(_) => Vec::new(),
            Close::Else { rest, .. } if rest.is_empty() => self.last_part(at)?,
            Close::Else { at, .. } => return Err(self.error(at, "unexpected token in {{else}}")),
        };
        Ok((pipe, body, otherwise))
    }

    /// What stands after the last `else`.
    fn last_part(&mut self, at: usize) -> Result<Vec<Node>, TemplateError> {
        match self.deeper(at, Self::nodes)? {
            (nodes, Close::End(_)) => Ok(nodes),
            (_, Close::Else { at, .. }) => Err(self.error(at, "expected end; found {{else}}")),
            (_, Close::EndOfText) => Err(self.error(self.text.len(), "unexpected EOF")),
        }
    }

    fn deeper<T>(
        &mut self,
        at: usize,
        read: impl FnOnce(&mut Self) -> Result<T, TemplateError>,
    ) -> Result<T, TemplateError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(at, "nested too deep"));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn whole_pipe(&mut self, tokens: &[Token], at: usize) -> Result<Pipe, TemplateError> {
        let mut rest = tokens;
        let pipe = self.pipe(&mut rest, at)?;
        match rest.first() {
            None => Ok(pipe),
            Some(token) => Err(self.error(token.at, "unexpected right paren")),
        }
    }

    /// Reads a pipeline up to the end or a closing parenthesis, which is left in `tokens`.
    fn pipe(&mut self, tokens: &mut &[Token], at: usize) -> Result<Pipe, TemplateError> {
        let (variables, declares) = assigned(tokens);
        let mut commands = vec![Vec::new()];
        while let Some((token, rest)) = tokens.split_first() {
            match &token.kind {
                Kind::Mark(')') => break,
                Kind::Mark('|') => {
                    *tokens = rest;
                    commands.push(Vec::new());
                    continue;
                }
                _ => {}
            }
            let operand = self.operand(tokens)?;
            if let Some(command) = commands.last_mut() {
                command.push(operand);
            }
        }
        if commands.iter().any(Vec::is_empty) {
            return Err(self.error(at, "missing value for command"));
        }
        Ok(Pipe { variables, declares, commands })
    }

    fn operand(&mut self, tokens: &mut &[Token]) -> Result<Operand, TemplateError> {
        let Some((token, rest)) = tokens.split_first() else {
            return Err(self.error(self.text.len(), "missing value for command"));
        };
        let at = token.at;
        *tokens = rest;
        let mut fields = Vec::new();
        let base = match &token.kind {
            Kind::Dot => Base::Dot,
            Kind::Field(name) => {
                fields.push(name.clone());
                Base::Dot
            }
            Kind::Variable(name) => Base::Variable(name.clone()),
            Kind::Text(text) => Base::Literal(Value::text(text.clone())),
            Kind::Number(text) => Base::Literal(self.number(text, at)?),
            Kind::Word(word) => match word.as_str() {
                "true" => Base::Literal(Value::Bool(true)),
                "false" => Base::Literal(Value::Bool(false)),
                "nil" => Base::Literal(Value::Nil),
                name if super::funcs::exists(name) => Base::Function(name.to_owned()),
                name => return Err(self.error(at, format!("function {name:?} not defined"))),
            },
            Kind::Mark('(') => {
                let pipe = self.deeper(at, |parser| parser.pipe(tokens, at))?;
                match tokens.split_first() {
                    Some((token, rest)) if token.kind == Kind::Mark(')') => *tokens = rest,
                    _ => return Err(self.error(at, "unclosed left paren")),
                }
                Base::Pipe(Box::new(pipe))
            }
            Kind::Mark(mark) => return Err(self.error(at, format!("unexpected {mark:?} in command"))),
            Kind::Declare => return Err(self.error(at, "unexpected \":=\" in command")),
        };
        while let Some((Token { kind: Kind::Field(name), glued: true, .. }, rest)) = tokens.split_first() {
            fields.push(name.clone());
            *tokens = rest;
        }
        Ok(Operand { base, fields, at })
    }

    fn number(&self, text: &str, at: usize) -> Result<Value, TemplateError> {
        let whole = text.parse().map(Value::Int);
        whole
            .or_else(|_| text.parse().map(Value::Float))
            .map_err(|_| self.error(at, format!("bad number syntax: {text:?}")))
    }
}

/// Takes `$a :=`, `$a =` or `$a, $b :=` off the front.
fn assigned(tokens: &mut &[Token]) -> (Vec<String>, bool) {
    let mut variables = Vec::new();
    let mut rest = *tokens;
    while let [Token { kind: Kind::Variable(name), .. }, next, ..] = rest {
        variables.push(name.clone());
        rest = &rest[2..];
        match next.kind {
            Kind::Mark(',') => {}
            Kind::Declare | Kind::Mark('=') => {
                *tokens = rest;
                return (variables, next.kind == Kind::Declare);
            }
            _ => break,
        }
    }
    (Vec::new(), false)
}
