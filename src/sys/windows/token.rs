//! Access tokens: who a thread or process acts as, and whether that is SYSTEM or an administrator.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Security::Authorization::ConvertSidToStringSidW;
use windows_sys::Win32::Security::{
    CheckTokenMembership, CreateWellKnownSid, DuplicateToken, GetSidSubAuthority, GetSidSubAuthorityCount,
    GetTokenInformation, PSID, SECURITY_MAX_SID_SIZE, SecurityIdentification, TOKEN_DUPLICATE, TOKEN_QUERY, TOKEN_USER,
    TokenUser, WinBuiltinAdministratorsSid,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, OpenProcess, OpenProcessToken, PROCESS_QUERY_LIMITED_INFORMATION,
};

use super::{Local, check, text_at};

/// The SID of SYSTEM.
pub const SYSTEM: &str = "S-1-5-18";

/// An access token.
#[derive(Debug)]
pub struct Token(OwnedHandle);

/// The user of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its SID.
    pub sid: String,
    /// The last number of its SID: 18 for SYSTEM, 500 for the built-in Administrator.
    pub number: u32,
}

impl Token {
    /// That of this process.
    ///
    /// # Errors
    /// Those of OpenProcessToken.
    pub fn own() -> io::Result<Self> {
        // SAFETY: the pseudo handle of this process is always good.
        Self::of_handle(unsafe { GetCurrentProcess() })
    }

    /// That of the process `pid`: of whatever process has that number now.
    ///
    /// # Errors
    /// Those of OpenProcess and OpenProcessToken.
    pub fn of_process(pid: u32) -> io::Result<Self> {
        // SAFETY: the call takes numbers only.
        let process = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, pid) };
        if process.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so the handle is ours alone.
        let process = unsafe { OwnedHandle::from_raw_handle(process) };
        Self::of_handle(process.as_raw_handle())
    }

    fn of_handle(process: HANDLE) -> io::Result<Self> {
        let mut token = std::ptr::null_mut();
        // SAFETY: the process handle is open; the token goes to a pointer of ours.
        check(unsafe { OpenProcessToken(process, TOKEN_QUERY | TOKEN_DUPLICATE, &raw mut token) })?;
        // SAFETY: the call succeeded, so the handle is ours alone.
        Ok(Self(unsafe { OwnedHandle::from_raw_handle(token) }))
    }

    /// Takes a token over that a call has just opened.
    pub(super) fn take(handle: OwnedHandle) -> Self {
        Self(handle)
    }

    /// Whose it is.
    ///
    /// # Errors
    /// Those of GetTokenInformation.
    pub fn user(&self) -> io::Result<User> {
        // In words, so that it is aligned for the pointer at its beginning.
        let mut buffer = [0_u64; (size_of::<TOKEN_USER>() + SECURITY_MAX_SID_SIZE as usize).div_ceil(8)];
        let mut used = 0;
        // SAFETY: the token is open, and the buffer is as long as it is said to be.
        check(unsafe {
            GetTokenInformation(
                self.0.as_raw_handle(),
                TokenUser,
                buffer.as_mut_ptr().cast(),
                size_of_val(&buffer) as u32,
                &raw mut used,
            )
        })?;
        // SAFETY: the call has filled a TOKEN_USER in, and the buffer is aligned for it; its SID points into the buffer.
        let sid = unsafe { (*buffer.as_ptr().cast::<TOKEN_USER>()).User.Sid };
        Ok(User { sid: sid_text(sid)?, number: last_number(sid) })
    }

    /// Whether it is SYSTEM's, or an enabled member of the administrators: one who was not elevated is none.
    ///
    /// # Errors
    /// Those of CheckTokenMembership.
    pub fn is_privileged(&self) -> io::Result<bool> {
        if self.user()?.sid == SYSTEM {
            return Ok(true);
        }
        let mut sid = [0_u64; (SECURITY_MAX_SID_SIZE as usize).div_ceil(8)];
        let mut length = size_of_val(&sid) as u32;
        let no_domain = std::ptr::null_mut();
        // SAFETY: the buffer is as long as it is said to be.
        check(unsafe {
            CreateWellKnownSid(WinBuiltinAdministratorsSid, no_domain, sid.as_mut_ptr().cast(), &raw mut length)
        })?;
        let identity = self.for_questions()?;
        let mut member = 0;
        // SAFETY: the token is open and one for impersonation; the SID was just made.
        check(unsafe { CheckTokenMembership(identity.as_raw_handle(), sid.as_mut_ptr().cast(), &raw mut member) })?;
        Ok(member != 0)
    }

    /// A copy of the kind that CheckTokenMembership takes.
    fn for_questions(&self) -> io::Result<OwnedHandle> {
        let mut copy = std::ptr::null_mut();
        // SAFETY: the token is open for duplication; the copy goes to a pointer of ours.
        check(unsafe { DuplicateToken(self.0.as_raw_handle(), SecurityIdentification, &raw mut copy) })?;
        // SAFETY: the call succeeded, so the handle is ours alone.
        Ok(unsafe { OwnedHandle::from_raw_handle(copy) })
    }
}

/// A SID, which the system has just given, as text.
pub(super) fn sid_text(sid: PSID) -> io::Result<String> {
    let mut text = std::ptr::null_mut();
    // SAFETY: the SID is valid, as the system has just given it to us; the text goes to a pointer of ours.
    check(unsafe { ConvertSidToStringSidW(sid, &raw mut text) })?;
    let text = Local(text.cast());
    // SAFETY: the call succeeded, so there is a NUL-terminated text, which lives until `text` is dropped.
    Ok(unsafe { text_at(text.0.cast()) })
}

fn last_number(sid: PSID) -> u32 {
    // SAFETY: the SID is valid; the count is a part of it.
    let count = unsafe { *GetSidSubAuthorityCount(sid) };
    match count.checked_sub(1) {
        // SAFETY: the index is below the count.
        Some(last) => unsafe { *GetSidSubAuthority(sid, last.into()) },
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_the_same_by_itself_and_by_its_number() {
        let own = Token::own().unwrap();
        let user = own.user().unwrap();
        assert!(user.sid.starts_with("S-1-5-") && user.sid.ends_with(&format!("-{}", user.number)), "{user:?}");
        let again = Token::of_process(std::process::id()).unwrap();
        assert_eq!(again.user().unwrap(), user);
        assert_eq!(again.is_privileged().unwrap(), own.is_privileged().unwrap());
    }

    #[test]
    fn a_process_that_is_not_there_has_no_token() {
        assert!(Token::of_process(0xffff_fff0).is_err());
    }
}
