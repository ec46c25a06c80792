//! Who is at the other end of a named pipe. It states facts; whether that peer may do anything is for the caller.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};

use windows_sys::Win32::Foundation::{ERROR_CANNOT_IMPERSONATE, ERROR_CANT_OPEN_ANONYMOUS};
use windows_sys::Win32::Security::{RevertToSelf, TOKEN_DUPLICATE, TOKEN_QUERY};
use windows_sys::Win32::System::Pipes::{GetNamedPipeClientProcessId, ImpersonateNamedPipeClient};
use windows_sys::Win32::System::Threading::{GetCurrentThread, OpenThreadToken};

use super::check;
use super::token::Token;

/// What is said of a client that does not show itself, or not yet.
const HIDDEN: [Option<i32>; 2] =
    [Some(ERROR_CANT_OPEN_ANONYMOUS.cast_signed()), Some(ERROR_CANNOT_IMPERSONATE.cast_signed())];

/// The process at the client's end, and its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Process id. It may have been reused since.
    pub pid: u32,
    /// The last number of its user's SID: 18 for SYSTEM, 500 for the built-in Administrator.
    pub uid: u32,
}

/// Who is at the client's end of `pipe`, and whether that is SYSTEM or an administrator.
///
/// A client says how much of itself it shows. Where it shows itself, the token is that of its thread, by impersonation;
/// where it connected anonymously, as Docker's clients do, or is to be seen only once it has written, it is that of its
/// process. Either way the pipe's own access list has let it in.
///
/// # Errors
/// Those of the calls; nothing is known of the peer then.
pub fn credentials(pipe: &impl AsRawHandle) -> io::Result<(Peer, bool)> {
    let mut pid = 0;
    // SAFETY: the pipe is open; the number goes to a variable of ours.
    check(unsafe { GetNamedPipeClientProcessId(pipe.as_raw_handle(), &raw mut pid) })?;
    let token = match impersonated(pipe) {
        Err(error) if HIDDEN.contains(&error.raw_os_error()) => Token::of_process(pid)?,
        token => token?,
    };
    Ok((Peer { pid, uid: token.user()?.number }, token.is_privileged()?))
}

/// The token of the client's thread when it connected. The calling thread is the client only inside this function.
fn impersonated(pipe: &impl AsRawHandle) -> io::Result<Token> {
    // SAFETY: the pipe is open, and this is its server's end.
    check(unsafe { ImpersonateNamedPipeClient(pipe.as_raw_handle()) })?;
    let mut token = std::ptr::null_mut();
    // SAFETY: the pseudo handle of this thread is always good. The access check is made as the process, not as the client.
    let opened =
        check(unsafe { OpenThreadToken(GetCurrentThread(), TOKEN_QUERY | TOKEN_DUPLICATE, 1, &raw mut token) });
    // SAFETY: the call only gives up what the one above has taken on.
    if unsafe { RevertToSelf() } == 0 {
        // A thread that goes on as somebody else must not go on.
        std::process::abort();
    }
    opened?;
    // SAFETY: the call succeeded, so the handle is ours alone.
    Ok(Token::take(unsafe { OwnedHandle::from_raw_handle(token) }))
}

#[cfg(all(test, feature = "agent"))]
mod tests {
    use std::future::Future;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::windows::named_pipe::ClientOptions;
    use windows_sys::Win32::Storage::FileSystem::{SECURITY_ANONYMOUS, SECURITY_IDENTIFICATION};

    use super::*;
    use crate::sys::sddl::PRIVATE_PIPE;
    use crate::sys::windows::pipe;

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn a_client_is_known_before_it_has_said_anything_whatever_it_shows() {
        let own = Token::own().unwrap();
        for (number, shows) in [SECURITY_IDENTIFICATION, SECURITY_ANONYMOUS].into_iter().enumerate() {
            let name = format!(r"\\.\pipe\runsecrets-peer-{}-{number}", std::process::id());
            run(async {
                let mut server = pipe::listen(&name, PRIVATE_PIPE, true).unwrap();
                let mut client = ClientOptions::new().security_qos_flags(shows).open(&name).unwrap();
                server.connect().await.unwrap();
                let (peer, privileged) = credentials(&server).unwrap();
                assert_eq!(peer.pid, std::process::id());
                assert_eq!(peer.uid, own.user().unwrap().number);
                assert_eq!(privileged, own.is_privileged().unwrap());
                client.write_all(b"hello").await.unwrap();
                let mut heard = [0; 5];
                server.read_exact(&mut heard).await.unwrap();
                assert_eq!(&heard, b"hello");
            });
        }
        // The thread is itself again.
        assert_eq!(Token::own().unwrap().user().unwrap(), own.user().unwrap());
    }
}
