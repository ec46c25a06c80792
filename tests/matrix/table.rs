//! The table: suites by releases, in Markdown.

use std::fmt::Write;

use super::root::ENGINES;
use super::suite::{Outcome, Suite};

/// A release and all of its outcomes, in the order of the suites.
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// In the order of `ENGINES`.
    pub(crate) versions: Vec<String>,
    pub(crate) outcomes: Vec<Outcome>,
}

/// The versions of the engines, then a row for each suite, then what engines are too old for.
pub(crate) fn markdown(suites: &[&Suite], columns: &[Column]) -> String {
    let row = |first: &str, cells: &mut dyn Iterator<Item = String>| {
        cells.fold(format!("| {first} |"), |mut row, cell| {
            let _ = write!(row, " {cell} |");
            row
        }) + "\n"
    };
    let mut table = row("", &mut columns.iter().map(|column| column.title.to_owned()));
    table += &row("---", &mut columns.iter().map(|_| "---".to_owned()));
    for (number, (engine, _)) in ENGINES.iter().enumerate() {
        table += &row(&format!("**{engine}**"), &mut columns.iter().map(|column| column.versions[number].clone()));
    }
    for (number, suite) in suites.iter().enumerate() {
        let first = format!("`{}` ({})", suite.name, suite.engines);
        table += &row(&first, &mut columns.iter().map(|column| column.outcomes[number].words()));
    }
    for column in columns {
        let mut lacks: Vec<String> = column.outcomes.iter().flat_map(|outcome| &outcome.lacks).map(code).collect();
        lacks.sort();
        lacks.dedup();
        if !lacks.is_empty() {
            let _ =
                write!(table, "\n{} has no {}: a test asserts what it does instead.\n", column.title, lacks.join(", "));
        }
    }
    table
}

fn code(words: &String) -> String {
    format!("`{words}`")
}
