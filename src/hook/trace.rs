//! How long each step took, for whoever asks with `--trace`: never the default, and never more than names and numbers.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// The steps of one run; written as one JSON object a line when dropped.
pub(super) struct Trace {
    file: Option<File>,
    start: Instant,
    last: Instant,
    line: String,
}

impl Trace {
    /// Starts the clock; a file that cannot be opened is no reason to fail a container.
    pub(super) fn start(path: Option<&Path>) -> Self {
        let file = path.and_then(|path| OpenOptions::new().append(true).create(true).open(path).ok());
        let now = Instant::now();
        Self { file, start: now, last: now, line: String::new() }
    }

    /// The time since the last step was `name`'s.
    pub(super) fn step(&mut self, name: &'static str) {
        if self.file.is_some() {
            let now = Instant::now();
            self.line.push_str(&format!("\"{name}\":{},", (now - self.last).as_nanos()));
            self.last = now;
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if let Some(file) = &mut self.file {
            let total = self.start.elapsed().as_nanos();
            let _ = writeln!(file, "{{{}\"total\":{total}}}", self.line);
        }
    }
}
