//! The client's end of a named pipe. Anybody may make a pipe of any name while nobody else has it, so the client shows the
//! server no more than who it is, and asks whose the pipe is before it says anything.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsRawHandle;
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::ERROR_PIPE_BUSY;
use windows_sys::Win32::Storage::FileSystem::SECURITY_IDENTIFICATION;

use super::acl;
use super::token::Token;
use crate::sys::sddl::is_privileged;

/// How long is waited between two tries at a pipe all of whose ends are taken.
const PAUSE: Duration = Duration::from_millis(20);

/// What is said of a pipe that [`server_is_trusted`] does not trust.
pub const IMPOSTOR: &str =
    "the pipe is neither SYSTEM's nor the administrators': another program has taken its name, so nothing was sent";

/// Connects to the pipe `name`; waits for `patience` where all its ends are taken.
///
/// # Errors
/// Those of CreateFileW; `NotFound` where nobody has made the pipe.
pub fn connect(name: &OsStr, patience: Duration) -> io::Result<File> {
    let start = Instant::now();
    loop {
        let opened = OpenOptions::new().read(true).write(true).security_qos_flags(SECURITY_IDENTIFICATION).open(name);
        let busy = |error: &io::Error| error.raw_os_error() == Some(ERROR_PIPE_BUSY.cast_signed());
        match opened {
            Err(error) if busy(&error) && start.elapsed() < patience => std::thread::sleep(PAUSE),
            opened => return opened,
        }
    }
}

/// Whether whoever made `pipe`, which was opened to read, is SYSTEM, the administrators, or the user of this process: its
/// owner says so, which nobody else can set to one of them. (The number of the server's process does not say it: a number is
/// used again, and the token behind it opens for no administrator where the server is SYSTEM.)
///
/// # Errors
/// Those of the calls; nothing is known of the server then.
pub fn server_is_trusted(pipe: &impl AsRawHandle) -> io::Result<bool> {
    let owner = acl::owner_of(pipe)?;
    Ok(is_privileged(&owner) || owner == Token::own()?.user()?.sid)
}

#[cfg(all(test, feature = "agent"))]
mod tests {
    use super::*;
    use crate::sys::sddl::PRIVATE_PIPE;
    use crate::sys::windows::pipe;

    /// ERROR_INVALID_OWNER: Windows itself lets nobody make what is somebody else's.
    const INVALID_OWNER: i32 = 1307;

    #[test]
    fn a_pipe_of_somebody_elses_is_not_trusted() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        for (number, (list, trusted)) in
            [(PRIVATE_PIPE, true), ("O:SYD:P(A;;GA;;;WD)", true), ("O:BUD:P(A;;GA;;;WD)", false)]
                .into_iter()
                .enumerate()
        {
            let name = format!(r"\\.\pipe\runsecrets-server-{}-{number}", std::process::id());
            match pipe::listen(&name, list, true) {
                Ok(_server) => {
                    let client = connect(OsStr::new(&name), Duration::ZERO).unwrap();
                    assert_eq!(server_is_trusted(&client).unwrap(), trusted, "{list}");
                }
                Err(error) => assert_eq!(error.raw_os_error(), Some(INVALID_OWNER), "{list}"),
            }
        }
    }
}
