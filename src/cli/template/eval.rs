//! A tree and data to text.

use super::TemplateError;
use super::funcs;
use super::parse::{Base, Node, Operand, Pipe};
use super::value::Value;

/// The most bytes that one template may print for one object: nested ranges multiply.
const MAX_OUTPUT: usize = 16 * 1024 * 1024;

/// One run of a template.
pub(super) struct Evaluation<'a> {
    text: &'a str,
    root: &'a Value,
    header: bool,
    variables: Vec<(String, Value)>,
    output: String,
}

/// How a list of nodes ended.
#[derive(PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(text: &'a str, root: &'a Value, header: bool) -> Self {
        let variables = vec![("$".to_owned(), root.clone())];
        Self { text, root, header, variables, output: String::new() }
    }

    pub(super) fn run(mut self, nodes: &[Node]) -> Result<String, TemplateError> {
        self.nodes(nodes, self.root)?;
        Ok(self.output)
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, TemplateError> {
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::On {
                return Ok(flow);
            }
            if self.output.len() > MAX_OUTPUT {
                return Err(TemplateError("template: output is longer than 16 MiB".to_owned()));
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, TemplateError> {
        let scope = self.variables.len();
        let flow = match node {
            Node::Text(text) => {
                self.output.push_str(text);
                Flow::On
            }
            Node::Print(pipe) => {
                let value = self.pipe(pipe, dot)?;
                match pipe.variables.is_empty() {
                    true => self.output.push_str(&value.to_string()),
                    false => self.set(pipe, vec![value])?,
                }
                // A variable lives on after the action that declares it, to the end of the list it stands in.
                return Ok(Flow::On);
            }
            Node::If(branches, otherwise) => self.branch(branches, otherwise, dot)?,
            Node::With(pipe, body, otherwise) => {
                let value = self.pipe(pipe, dot)?;
                self.set(pipe, vec![value.clone()])?;
                if value.is_true() { self.nodes(body, &value)? } else { self.nodes(otherwise, dot)? }
            }
            Node::Range(pipe, body, otherwise) => self.range(pipe, body, otherwise, dot)?,
            Node::Break => Flow::Break,
            Node::Continue => Flow::Continue,
        };
        self.variables.truncate(scope);
        Ok(flow)
    }

    fn branch(
        &mut self,
        branches: &[(Pipe, Vec<Node>)],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<Flow, TemplateError> {
        for (condition, body) in branches {
            let value = self.pipe(condition, dot)?;
            self.set(condition, vec![value.clone()])?;
            if value.is_true() {
                return self.nodes(body, dot);
            }
        }
        self.nodes(otherwise, dot)
    }

    fn range(&mut self, pipe: &Pipe, body: &[Node], otherwise: &[Node], dot: &Value) -> Result<Flow, TemplateError> {
        let number = |index: usize| Value::Int(i64::try_from(index).unwrap_or(i64::MAX));
        let items: Vec<(Value, Value)> = match self.pipe(pipe, dot)? {
            Value::List(items) => items.into_iter().enumerate().map(|(at, item)| (number(at), item)).collect(),
            Value::Map(map) => map.into_iter().map(|(key, value)| (Value::Text(key), value)).collect(),
            Value::Record(fields) => fields.into_iter().map(|(key, value)| (Value::Text(key), value)).collect(),
            Value::Nil => Vec::new(),
            // A column's title stands for the list in a header line.
            title @ Value::Text(_) if self.header => vec![(number(0), title)],
            other => return Err(self.error(&pipe.commands[0][0], format!("range can't iterate over {other}"))),
        };
        if items.is_empty() {
            return self.nodes(otherwise, dot);
        }
        let scope = self.variables.len();
        for (key, item) in items {
            let values = if pipe.variables.len() == 1 { vec![item.clone()] } else { vec![key, item.clone()] };
            self.set(pipe, values)?;
            let flow = self.nodes(body, &item)?;
            self.variables.truncate(scope);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    /// Gives the pipeline's variables their values.
    fn set(&mut self, pipe: &Pipe, values: Vec<Value>) -> Result<(), TemplateError> {
        for (name, value) in pipe.variables.iter().zip(values) {
            if pipe.declares {
                self.variables.push((name.clone(), value));
                continue;
            }
            match self.variables.iter_mut().rev().find(|(known, _)| known == name) {
                Some((_, held)) => *held = value,
                None => return Err(TemplateError::parse(self.text, 0, format!("undefined variable {name:?}"))),
            }
        }
        Ok(())
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, TemplateError> {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.unwrap_or(Value::Nil))
    }

    /// One command; `piped` is the last argument.
    fn command(&mut self, command: &[Operand], dot: &Value, piped: Option<Value>) -> Result<Value, TemplateError> {
        let (first, rest) = command.split_first().ok_or_else(|| TemplateError::parse(self.text, 0, "empty command"))?;
        let mut arguments = Vec::new();
        for operand in rest {
            arguments.push(self.operand(operand, dot)?);
        }
        arguments.extend(piped);
        if let Base::Function(name) = &first.base {
            let called = funcs::call(name, arguments, self.header);
            return called.map_err(|words| self.error(first, format!("error calling {name}: {words}")));
        }
        let value = self.operand(first, dot)?;
        match (value, arguments.as_slice()) {
            (Value::Label(labels), [Value::Text(key)]) => Ok(match labels {
                // Docker's title of a label: what follows the last dot, in words.
                None => Value::text(key.rsplit('.').next().unwrap_or_default().replace(['-', '_'], " ")),
                Some(labels) => labels.get(key).cloned().unwrap_or_else(|| Value::text("")),
            }),
            (Value::Label(_), _) => Err(self.error(first, "wrong number of args: want 1, the label's key")),
            (value, []) => Ok(value),
            _ => Err(self.error(first, "can't give argument to non-function")),
        }
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, TemplateError> {
        let mut value = match &operand.base {
            Base::Dot => dot.clone(),
            Base::Literal(value) => value.clone(),
            Base::Pipe(pipe) => self.pipe(pipe, dot)?,
            Base::Function(name) => {
                let called = funcs::call(name, Vec::new(), self.header);
                called.map_err(|words| self.error(operand, format!("error calling {name}: {words}")))?
            }
            Base::Variable(name) => match self.variables.iter().rev().find(|(known, _)| known == name) {
                Some((_, value)) => value.clone(),
                None => {
                    return Err(TemplateError::parse(self.text, operand.at, format!("undefined variable {name:?}")));
                }
            },
        };
        for name in &operand.fields {
            value = match value {
                Value::Map(mut map) => map.remove(name).unwrap_or(Value::Nil),
                Value::Text(title) if self.header => Value::Text(title),
                Value::Nil => return Err(self.error(operand, format!("nil data; no entry for key {name:?}"))),
                record => match record.field(name) {
                    Some(field) => field.clone(),
                    None => return Err(self.error(operand, format!("can't evaluate field {name}"))),
                },
            };
        }
        Ok(value)
    }

    fn error(&self, operand: &Operand, words: impl std::fmt::Display) -> TemplateError {
        let mut shown = match &operand.base {
            Base::Dot | Base::Literal(_) => String::new(),
            Base::Variable(name) | Base::Function(name) => name.clone(),
            Base::Pipe(_) => "(…)".to_owned(),
        };
        for field in &operand.fields {
            shown.push('.');
            shown.push_str(field);
        }
        TemplateError::execute(self.text, operand.at, if shown.is_empty() { "." } else { &shown }, words)
    }
}
