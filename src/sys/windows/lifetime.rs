//! Processes as they are told apart in time: a number together with the moment of its start is no other process's.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};

use windows_sys::Win32::Foundation::{FILETIME, WAIT_TIMEOUT};
use windows_sys::Win32::System::Threading::{
    GetProcessTimes, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE, WaitForSingleObject,
};

use super::check;

/// When the process `pid`, which runs, was started: in units of 100 ns since 1601.
///
/// # Errors
/// Those of OpenProcess and GetProcessTimes; `NotFound` for one that has ended and is still known.
pub fn started(pid: u32) -> io::Result<u64> {
    // SAFETY: the call takes numbers only.
    let process = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE, 0, pid) };
    if process.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so the handle is ours alone.
    let process = unsafe { OwnedHandle::from_raw_handle(process) };
    // SAFETY: the handle is open.
    if unsafe { WaitForSingleObject(process.as_raw_handle(), 0) } != WAIT_TIMEOUT {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    }
    let mut times = [FILETIME::default(); 4];
    let [created, exited, kernel, user] = &mut times;
    // SAFETY: the handle is open, and each time goes to a variable of ours.
    check(unsafe { GetProcessTimes(process.as_raw_handle(), created, exited, kernel, user) })?;
    Ok(u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_start_while_it_runs() {
        let own = started(std::process::id()).unwrap();
        assert_eq!(started(std::process::id()).unwrap(), own);
        let mut child = std::process::Command::new("cmd.exe").args(["/c", "exit"]).spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(started(pid).is_err(), "it has ended");
    }
}
