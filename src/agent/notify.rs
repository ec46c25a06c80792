//! Tells the service manager how far we are: one datagram, no library. A manager that is not there is no error.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tracing::warn;

/// The agent serves.
pub fn ready() {
    send("READY=1\nSTATUS=serving");
}

/// The agent is on its way out.
pub fn stopping() {
    send("STOPPING=1\nSTATUS=stopping");
}

/// Sends `state` to the socket that `NOTIFY_SOCKET` names, if any.
///
/// Source: sd_notify(3).
fn send(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send_to(&name, state) {
        warn!(%error, "cannot notify the service manager");
    }
}

fn send_to(name: &OsStr, state: &str) -> std::io::Result<()> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}
