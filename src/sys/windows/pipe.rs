//! The server's end of a named pipe, with an access list from its first moment, for clients of this machine alone.

use std::io;

use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};

use super::acl::Descriptor;

/// Makes an instance of the pipe `name` with the access list in `sddl`: the `first`, which fails where somebody else has the
/// name, or one more. There are as many as the server makes. Must be called in a tokio runtime.
///
/// # Errors
/// `PermissionDenied` for a first instance that is not the first; those of CreateNamedPipeW.
pub fn listen(name: &str, sddl: &str, first: bool) -> io::Result<NamedPipeServer> {
    let descriptor = Descriptor::read(sddl)?;
    let mut attributes = descriptor.attributes();
    let mut options = ServerOptions::new();
    options.first_pipe_instance(first).reject_remote_clients(true);
    // SAFETY: the attributes are a SECURITY_ATTRIBUTES, which outlives the call, as does the descriptor in it.
    unsafe { options.create_with_security_attributes_raw(name, (&raw mut attributes).cast()) }
}
