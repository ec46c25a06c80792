//! What a check of `runsecrets doctor` has found, as a line for people and as JSON, and what a check is told. Pure: it
//! reads nothing, and no byte of what was read can steer a terminal, because every text is escaped on its way in.
#![forbid(unsafe_code)]

use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use crate::model::escaped_line;

/// How bad it is, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing, and nothing to do.
    Note,
    /// Could not be checked, and why.
    Unchecked,
    /// Works, and something is not as it should be.
    Warning,
    /// Broken, or not protected.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Unchecked => "unchecked",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Finding {
    level: Level,
    subject: &'static str,
    #[serde(rename = "Finding")]
    text: String,
    fix: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(subject: &'static str, text: impl AsRef<str>) -> Self {
        Self::new(Level::Ok, subject, text.as_ref(), None)
    }

    /// Nothing to do, and worth knowing.
    pub fn note(subject: &'static str, text: impl AsRef<str>) -> Self {
        Self::new(Level::Note, subject, text.as_ref(), None)
    }

    /// What was not checked, and why.
    pub fn unchecked(subject: &'static str, text: impl AsRef<str>) -> Self {
        Self::new(Level::Unchecked, subject, text.as_ref(), None)
    }

    /// What is not as it should be, and what to do.
    pub fn warning(subject: &'static str, text: impl AsRef<str>, fix: impl AsRef<str>) -> Self {
        Self::new(Level::Warning, subject, text.as_ref(), Some(fix.as_ref()))
    }

    /// What is broken, and what to do.
    pub fn error(subject: &'static str, text: impl AsRef<str>, fix: impl AsRef<str>) -> Self {
        Self::new(Level::Error, subject, text.as_ref(), Some(fix.as_ref()))
    }

    fn new(level: Level, subject: &'static str, text: &str, fix: Option<&str>) -> Self {
        Self { level, subject, text: escaped_line(text), fix: fix.map(escaped_line) }
    }

    /// How bad it is.
    pub fn level(&self) -> Level {
        self.level
    }

    /// What it is about.
    pub fn subject(&self) -> &'static str {
        self.subject
    }
}

/// What was found and its fix, in one line without the level and the subject.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        self.fix.iter().try_for_each(|fix| write!(f, "; fix: {fix}"))
    }
}

/// What a check is told because it cannot find it out itself.
#[derive(Debug, Clone)]
pub struct Known {
    /// The directory below which the machine's files are: `/`.
    pub root: PathBuf,
    /// The agent's run directory.
    pub run_dir: PathBuf,
    /// The names of the agent's services; none where it could not be asked.
    pub services: Option<Vec<String>>,
}

/// Checks that another module brings.
pub type Examination = fn(&Known) -> Vec<Finding>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_whatever_was_read() {
        let finding = Finding::error("hooks.d", "/a\n\x1b[2Jb", "rm '/a\n'");
        assert_eq!(finding.to_string(), "/a\\n\\u{1b}[2Jb; fix: rm '/a\\n'");
        assert_eq!(Finding::note("kernel", "x").to_string(), "x");
    }

    #[test]
    fn programs_get_four_fields() {
        let json = serde_json::to_value(Finding::warning("swap", "is on", "swapoff -a")).unwrap();
        let expected = serde_json::json!(
            {"Level": "warning", "Subject": "swap", "Finding": "is on", "Fix": "swapoff -a"}
        );
        assert_eq!(json, expected);
        assert_eq!(serde_json::to_value(Finding::ok("a", "b")).unwrap()["Fix"], serde_json::Value::Null);
        assert!(Level::Ok < Level::Note && Level::Unchecked < Level::Warning && Level::Warning < Level::Error);
    }
}
