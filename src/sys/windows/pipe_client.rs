//! The client's end of a named pipe. Anybody may make a pipe of any name while nobody else has it, so the client shows the
//! server no more than who it is, and asks whose process the server is before it says anything.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsRawHandle;
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::ERROR_PIPE_BUSY;
use windows_sys::Win32::Storage::FileSystem::SECURITY_IDENTIFICATION;
use windows_sys::Win32::System::Pipes::GetNamedPipeServerProcessId;

use super::check;
use super::token::Token;

/// How long is waited between two tries at a pipe all of whose ends are taken.
const PAUSE: Duration = Duration::from_millis(20);

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

/// Whether the process that serves `pipe` is SYSTEM's, an administrator's, or of the user of this process.
///
/// # Errors
/// Those of the calls; nothing is known of the server then.
pub fn server_is_trusted(pipe: &File) -> io::Result<bool> {
    let mut pid = 0;
    // SAFETY: the pipe is open; the number goes to a variable of ours.
    check(unsafe { GetNamedPipeServerProcessId(pipe.as_raw_handle(), &raw mut pid) })?;
    let server = Token::of_process(pid)?;
    Ok(server.is_privileged()? || server.user()? == Token::own()?.user()?)
}
