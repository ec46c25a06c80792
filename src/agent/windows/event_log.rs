//! Log lines as events of the Event Log. Each line is one event, whose number says how bad it is.

use std::io;
use std::sync::Arc;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::sys::windows::event_log::{Severity, Source};

/// The log, for lines of all levels.
#[derive(Debug, Clone)]
pub struct EventLog(Arc<Source>);

/// Where one line goes.
#[derive(Debug)]
pub struct Line {
    log: Arc<Source>,
    severity: Severity,
}

impl EventLog {
    /// The source `name`.
    ///
    /// # Errors
    /// Those of RegisterEventSourceW.
    pub fn open(name: &str) -> io::Result<Self> {
        Source::open(name).map(Arc::new).map(Self)
    }

    /// Writes a line that is no log line: why the service ends.
    pub fn failed(&self, text: &str) {
        // There is nowhere else to say it.
        let _ = self.0.report(Severity::Error, number(Severity::Error), text);
    }

    fn line(&self, level: Level) -> Line {
        let severity = match level {
            Level::ERROR => Severity::Error,
            Level::WARN => Severity::Warning,
            _ => Severity::Information,
        };
        Line { log: self.0.clone(), severity }
    }
}

impl<'line> MakeWriter<'line> for EventLog {
    type Writer = Line;

    fn make_writer(&'line self) -> Line {
        self.line(Level::INFO)
    }

    fn make_writer_for(&'line self, line: &Metadata<'_>) -> Line {
        self.line(*line.level())
    }
}

impl io::Write for Line {
    /// The whole line comes in one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.log.report(self.severity, number(self.severity), text.trim_end())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The number of events of this severity.
fn number(severity: Severity) -> u32 {
    match severity {
        Severity::Error => 1,
        Severity::Warning => 2,
        Severity::Information => 3,
    }
}
