//! `${VARIABLE}` in texts of a compose file, as the Compose specification has it. Pure; no message shows what a variable
//! holds, which may be a password.
//!
//! Source: Compose specification, "Interpolation".

use super::error::ComposeError;

/// The longest result, in bytes.
const MAX_RESULT: usize = 64 * 1024;
/// How deep a variable may stand in the default of another.
const MAX_DEPTH: usize = 16;

/// What stands for `$…` in `text`, appended to `result`; `lookup` knows the variables.
///
/// # Errors
/// [`ComposeError::Interpolation`], [`ComposeError::Required`].
pub(super) fn interpolate(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, ComposeError> {
    let mut expansion = Expansion { lookup, result: String::new() };
    let rest = expansion.run(text, 0, false)?;
    debug_assert!(rest.is_empty());
    Ok(expansion.result)
}

struct Expansion<'l> {
    lookup: &'l dyn Fn(&str) -> Option<String>,
    result: String,
}

impl Expansion<'_> {
    /// Expands `text` to its end, or within braces to the brace that closes them; gives what follows.
    fn run<'t>(&mut self, text: &'t str, depth: usize, braces: bool) -> Result<&'t str, ComposeError> {
        let mut rest = text;
        loop {
            let stop = rest.find(|character| character == '$' || (braces && character == '}'));
            let Some(stop) = stop else {
                if braces {
                    return Err(wrong("a '}' is missing"));
                }
                self.add(rest)?;
                return Ok("");
            };
            self.add(&rest[..stop])?;
            rest = &rest[stop..];
            if let Some(after) = rest.strip_prefix('}') {
                return Ok(after);
            }
            rest = self.variable(&rest[1..], depth)?;
        }
    }

    /// What follows a `$`; gives what comes after it.
    fn variable<'t>(&mut self, text: &'t str, depth: usize) -> Result<&'t str, ComposeError> {
        if let Some(rest) = text.strip_prefix('$') {
            self.add("$")?;
            return Ok(rest);
        }
        let Some(inner) = text.strip_prefix('{') else {
            let (name, rest) = name(text).ok_or_else(|| wrong("a '$' stands alone; write '$$' for one"))?;
            self.add(&(self.lookup)(name).unwrap_or_default())?;
            return Ok(rest);
        };
        if depth == MAX_DEPTH {
            return Err(wrong("variables lie too deep in one another"));
        }
        let (name, rest) = name(inner).ok_or_else(|| wrong("'${' begins no name of a variable"))?;
        let value = (self.lookup)(name);
        let (filled, operator) = match rest.strip_prefix(':') {
            Some(operator) => (value.as_ref().filter(|value| !value.is_empty()), operator),
            None => (value.as_ref(), rest),
        };
        let Some(after) = operator.strip_prefix(['-', '?', '+']) else {
            self.add(&value.unwrap_or_default())?;
            return rest.strip_prefix('}').ok_or_else(|| wrong("a '}' is missing, or an operator is unknown"));
        };
        let start = self.result.len();
        let rest = self.run(after, depth + 1, true)?;
        let word = self.result.split_off(start);
        match (operator.as_bytes().first(), filled) {
            (Some(b'+'), Some(_)) => self.add(&word)?,
            (Some(b'+'), None) => {}
            (_, Some(value)) => self.add(value)?,
            (Some(b'?'), None) => {
                // The words as they stand in the file: they may name other variables.
                let words = after[..after.len() - rest.len()].trim_end_matches('}').to_owned();
                return Err(ComposeError::Required { variable: name.to_owned(), words });
            }
            (_, None) => self.add(&word)?,
        }
        Ok(rest)
    }

    fn add(&mut self, text: &str) -> Result<(), ComposeError> {
        if self.result.len() + text.len() > MAX_RESULT {
            return Err(wrong("the result is longer than 64 KiB"));
        }
        self.result.push_str(text);
        Ok(())
    }
}

/// The name of a variable at the beginning of `text`, and what follows.
fn name(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|character: char| !character.is_ascii_alphanumeric() && character != '_').unwrap_or(text.len());
    let starts = text.starts_with(|character: char| character.is_ascii_alphabetic() || character == '_');
    starts.then(|| text.split_at(end))
}

fn wrong(what: &'static str) -> ComposeError {
    ComposeError::Interpolation { what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> String {
        let lookup = |name: &str| {
            let value = match name {
                "A" => "a",
                "EMPTY" => "",
                "LONG" => "0123456789abcdef",
                "MONEY" => "${A}",
                _ => return None,
            };
            Some(value.to_owned())
        };
        interpolate(text, &lookup).unwrap_or_else(|error| format!("! {error}"))
    }

    #[test]
    fn variables_are_read_as_the_specification_has_it() {
        let table = [
            ("plain", "plain"),
            ("$A ${A} x${A}y $A.z", "a a xay a.z"),
            ("$$A $${A} $$$A", "$A ${A} $a"),
            ("[$NONE] [${NONE}] [${EMPTY}]", "[] [] []"),
            ("${NONE:-d} ${EMPTY:-d} ${A:-d}", "d d a"),
            ("${NONE-d} ${EMPTY-d} ${A-d}", "d  a"),
            ("[${NONE:+r}] [${EMPTY:+r}] [${A:+r}]", "[] [] [r]"),
            ("[${NONE+r}] [${EMPTY+r}] [${A+r}]", "[] [r] [r]"),
            ("${NONE:-${EMPTY:-${A}}}/", "a/"),
            ("${NONE:-a:b-c?d}", "a:b-c?d"),
            ("${A:?no} ${EMPTY?no}", "a "),
            ("${MONEY}", "${A}"),
            ("a } b", "a } b"),
        ];
        for (text, expected) in table {
            assert_eq!(expanded(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let table = [
            ("${NONE:?set it}", "required variable NONE is missing a value: set it"),
            ("${EMPTY:?}", "required variable EMPTY is missing a value"),
            ("${NONE?${A}}", "required variable NONE is missing a value: ${A"),
            ("$", "a '$' stands alone"),
            ("$1", "a '$' stands alone"),
            ("${}", "begins no name"),
            ("${A", "a '}' is missing"),
            ("${A:-b", "a '}' is missing"),
            ("${A!}", "an operator is unknown"),
        ];
        for (text, expected) in table {
            assert!(
                expanded(text).starts_with("! ") && expanded(text).contains(expected),
                "{text}: {}",
                expanded(text)
            );
        }
    }

    #[test]
    fn it_ends_however_it_is_fed() {
        assert!(expanded(&"${NONE:-".repeat(1000)).contains("too deep"));
        assert!(expanded(&"$LONG".repeat(10_000)).contains("longer than 64 KiB"));
    }
}
