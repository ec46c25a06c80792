//! What stands in the place of a value that is overwritten.

use std::fs::File;
use std::io::{self, Seek, Write};

/// One piece of it.
pub(super) static ZEROES: [u8; 64 * 1024] = [0; 64 * 1024];

/// Zeroes the first `size` bytes of `file`.
///
/// # Errors
/// Those of writing; some of it may be as it was then.
pub(super) fn zero(file: &mut File, size: u64) -> io::Result<()> {
    file.rewind()?;
    let mut left = size;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(ZEROES.len()).min(ZEROES.len());
        file.write_all(&ZEROES[..part])?;
        left -= part as u64;
    }
    Ok(())
}
