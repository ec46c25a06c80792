//! A value from a file or standard input into locked memory, and from there into the body of one request. It never
//! comes from the command line and is never shown.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::CliError;
use crate::secret::{MAX_VALUE, SecretBytes};
use crate::sys::here::{file, process};

/// Called before a value comes into this process: no core file, and no look into its memory.
///
/// # Errors
/// [`CliError::Protection`].
pub(super) fn protect() -> Result<(), CliError> {
    process::forbid_core_files().and_then(|()| process::forbid_dumps()).map_err(CliError::Protection)
}

/// Reads the whole of `path`, or of standard input when it is `-`.
///
/// # Errors
/// [`CliError::Read`], [`CliError::Empty`], [`CliError::TooLong`] above 511,999 bytes, [`CliError::Memory`].
pub(super) fn read(path: &Path) -> Result<SecretBytes, CliError> {
    // The descriptor itself: the standard library's buffered reader would keep a copy.
    if path == Path::new("-") {
        read_from(file::standard_input(), "STDIN")
    } else {
        read_from(File::open(path), &path.display().to_string())
    }
}

/// Reads the whole of what `opened` gave, as a value; messages call it `from`.
///
/// # Errors
/// As [`read`].
pub(super) fn read_from(opened: io::Result<File>, from: &str) -> Result<SecretBytes, CliError> {
    let failed = |call| move |cause| CliError::Read { from: from.to_owned(), call, cause };
    let value = read_all(opened.map_err(failed("open"))?, failed("read"))?;
    if value.is_empty() { Err(CliError::Empty { from: from.to_owned() }) } else { Ok(value) }
}

/// Reads all of `input`; it may be empty.
///
/// # Errors
/// What `failed` makes, [`CliError::TooLong`], [`CliError::Memory`].
pub(super) fn read_all(
    mut input: impl Read,
    failed: impl FnOnce(io::Error) -> CliError,
) -> Result<SecretBytes, CliError> {
    // One byte more than allowed tells a value that is too long from one that just fits.
    let mut value = SecretBytes::zeroed(MAX_VALUE + 1).map_err(CliError::Memory)?;
    let mut filled = 0;
    loop {
        match input.read(&mut value.expose_mut()[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
        if filled > MAX_VALUE {
            return Err(CliError::TooLong);
        }
    }
    value.truncate(filled);
    Ok(value)
}

/// The JSON object `head` (serialised, with its closing brace and at least one field) with the value as one more field
/// `Data`, in base64.
///
/// The buffer never grows, so there is one copy; the program's allocator wipes it when it is freed.
pub(super) fn body_with_value(head: &[u8], value: Option<&SecretBytes>) -> Vec<u8> {
    let Some(value) = value else { return head.to_vec() };
    let open = head.strip_suffix(b"}").unwrap_or(head);
    let mut body = Vec::with_capacity(open.len() + FIELD.len() + encoded_length(value) + 2);
    body.extend_from_slice(open);
    body.extend_from_slice(FIELD);
    encode(value, &mut body);
    body.extend_from_slice(b"\"}");
    body
}

/// The same with several values, as a field `Secrets` of objects with `Name` and `Data`.
pub(super) fn body_with_values(head: &[u8], values: &[(&str, SecretBytes)]) -> Vec<u8> {
    let open = head.strip_suffix(b"}").unwrap_or(head);
    let names: Vec<String> = values.iter().map(|(name, _)| serde_json::to_string(name).unwrap_or_default()).collect();
    let members = names.iter().zip(values).map(|(name, (_, value))| MEMBER.len() + name.len() + encoded_length(value));
    let length = open.len() + LIST.len() + members.map(|member| member + FIELD.len() + 3).sum::<usize>() + 2;
    let mut body = Vec::with_capacity(length);
    body.extend_from_slice(open);
    body.extend_from_slice(LIST);
    for (number, (name, (_, value))) in names.iter().zip(values).enumerate() {
        body.extend_from_slice(if number == 0 { b"" } else { b"," });
        body.extend_from_slice(MEMBER);
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(FIELD);
        encode(value, &mut body);
        body.extend_from_slice(b"\"}");
    }
    body.extend_from_slice(b"]}");
    debug_assert!(body.len() <= length);
    body
}

fn encoded_length(value: &SecretBytes) -> usize {
    base64::encoded_len(value.len(), true).unwrap_or(0)
}

/// Appends `value` in base64; there is room for it.
fn encode(value: &SecretBytes, body: &mut Vec<u8>) {
    let (start, length) = (body.len(), encoded_length(value));
    body.resize(start + length, 0);
    let written = STANDARD.encode_slice(value.expose(), &mut body[start..]).unwrap_or(0);
    debug_assert_eq!(written, length);
}

const LIST: &[u8] = b",\"Secrets\":[";
const MEMBER: &[u8] = b"{\"Name\":";
const FIELD: &[u8] = b",\"Data\":\"";

#[cfg(test)]
mod tests {
    use super::*;

    fn read_bytes(bytes: &[u8]) -> Result<usize, String> {
        let failed = |cause: io::Error| CliError::Read { from: "x".into(), call: "read", cause };
        read_all(bytes, failed).map(|value| value.len()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_longest_value_fits_and_one_byte_more_does_not() {
        assert_eq!(read_bytes(&vec![0; 511_999]), Ok(511_999));
        let words = "secret data must be larger than 0 and less than 512000 bytes";
        assert_eq!(read_bytes(&vec![0; 512_000]).unwrap_err(), words);
        assert_eq!(read_bytes(&vec![0; 5_000_000]).unwrap_err(), words);
    }

    // In the system's words, which are others on Windows.
    #[cfg(target_os = "linux")]
    #[test]
    #[cfg(target_os = "linux")]
    fn faults_are_told_as_docker_tells_them() {
        let words = |file: &str| read(Path::new(file)).err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(words("/nonexist"), "error reading from /nonexist: open /nonexist: no such file or directory");
        assert_eq!(words("/"), "error reading from /: read /: is a directory");
        assert_eq!(words("/dev/null"), "error reading from /dev/null: data is empty");
        assert!(words("/dev/zero").contains("less than 512000 bytes"));
    }

    #[test]
    fn the_body_is_json_with_the_value_in_base64() {
        for (bytes, text) in [(&b"a"[..], "YQ=="), (b"ab", "YWI="), (b"abc", "YWJj"), (b"\0\xff", "AP8=")] {
            let value = SecretBytes::take_from(&mut bytes.to_vec()).unwrap();
            let body = body_with_value(br#"{"Name":"n"}"#, Some(&value));
            assert_eq!(body, format!("{{\"Name\":\"n\",\"Data\":\"{text}\"}}").into_bytes());
            assert_eq!(body.len(), body.capacity());
        }
        assert_eq!(body_with_value(b"{}", None), b"{}");
        let value = |text: &str| SecretBytes::take_from(&mut text.as_bytes().to_vec()).unwrap();
        let body = body_with_values(br#"{"Live":true}"#, &[("n\"", value("a")), ("m", value("ab"))]);
        let text = r#"{"Live":true,"Secrets":[{"Name":"n\"","Data":"YQ=="},{"Name":"m","Data":"YWI="}]}"#;
        assert_eq!(body, text.as_bytes());
    }
}
