//! `ls` and `ps`: a table, `table TEMPLATE`, `json`, or a template for each row.

use super::table::aligned;
use crate::cli::template::{Template, TemplateError, Value};

/// The columns that a listing knows.
pub(crate) struct Columns {
    /// Field and title, in the order of the field's name, which is the order of JSON keys.
    pub(crate) titles: &'static [(&'static str, &'static str)],
    /// The default table.
    pub(crate) table: &'static str,
    /// What `-q` shows.
    pub(crate) quiet: &'static str,
}

/// `rows` in the shape that `format` asks for; empty means the table. As in Docker a format wins over `quiet`.
///
/// # Errors
/// A fault in the template: nothing is shown then.
pub(crate) fn listed(columns: &Columns, format: &str, quiet: bool, rows: &[Value]) -> Result<String, TemplateError> {
    let format = match format {
        "" | "table" if quiet => columns.quiet,
        "" => "table",
        format => format,
    };
    let (is_table, text) = match format.strip_prefix("table") {
        Some("") => (true, columns.table.to_owned()),
        Some(own) => (true, unescaped(own)),
        None if format == "json" => (false, "{{json .}}".to_owned()),
        None => (false, unescaped(format)),
    };
    let template = Template::parse(&text)?;
    let mut lines = String::new();
    if is_table {
        let titles = columns.titles.iter().map(|(field, title)| (*field, Value::text(*title)));
        lines += &template.render_header(&Value::record(titles.chain([("Label", Value::Label(None))])))?;
        lines.push('\n');
    }
    for row in rows {
        lines += &template.render(row)?;
        lines.push('\n');
    }
    Ok(if is_table { aligned(&lines) } else { lines })
}

/// `\t` and `\n` as the shell hands them over in single quotes.
fn unescaped(format: &str) -> String {
    format.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n")
}
