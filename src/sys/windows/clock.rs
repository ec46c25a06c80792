//! The clock that nobody sets and that runs while the machine sleeps.

use std::time::Duration;

use windows_sys::Win32::System::SystemInformation::GetTickCount64;

/// Time since Windows was started, sleep included; in steps of some 16 ms.
pub fn since_boot() -> Duration {
    // SAFETY: the call takes nothing and cannot fail.
    Duration::from_millis(unsafe { GetTickCount64() })
}
