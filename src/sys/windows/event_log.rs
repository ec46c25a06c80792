//! The Event Log: our source in it, and lines with the severity that its viewer shows.

use std::ffi::OsStr;
use std::io;

use windows_sys::Win32::Foundation::{ERROR_FILE_NOT_FOUND, HANDLE};
use windows_sys::Win32::System::EventLog::{
    DeregisterEventSource, EVENTLOG_ERROR_TYPE, EVENTLOG_INFORMATION_TYPE, EVENTLOG_WARNING_TYPE, RegisterEventSourceW,
    ReportEventW,
};
use windows_sys::Win32::System::Registry::{
    HKEY_LOCAL_MACHINE, REG_DWORD, REG_EXPAND_SZ, RegDeleteTreeW, RegSetKeyValueW,
};

use super::{check, wide};

/// Where sources of the log `Application` are registered.
const SOURCES: &str = r"SYSTEM\CurrentControlSet\Services\EventLog\Application";
/// A program of every Windows whose messages 1 to 1000 are the text that comes with the event.
const MESSAGES: &str = r"%SystemRoot%\System32\EventCreate.exe";

/// The longest text of an event, in UTF-16 units, is 31,839; here each character counts for one that might be put behind it.
const MAX_UNITS: usize = 31_000;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Something failed.
    Error,
    /// Somebody should look at something.
    Warning,
    /// Something was done.
    Information,
}

/// An open source of events.
#[derive(Debug)]
pub struct Source(HANDLE);

// SAFETY: the handle is a number that any thread may use; the calls on it are made one by one by the system.
unsafe impl Send for Source {}
// SAFETY: as above.
unsafe impl Sync for Source {}

impl Source {
    /// Opens the source `name`, registered or not.
    ///
    /// # Errors
    /// Those of RegisterEventSourceW.
    pub fn open(name: &str) -> io::Result<Self> {
        let name = wide(OsStr::new(name))?;
        // SAFETY: the name is NUL-terminated; null is this machine.
        let handle = unsafe { RegisterEventSourceW(std::ptr::null(), name.as_ptr()) };
        if handle.is_null() { Err(io::Error::last_os_error()) } else { Ok(Self(handle)) }
    }

    /// Writes one event with the number `id` (1 to 1000).
    ///
    /// # Errors
    /// Those of ReportEventW.
    pub fn report(&self, severity: Severity, id: u32, text: &str) -> io::Result<()> {
        let text = wide(OsStr::new(&insertable(text)))?;
        let kind = match severity {
            Severity::Error => EVENTLOG_ERROR_TYPE,
            Severity::Warning => EVENTLOG_WARNING_TYPE,
            Severity::Information => EVENTLOG_INFORMATION_TYPE,
        };
        let texts = [text.as_ptr()];
        // SAFETY: the source is open; there is one NUL-terminated text, and neither user nor data.
        check(unsafe {
            ReportEventW(self.0, kind, 0, id, std::ptr::null_mut(), 1, 0, texts.as_ptr(), std::ptr::null())
        })
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and closed once.
        unsafe { DeregisterEventSource(self.0) };
    }
}

/// Registers the source `name`, so that the viewer shows its texts as they are.
///
/// # Errors
/// Those of RegSetKeyValueW.
pub fn register(name: &str) -> io::Result<()> {
    let messages = wide(OsStr::new(MESSAGES))?;
    let bytes: Vec<u8> = messages.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    set_value(name, "EventMessageFile", REG_EXPAND_SZ, &bytes)?;
    let all = EVENTLOG_ERROR_TYPE | EVENTLOG_WARNING_TYPE | EVENTLOG_INFORMATION_TYPE;
    set_value(name, "TypesSupported", REG_DWORD, &u32::from(all).to_le_bytes())
}

/// Takes the registration of `name` away; one that is not there is gone already.
///
/// # Errors
/// Those of RegDeleteTreeW.
pub fn unregister(name: &str) -> io::Result<()> {
    let key = wide(OsStr::new(&format!(r"{SOURCES}\{name}")))?;
    // SAFETY: the name is NUL-terminated, and the root is one of the system's own.
    match unsafe { RegDeleteTreeW(HKEY_LOCAL_MACHINE, key.as_ptr()) } {
        0 | ERROR_FILE_NOT_FOUND => Ok(()),
        code => Err(io::Error::from_raw_os_error(code.cast_signed())),
    }
}

/// `text` as an event can have it: no NUL, nothing that the viewer would put something else in place of (it knows no way to
/// say that `%1` is meant), and not too long.
///
/// Source: ReportEventW, lpStrings; MS-EVEN, 3.2.4.1.5.
fn insertable(text: &str) -> String {
    let (mut safe, mut units) = (String::with_capacity(text.len()), 0);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        units += character.len_utf16() + 1;
        if units > MAX_UNITS {
            safe.push('…');
            break;
        }
        safe.push(if character == '\0' { ' ' } else { character });
        let follows = |next: &char| next.is_ascii_digit() || matches!(next, '%' | '{' | '!');
        if character == '%' && characters.peek().is_some_and(follows) {
            safe.push(' ');
        }
    }
    safe
}

fn set_value(source: &str, value: &str, kind: u32, bytes: &[u8]) -> io::Result<()> {
    let key = wide(OsStr::new(&format!(r"{SOURCES}\{source}")))?;
    let value = wide(OsStr::new(value))?;
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    // SAFETY: both names are NUL-terminated, the data is as long as it is said to be.
    let code = unsafe {
        RegSetKeyValueW(HKEY_LOCAL_MACHINE, key.as_ptr(), value.as_ptr(), kind, bytes.as_ptr().cast(), length)
    };
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code.cast_signed())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_registered_written_to_and_taken_away() {
        let name = format!("runsecrets-test-{}", std::process::id());
        register(&name).unwrap();
        let source = Source::open(&name).unwrap();
        for severity in [Severity::Error, Severity::Warning, Severity::Information] {
            source.report(severity, 1, "a text\0with a NUL").unwrap();
        }
        source.report(Severity::Error, 1, &"long ".repeat(20_000)).unwrap();
        unregister(&name).unwrap();
        unregister(&name).unwrap();
    }

    #[test]
    fn an_event_says_what_it_was_given_to_say() {
        assert_eq!(insertable("as it is, 100% of it"), "as it is, 100% of it");
        assert_eq!(insertable("fe80::1%1 %%2 %{S-1} a\0b"), "fe80::1% 1 % % 2 % {S-1} a b");
        let cut = insertable(&"%1".repeat(100_000));
        assert!(cut.ends_with('…') && cut.encode_utf16().count() <= MAX_UNITS);
    }
}
