//! How text from outside is shown: escaped and shortened, so that it can neither forge a log line nor flood one.

use std::fmt::Write;

/// The most characters of foreign text that a message shows.
const SHOWN: usize = 128;

/// `text` fit for a message: control characters and non-ASCII escaped, cut after 128 characters.
pub fn escaped(text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == SHOWN {
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
