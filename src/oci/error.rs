//! What can be wrong with the text of a runtime. Nothing of the text is quoted.

use std::fmt;

/// Why a text is no state or config.json.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OciError {
    /// It is longer than it may be.
    TooLong {
        /// Bytes allowed.
        limit: usize,
    },
    /// It is no JSON, or ends too early.
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// Whether it stops in the middle.
        truncated: bool,
    },
    /// It is JSON, but a part that we need has another form.
    Form {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
}

impl fmt::Display for OciError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { limit } => write!(f, "it is longer than {limit} bytes"),
            Self::Json { truncated: true, .. } => f.write_str("it is cut off; is the runtime's output complete?"),
            Self::Json { line, column, .. } => write!(f, "it is not JSON at line {line}, column {column}"),
            Self::Form { line, column } => {
                write!(f, "it does not have the form of the OCI runtime specification at line {line}, column {column}")
            }
        }
    }
}

impl std::error::Error for OciError {}

impl OciError {
    /// The parser's own words may quote the text, so only the place is kept.
    pub(super) fn of(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            serde_json::error::Category::Data => Self::Form { line, column },
            serde_json::error::Category::Eof => Self::Json { line, column, truncated: true },
            _ => Self::Json { line, column, truncated: false },
        }
    }
}
