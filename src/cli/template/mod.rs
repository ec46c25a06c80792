//! Go's text/template, as much of it as Docker's `--format` documents: fields, pipelines, `if`, `range`, `with`,
//! variables, the builtin functions and Docker's own (`json`, `join`, `upper`, …). No I/O, no state.

mod eval;
mod funcs;
mod lex;
mod parse;
mod printf;
mod value;

use std::fmt;

pub(crate) use value::Value;

/// The longest template, in bytes.
const MAX_TEMPLATE: usize = 64 * 1024;

/// A parsed template.
#[derive(Debug)]
pub(crate) struct Template {
    text: String,
    nodes: Vec<parse::Node>,
}

/// What is wrong with a template, in Go's words.
#[derive(Debug, PartialEq)]
pub(crate) struct TemplateError(String);

impl TemplateError {
    /// A fault of the text itself at byte `at`.
    fn parse(text: &str, at: usize, words: impl Into<String>) -> Self {
        Self(format!("template: :{}: {}", place(text, at).0, words.into()))
    }

    /// A fault of what the text asks of the data.
    fn execute(text: &str, at: usize, shown: &str, words: impl fmt::Display) -> Self {
        let (line, column) = place(text, at);
        Self(format!("template: :{line}:{column}: executing \"\" at <{shown}>: {words}"))
    }
}

/// Line (from 1) and column (from 0) of byte `at`, as Go counts.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    (before.matches('\n').count() + 1, before.len() - before.rfind('\n').map_or(0, |end| end + 1))
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "template parsing error: {}", self.0)
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    /// Parses `text`, at most 64 KiB.
    ///
    /// # Errors
    /// [`TemplateError`] with the line.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEMPLATE {
            return Err(TemplateError("template: longer than 64 KiB".to_owned()));
        }
        let nodes = parse::parse(text, lex::pieces(text)?)?;
        Ok(Self { text: text.to_owned(), nodes })
    }

    /// The text for `data`.
    ///
    /// # Errors
    /// [`TemplateError`] with line, column and the operand.
    pub(crate) fn render(&self, data: &Value) -> Result<String, TemplateError> {
        eval::Evaluation::new(&self.text, data, false).run(&self.nodes)
    }

    /// The header line: `data` holds column titles, and functions on text leave them as they are.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub(crate) fn render_header(&self, titles: &Value) -> Result<String, TemplateError> {
        eval::Evaluation::new(&self.text, titles, true).run(&self.nodes)
    }
}

#[cfg(test)]
mod tests;
