//! The variables of a project: this process's environment, then the file `.env`. Values from the file stay in locked
//! memory; there is no way to show one.
//!
//! Source: Docker's documentation of the syntax of env files.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use super::error::ComposeError;
use super::interpolate::interpolate;
use crate::cli::error::CliError;
use crate::cli::input;
use crate::secret::{MAX_VALUE, SecretBytes};

/// Where variables are looked up.
pub(super) struct Environment {
    /// The values of the file, one after another.
    values: SecretBytes,
    /// Each name of the file with the place of its value; a later one wins.
    entries: Vec<(String, Range<usize>)>,
    /// This process's own variables.
    process: fn(&str) -> Option<String>,
}

impl Environment {
    /// This process's environment and the file at `path`, which may be missing unless it was `asked` for.
    ///
    /// # Errors
    /// [`CliError::Read`], [`CliError::TooLong`], [`ComposeError::EnvFile`] with the line.
    pub(super) fn load(path: &Path, asked: bool) -> Result<Self, CliError> {
        let failed = |call| {
            let from = path.display().to_string();
            move |cause| CliError::Read { from, call, cause }
        };
        let mut environment = Self::of(|name| std::env::var(name).ok())?;
        match File::open(path) {
            Ok(file) => environment.add(input::read_all(file, failed("read"))?.expose())?,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound && !asked => {}
            Err(cause) => return Err(failed("open")(cause)),
        }
        Ok(environment)
    }

    /// The variables that `process` knows, and no file.
    pub(super) fn of(process: fn(&str) -> Option<String>) -> Result<Self, CliError> {
        let values = SecretBytes::zeroed(MAX_VALUE).map_err(CliError::Memory)?;
        Ok(Self { values, entries: Vec::new(), process })
    }

    /// What a variable holds; a copy that is wiped when it is freed.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.process)(name).or_else(|| {
            let (_, place) = self.entries.iter().rev().find(|(known, _)| known == name)?;
            std::str::from_utf8(&self.values.expose()[place.clone()]).ok().map(str::to_owned)
        })
    }

    /// What a variable holds, as the value of a secret; `None` where it is not set or empty.
    ///
    /// # Errors
    /// [`CliError::TooLong`], [`CliError::Memory`].
    pub(super) fn value(&self, name: &str) -> Result<Option<SecretBytes>, CliError> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        if text.len() > MAX_VALUE {
            return Err(CliError::TooLong);
        }
        SecretBytes::take_from(&mut text.into_bytes()).map(Some).map_err(CliError::Memory)
    }

    /// `text` with its variables filled in.
    pub(super) fn fill(&self, text: &str) -> Result<String, ComposeError> {
        if text.contains('$') { interpolate(text, &|name| self.get(name)) } else { Ok(text.to_owned()) }
    }

    /// Reads the lines of a file: `NAME=value`, `export NAME='value'`, `# comment`.
    fn add(&mut self, file: &[u8]) -> Result<(), ComposeError> {
        let text = std::str::from_utf8(file).map_err(|_| wrong(1, "the file is not UTF-8"))?;
        let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut used = 0;
        while !rest.is_empty() {
            let line = 1 + text[..text.len() - rest.len()].matches('\n').count();
            let (head, after) = rest.split_once('\n').unwrap_or((rest, ""));
            let head = head.trim();
            if head.is_empty() || head.starts_with('#') {
                rest = after;
                continue;
            }
            let (name, value) = rest.split_once('=').ok_or_else(|| wrong(line, "there is no '='"))?;
            let name = name.trim().strip_prefix("export ").unwrap_or(name).trim();
            if name.is_empty() || name.contains(char::is_whitespace) {
                return Err(wrong(line, "there is no name before the '='"));
            }
            let (value, after) = self.read_value(value, line)?;
            rest = after;
            let place = used..used + value.len();
            let room = self.values.expose_mut().get_mut(place.clone());
            room.ok_or_else(|| wrong(line, "all values together are too long"))?.copy_from_slice(value.as_bytes());
            used = place.end;
            self.entries.push((name.to_owned(), place));
        }
        Ok(())
    }

    /// The value that `text` begins with, and what follows its line.
    fn read_value<'t>(&self, text: &'t str, line: usize) -> Result<(String, &'t str), ComposeError> {
        let text = text.trim_start_matches([' ', '\t']);
        let Some(quote) = text.chars().next().filter(|first| matches!(first, '\'' | '"')) else {
            let (head, after) = text.split_once('\n').unwrap_or((text, ""));
            let comment = head.find(" #").or_else(|| head.find("\t#")).or(head.starts_with('#').then_some(0));
            let plain = head[..comment.unwrap_or(head.len())].trim();
            return Ok((self.fill(plain).map_err(|_| wrong(line, "a variable in the value"))?, after));
        };
        let inner = &text[1..];
        let end = closing(inner, quote).ok_or_else(|| wrong(line, "the quote is not closed"))?;
        let (head, after) = inner[end + 1..].split_once('\n').unwrap_or((&inner[end + 1..], ""));
        if !(head.trim().is_empty() || head.trim_start().starts_with('#')) {
            return Err(wrong(line, "something follows the closing quote"));
        }
        let value = match quote {
            '\'' => inner[..end].replace("\\'", "'"),
            _ => self.fill(&unescaped(&inner[..end])).map_err(|_| wrong(line, "a variable in the value"))?,
        };
        Ok((value, after))
    }
}

/// Where `quote` closes.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(place, character)| {
        let closes = character == quote && !escaped;
        escaped = character == '\\' && !escaped;
        closes.then_some(place)
    })
}

/// The escapes of double quotes.
fn unescaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) => match characters.next() {
                Some('n') => result.push('\n'),
                Some('r') => result.push('\r'),
                Some('t') => result.push('\t'),
                Some('$') => result.push_str("$$"),
                Some(other @ ('"' | '\\' | '\'')) => result.push(other),
                Some(other) => result.extend(['\\', other]),
                None => result.push('\\'),
            },
            (other, false) => result.push(other),
        }
    }
    result
}

fn wrong(line: usize, what: &'static str) -> ComposeError {
    ComposeError::EnvFile { line, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(file: &str) -> Result<Environment, ComposeError> {
        let mut environment = Environment::of(|name| (name == "SET").then(|| "outside".to_owned())).ok().unwrap();
        environment.add(file.as_bytes()).map(|()| environment)
    }

    #[test]
    fn lines_are_read_as_dockers_env_files() {
        let file = "\u{feff}# comment\n\nA=1\n export B = two words # comment\nC='single $A \\n # no'\nD=\"double ${A}\\t\\\"x\\\" \\$A\"\n\
            E=\nF=a#b\nSET=inside\nG=$SET/${A}\nH='two\nlines'\nA=2\nI=last=one";
        let environment = environment(file).ok().unwrap();
        let table = [
            ("A", "2"),
            ("B", "two words"),
            ("C", "single $A \\n # no"),
            ("D", "double 1\t\"x\" $A"),
            ("E", ""),
            ("F", "a#b"),
            ("SET", "outside"),
            ("G", "outside/1"),
            ("H", "two\nlines"),
            ("I", "last=one"),
        ];
        for (name, value) in table {
            assert_eq!(environment.get(name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(environment.get("Z"), None);
        assert_eq!(environment.fill("x${A}${Z:-z}").unwrap(), "x2z");
        assert_eq!(environment.value("I").ok().unwrap().unwrap().expose(), b"last=one");
        assert!(environment.value("E").ok().unwrap().is_none() && environment.value("Z").ok().unwrap().is_none());
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line_and_never_quoted() {
        for (file, expected) in [
            ("A=1\nhunter2\n", "line 2: there is no '='"),
            ("=hunter2", "line 1: there is no name"),
            ("A='hunter2\n", "line 1: the quote is not closed"),
            ("A='hunter2' b\n", "line 1: something follows"),
            ("A=${hunter2:?hunter2}\n", "line 1: a variable in the value"),
        ] {
            let words = environment(file).err().unwrap().to_string();
            assert!(words.contains(expected) && !words.contains("hunter2"), "{file}: {words}");
        }
        let long = format!("A={}\nB={}\n", "x".repeat(400_000), "y".repeat(200_000));
        assert!(environment(&long).err().unwrap().to_string().contains("line 2: all values together are too long"));
    }
}
