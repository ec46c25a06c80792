//! One component of a Windows path, judged before Win32 sees it: Win32 mangles some names without a word (a trailing dot),
//! gives others another meaning (`NUL`, `a:stream`), and has two names for one thing (`PROGRA~1`). Pure.

/// The longest component, in UTF-16 units.
///
/// Source: Naming Files, Paths, and Namespaces (Microsoft Learn).
pub(super) const MAX_COMPONENT: usize = 255;

/// Characters that no name of Win32 may have; the separators and the colon are judged before.
const FORBIDDEN: [char; 6] = ['<', '>', '"', '|', '?', '*'];
/// Names that are devices in every directory, with any extension.
const DEVICES: [&str; 7] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"];
/// Devices with a digit behind; superscript 1, 2 and 3 are digits to Win32.
const NUMBERED: [&str; 2] = ["COM", "LPT"];

/// Why a name cannot stand in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameFault {
    /// `.` or `..`.
    Dots,
    /// A colon: an alternate stream, or a drive in the middle.
    Stream,
    /// A dot or a space at the end, which Win32 takes away.
    Trailing,
    /// The name of a device.
    Device,
    /// A character that no name may have.
    Character(char),
    /// The form of a short name, which may be a second name of something else.
    Short,
    /// Too many UTF-16 units.
    Long,
}

impl NameFault {
    /// What is wrong, to stand behind "because".
    pub fn reason(self) -> String {
        match self {
            Self::Dots => "it has a '.' or '..' in it".to_owned(),
            Self::Stream => "a colon in a name means an alternate data stream".to_owned(),
            Self::Trailing => "Windows drops a dot or a space at the end of a name".to_owned(),
            Self::Device => "it has the name of a device in it (CON, NUL, COM1, …)".to_owned(),
            Self::Character(character) => format!("Windows allows no '{}' in a name", character.escape_default()),
            Self::Short => "it has the form of a short name (PROGRA~1), which may be another file's".to_owned(),
            Self::Long => format!("it has a name of more than {MAX_COMPONENT} characters in it"),
        }
    }
}

/// Judges one component, which is not empty and has no separator.
///
/// # Errors
/// The first [`NameFault`] that applies.
pub fn check_name(name: &str) -> Result<(), NameFault> {
    if name == "." || name == ".." {
        return Err(NameFault::Dots);
    }
    if let Some(character) = name.chars().find(|character| character.is_control() || FORBIDDEN.contains(character)) {
        return Err(NameFault::Character(character));
    }
    if name.contains(':') {
        return Err(NameFault::Stream);
    }
    if name.ends_with(['.', ' ']) {
        return Err(NameFault::Trailing);
    }
    if is_device(name) {
        return Err(NameFault::Device);
    }
    if is_short(name) {
        return Err(NameFault::Short);
    }
    if units(name) > MAX_COMPONENT {
        return Err(NameFault::Long);
    }
    Ok(())
}

/// How long `text` is to Windows.
pub(super) fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// `text` as NTFS compares names. Where its own table is narrower than Unicode's, two names count as one that are not: that
/// refuses too much and never too little.
pub fn folded(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).collect()
}

/// A device keeps its meaning with an extension, and with spaces before it.
fn is_device(name: &str) -> bool {
    let base = name.split('.').next().unwrap_or_default().trim_end_matches(' ').to_ascii_uppercase();
    let numbered = |device: &str| {
        let mut rest = base.strip_prefix(device).unwrap_or_default().chars();
        matches!((rest.next(), rest.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
    };
    DEVICES.contains(&base.as_str()) || NUMBERED.iter().any(|device| numbered(device))
}

/// `NAME~1.EXT`: at most eight characters with a tilde and digits at the end, and at most three behind the dot.
fn is_short(name: &str) -> bool {
    let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let Some((_, digits)) = base.rsplit_once('~') else { return false };
    let numbered = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    numbered && base.chars().count() <= 8 && extension.chars().count() <= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_taken() {
        for name in ["app", "site.conf", ".env", "a b", "COMMON", "COM10", "nullable", "con-fig", "a~b", "ssh~key.pem1"]
        {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn devices_are_refused_in_every_form() {
        for name in [
            "CON",
            "con",
            "nul",
            "NUL.txt",
            "nul.tar.gz",
            "Aux",
            "PRN.x",
            "COM1",
            "com9.log",
            "LPT3",
            "COM¹",
            "lpt².txt",
            "COM³",
            "CONIN$",
            "conout$",
            "CLOCK$",
            "NUL .txt",
            "COM0",
        ] {
            assert_eq!(check_name(name), Err(NameFault::Device), "{name}");
        }
    }

    #[test]
    fn what_win32_mangles_or_reads_otherwise_is_refused() {
        for (name, fault) in [
            (".", NameFault::Dots),
            ("..", NameFault::Dots),
            ("a:stream", NameFault::Stream),
            ("a::$DATA", NameFault::Stream),
            ("a.", NameFault::Trailing),
            ("a ", NameFault::Trailing),
            ("...", NameFault::Trailing),
            ("a*", NameFault::Character('*')),
            ("a\"", NameFault::Character('"')),
            ("a\u{1}", NameFault::Character('\u{1}')),
            ("a\u{85}", NameFault::Character('\u{85}')),
            ("PROGRA~1", NameFault::Short),
            ("secret~2.key", NameFault::Short),
        ] {
            assert_eq!(check_name(name), Err(fault), "{name:?}");
        }
        assert_eq!(check_name(&"é".repeat(255)), Ok(()));
        assert_eq!(check_name(&"😀".repeat(128)), Err(NameFault::Long), "two units each");
    }

    #[test]
    fn names_are_compared_as_ntfs_does() {
        assert_eq!(folded("Site.Conf"), folded("sITE.cONF"));
        assert_eq!(folded("straße"), folded("STRASSE"), "too strict, on the safe side");
        assert_eq!(folded("ключ"), folded("КЛЮЧ"));
        assert_ne!(folded("a"), folded("b"));
    }
}
