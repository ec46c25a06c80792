//! The one place that prints and that picks the exit status.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use super::error::CliError;

/// The command line was not understood; Docker's number.
const USAGE: u8 = 125;

/// What was said and how it went.
#[derive(Debug, Default)]
pub(super) struct Report {
    failed: bool,
    concluded: Option<ExitCode>,
    reader_gone: bool,
}

impl Report {
    /// Prints `text` as it stands; on a terminal control characters are shown escaped. A reader who has gone is no error.
    pub(super) fn text(&mut self, text: &str) {
        if self.reader_gone {
            return;
        }
        let mut output = io::stdout().lock();
        let written = if output.is_terminal() {
            output.write_all(printable(text, true).as_bytes())
        } else {
            output.write_all(text.as_bytes())
        };
        match written.and_then(|()| output.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.reader_gone = true,
            Err(error) => {
                self.reader_gone = true;
                drop(output);
                self.error(&CliError::Output(error));
            }
        }
    }

    /// Prints one line.
    pub(super) fn line(&mut self, line: &str) {
        self.text(&format!("{line}\n"));
    }

    /// Whether nobody reads any more: a stream can end.
    pub(super) fn is_unread(&self) -> bool {
        self.reader_gone
    }

    /// Prints what was done, beside the output.
    pub(super) fn note(&mut self, line: &str) {
        // There is nowhere left to tell that standard error is closed.
        let _ = writeln!(io::stderr().lock(), "{}", printable(line, false));
    }

    /// Prints an error; the program will exit with 1.
    pub(super) fn error(&mut self, error: &CliError) {
        self.failed = true;
        // There is nowhere left to tell that standard error is closed.
        let _ = writeln!(io::stderr().lock(), "{}", printable(&error.to_string(), false));
    }

    /// Prints the help that was asked for, or what is wrong with the command line.
    pub(super) fn usage(&mut self, error: &clap::Error) -> ExitCode {
        let _ = error.print();
        if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
    }

    /// Sets the exit status of a command that was done and has something to say by it.
    pub(super) fn conclude(&mut self, code: ExitCode) {
        self.concluded = Some(code);
    }

    /// The program's exit status.
    pub(super) fn exit_code(&self) -> ExitCode {
        if self.failed { ExitCode::FAILURE } else { self.concluded.unwrap_or(ExitCode::SUCCESS) }
    }
}

/// `text` without control characters; `layout` keeps line ends and tabs.
fn printable(text: &str, layout: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && !(layout && matches!(character, '\n' | '\t')) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn an_answer_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\n", false), "a\\u{1b}[2Jb\\n");
        assert_eq!(printable("a\tb\n\x07", true), "a\tb\n\\u{7}");
    }
}
