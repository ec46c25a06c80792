//! What a process does to itself before it touches a secret, and what it can be asked about itself.

use std::ffi::{CStr, c_void};
use std::io;

use windows_sys::Win32::System::Diagnostics::Debug::{
    SEM_FAILCRITICALERRORS, SEM_NOGPFAULTERRORBOX, SEM_NOOPENFILEERRORBOX, SetErrorMode,
};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};

/// No heap in a report of a crash (WER_FAULT_REPORTING_FLAG_NOHEAP), and none queued (…_NO_UI is the error mode's).
const REPORT_WITHOUT_HEAP: u32 = 1;

/// No dialogue and no debugger when the process crashes.
///
/// # Errors
/// None.
pub fn forbid_core_files() -> io::Result<()> {
    // SAFETY: the call takes flags only.
    unsafe { SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX | SEM_NOOPENFILEERRORBOX) };
    Ok(())
}

/// No heap in reports of a crash, where Windows makes them. Not promised: a debugger of an administrator's is not kept out.
///
/// Source: WerSetFlags.
///
/// # Errors
/// None.
pub fn forbid_dumps() -> io::Result<()> {
    if let Some(function) = find(c"WerSetFlags") {
        // SAFETY: WerSetFlags has had this signature since it exists (Windows Vista).
        let set: unsafe extern "system" fn(u32) -> i32 = unsafe { std::mem::transmute(function) };
        // SAFETY: the call takes flags only.
        unsafe { set(REPORT_WITHOUT_HEAP) };
    }
    Ok(())
}

/// Leaves `size` bytes at `base` out of error reports, where Windows can (10, version 1607).
pub(super) fn leave_out_of_reports(base: *const c_void, size: usize) {
    let (Some(function), Ok(size)) = (find(c"WerRegisterExcludedMemoryBlock"), u32::try_from(size)) else { return };
    // SAFETY: WerRegisterExcludedMemoryBlock has had this signature since it exists.
    let exclude: unsafe extern "system" fn(*const c_void, u32) -> i32 = unsafe { std::mem::transmute(function) };
    // SAFETY: the range is only noted; it stays mapped as long as the process.
    unsafe { exclude(base, size) };
}

/// A function of kernel32, if this Windows has it.
fn find(name: &CStr) -> Option<unsafe extern "system" fn() -> isize> {
    let library: Vec<u16> = "kernel32.dll\0".encode_utf16().collect();
    // SAFETY: the name is NUL-terminated; kernel32 is in every process and is never unloaded.
    let module = unsafe { GetModuleHandleW(library.as_ptr()) };
    if module.is_null() {
        return None;
    }
    // SAFETY: the module is loaded, and the name is NUL-terminated.
    unsafe { GetProcAddress(module, name.as_ptr().cast()) }
}

/// The number of a user: Windows has names of another kind, so only a number is one.
///
/// # Errors
/// None.
pub fn user_id(text: &str) -> io::Result<Option<u32>> {
    Ok(text.parse().ok())
}

/// The version of Windows as its own tools say it, `10.0.20348`; empty where it cannot be had.
pub fn kernel_release() -> String {
    use windows_sys::Win32::System::SystemInformation::{GetVersionExW, OSVERSIONINFOW};
    let mut version =
        OSVERSIONINFOW { dwOSVersionInfoSize: size_of::<OSVERSIONINFOW>() as u32, ..OSVERSIONINFOW::default() };
    // SAFETY: the structure is ours, and says its size.
    match unsafe { GetVersionExW(&raw mut version) } {
        0 => String::new(),
        _ => format!("{}.{}.{}", version.dwMajorVersion, version.dwMinorVersion, version.dwBuildNumber),
    }
}

/// Runs the program of `command` and ends with its exit code; returns only what kept it from running.
pub fn become_program(mut command: std::process::Command) -> io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}
