//! The function by which the service control manager starts a service: the rest of that conversation is the crate's.

use std::ffi::OsString;
use std::sync::OnceLock;

use windows_service::{define_windows_service, service_dispatcher};

static MAIN: OnceLock<fn()> = OnceLock::new();

define_windows_service!(entry, begin);

fn begin(_arguments: Vec<OsString>) {
    if let Some(main) = MAIN.get() {
        main();
    }
}

/// Tells the service control manager that this process is the service `name`; it calls `main` on a thread of its own. Returns
/// when the service has stopped.
///
/// # Errors
/// The process was not started by the service control manager.
pub fn dispatch(name: &str, main: fn()) -> windows_service::Result<()> {
    MAIN.get_or_init(|| main);
    service_dispatcher::start(name, entry)
}
