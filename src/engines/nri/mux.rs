//! Several connections over one socket, as NRI has it: frames of a connection's number, a length, and so many bytes. It
//! does not know what is said on a connection. A peer's length is checked before anything is read or kept.
//!
//! Source: containerd/nri, `pkg/net/multiplex`.

use std::io::{self, Read, Write};

/// On which the runtime calls the plugin.
pub(super) const PLUGIN: u32 = 1;
/// On which the plugin calls the runtime.
pub(super) const RUNTIME: u32 = 2;

/// A connection's number and a length, each of 32 bits, big-endian.
const HEADER: usize = 8;
/// The longest payload that is read: the longest message with its header (upstream writes no longer frame).
const MAX_PAYLOAD: u32 = 4 * 1024 * 1024 + 10;
/// The longest payload that is written: upstream reads into a buffer of this many bytes, and fails where a frame has more.
const MAX_WRITTEN: usize = 4096;
/// How much is read at a time.
const CHUNK: usize = 16 * 1024;

/// Reads one frame, and gives its bytes to `take` as they come, with the connection's number. A frame may have none.
///
/// # Errors
/// `InvalidData` for a frame that is too long; `UnexpectedEof` where the peer has gone; those of read(2).
pub(super) fn read(from: &mut impl Read, mut take: impl FnMut(u32, &[u8])) -> io::Result<()> {
    let mut header = [0; HEADER];
    from.read_exact(&mut header)?;
    let [a, b, c, d, e, f, g, h] = header;
    let (connection, length) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
    if length > MAX_PAYLOAD {
        let words = format!("a frame of {length} bytes came; the longest is {MAX_PAYLOAD}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, words));
    }
    let mut left = length as usize;
    let mut chunk = [0; CHUNK];
    while left > 0 {
        let part = &mut chunk[..left.min(CHUNK)];
        from.read_exact(part)?;
        take(connection, part);
        left -= part.len();
    }
    Ok(())
}

/// Writes `bytes` on a connection, in as many frames as it takes.
///
/// # Errors
/// Those of write(2).
pub(super) fn write(to: &mut impl Write, connection: u32, bytes: &[u8]) -> io::Result<()> {
    for part in bytes.chunks(MAX_WRITTEN) {
        let length = u32::try_from(part.len()).map_err(io::Error::other)?;
        to.write_all(&[&connection.to_be_bytes()[..], &length.to_be_bytes(), part].concat())?;
    }
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(mut bytes: &[u8]) -> io::Result<Vec<(u32, Vec<u8>)>> {
        let mut read_ones: Vec<(u32, Vec<u8>)> = Vec::new();
        while !bytes.is_empty() {
            let mut got = None;
            read(&mut bytes, |connection, part| {
                got.get_or_insert((connection, Vec::new())).1.extend_from_slice(part);
            })?;
            read_ones.extend(got);
        }
        Ok(read_ones)
    }

    #[test]
    fn what_is_written_is_read() {
        let long = vec![7; MAX_WRITTEN + 1];
        let mut wire = Vec::new();
        write(&mut wire, RUNTIME, &long).unwrap();
        write(&mut wire, PLUGIN, b"x").unwrap();
        assert_eq!(wire[..HEADER], [0, 0, 0, 2, 0, 0, 0x10, 0]);
        let expected = [(RUNTIME, vec![7; MAX_WRITTEN]), (RUNTIME, vec![7]), (PLUGIN, b"x".to_vec())];
        assert_eq!(frames(&wire).unwrap(), expected);
    }

    #[test]
    fn the_longest_frame_is_read_and_a_longer_one_is_refused_before_its_bytes() {
        let frame = |length: u32| [&1u32.to_be_bytes()[..], &length.to_be_bytes()].concat();
        let whole = [frame(MAX_PAYLOAD), vec![1; MAX_PAYLOAD as usize]].concat();
        assert_eq!(frames(&whole).unwrap()[0].1.len(), MAX_PAYLOAD as usize);
        for length in [MAX_PAYLOAD + 1, u32::MAX] {
            let error = frames(&frame(length)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        }
    }

    #[test]
    fn a_frame_that_is_cut_off_is_an_error_and_an_empty_one_is_none() {
        assert_eq!(frames(&[0, 0, 0, 1, 0, 0, 0, 0]).unwrap(), []);
        for cut in [&[0, 0, 0, 1][..], &[0, 0, 0, 1, 0, 0, 0, 2, 9]] {
            assert_eq!(frames(cut).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
