//! How text from outside is checked and shown: escaped and shortened, so that it can neither forge a log line nor flood one.

use std::fmt::Write;

/// What every type has that is a checked text: it is read as text, shown as text, and made from text by its own `parse`.
macro_rules! text_type {
    ($name:ident) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = ModelError;

            fn try_from(text: String) -> Result<Self, ModelError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> String {
                text.0
            }
        }
    };
}

pub(super) use text_type;

/// The most characters of foreign text that a message shows.
const SHOWN: usize = 128;

/// The most characters of a foreign line that a log keeps.
const SHOWN_LINE: usize = 1024;

/// `text` fit for a message: control characters and non-ASCII escaped, cut after 128 characters.
pub fn escaped(text: &str) -> String {
    escaped_to(text, SHOWN)
}

/// A whole line from outside, fit for a log: as [`escaped`], cut after 1,024 characters.
pub fn escaped_line(text: &str) -> String {
    escaped_to(text, SHOWN_LINE)
}

fn escaped_to(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == most {
            shown.push('…');
            break;
        }
        match character {
            ' '..='~' => shown.push(character),
            other => {
                // Writing to a String cannot fail.
                let _ = write!(shown, "{}", other.escape_default());
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn control_bytes_cannot_forge_a_line() {
        assert_eq!(escaped("a\nb\x1b[31m"), "a\\nb\\u{1b}[31m");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(escaped(&"x".repeat(1000)).chars().count(), 129);
    }
}
