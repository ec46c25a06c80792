//! Where the connection to a runtime comes from: handed over by the runtime that has started this program, or made to its
//! socket, again and again, since a plugin that is away leaves containers without their secrets.

use std::env::VarError;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::adjust::Wiring;
use super::error::NriError;
use super::plugin::{Identity, Plugin};
use crate::sys::linux::fds;

/// Set by a runtime for a plugin that it starts itself.
const SOCKET_VARIABLE: &str = "NRI_PLUGIN_SOCKET";
const NAME_VARIABLE: &str = "NRI_PLUGIN_NAME";
const INDEX_VARIABLE: &str = "NRI_PLUGIN_IDX";
/// The first pause between two attempts to connect; each is twice as long as the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest: to ask a Unix socket costs nothing, and every pause is one in which containers start without us.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The connection that the runtime has handed over, with the name that it gives the plugin; none if it has not.
pub(super) fn handed_over(identity: &Identity) -> Result<Option<(UnixStream, Identity)>, NriError> {
    let value = match std::env::var(SOCKET_VARIABLE) {
        Ok(value) => value,
        Err(VarError::NotPresent) => return Ok(None),
        Err(VarError::NotUnicode(value)) => value.to_string_lossy().into_owned(),
    };
    let number = value.parse().map_err(std::io::Error::other);
    let stream = number.and_then(fds::inherited_stream);
    let stream = stream.map_err(|cause| NriError::HandedOver { value, cause })?;
    let or = |variable, own: &String| std::env::var(variable).unwrap_or_else(|_| own.clone());
    let identity = Identity { name: or(NAME_VARIABLE, &identity.name), index: or(INDEX_VARIABLE, &identity.index) };
    Ok(Some((stream, identity)))
}

/// Serves the runtime that has started this program, until it has closed the connection.
pub(super) fn once(
    stream: &UnixStream,
    identity: &Identity,
    wiring: &Wiring,
    say: &mut dyn FnMut(&str),
) -> Result<(), NriError> {
    let mut plugin = Plugin::new(wiring, &identity.name, say);
    match plugin.serve(stream, identity) {
        Err(NriError::Lost { cause }) if plugin.configured && cause.kind() == std::io::ErrorKind::UnexpectedEof => {
            Ok(())
        }
        Err(error) => Err(error),
        Ok(never) => match never {},
    }
}

/// Serves the runtime at `socket` for as long as this program runs; says why it does not, when that changes.
pub(super) fn forever(socket: &Path, identity: &Identity, wiring: &Wiring, say: &mut dyn FnMut(&str)) -> ! {
    let (mut pause, mut said) = (FIRST_PAUSE, String::new());
    loop {
        let mut plugin = Plugin::new(wiring, &identity.name, say);
        let error = match connect(socket).and_then(|stream| plugin.serve(&stream, identity)) {
            Err(error) => error.to_string(),
            Ok(never) => match never {},
        };
        if plugin.configured {
            (pause, said) = (FIRST_PAUSE, String::new());
        }
        if said != error {
            say(&format!("warning: {error}; trying again"));
            said = error;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn connect(socket: &Path) -> Result<UnixStream, NriError> {
    UnixStream::connect(socket).map_err(|cause| NriError::Connect { path: socket.to_owned(), cause })
}
