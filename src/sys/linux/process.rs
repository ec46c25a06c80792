//! What a process does to itself before it touches a secret: no core, no dump, no swap, no privileges to gain.
//! A list of small calls; which of them a program makes, and in which order, is the program's own affair.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// No core file: soft and hard limit 0, for good.
///
/// # Errors
/// What setrlimit(2) says.
pub fn forbid_core_files() -> io::Result<()> {
    Ok(setrlimit(Resource::RLIMIT_CORE, 0, 0)?)
}

/// Makes the process non-dumpable: no core, and neither ptrace nor `/proc/PID/mem` for other processes of its own uid.
///
/// Source: PR_SET_DUMPABLE(2const).
///
/// # Errors
/// What prctl(2) says.
pub fn forbid_dumps() -> io::Result<()> {
    Ok(nix::sys::prctl::set_dumpable(false)?)
}

/// No later `execve` can gain privileges.
///
/// # Errors
/// What prctl(2) says.
pub fn forbid_new_privileges() -> io::Result<()> {
    Ok(nix::sys::prctl::set_no_new_privs()?)
}

/// Raises the soft limit of open files to the hard one and returns it.
///
/// # Errors
/// What setrlimit(2) says.
pub fn raise_open_files() -> io::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// How many files this process may have open: the soft limit.
///
/// # Errors
/// What getrlimit(2) says.
pub fn open_files_limit() -> io::Result<u64> {
    Ok(getrlimit(Resource::RLIMIT_NOFILE)?.0)
}

/// New files get no permission for group and others.
pub fn restrict_umask() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
}

/// Keeps every page, present and future, out of swap from the moment it is touched.
///
/// Only for a process with CAP_IPC_LOCK: under RLIMIT_MEMLOCK a later allocation would fail instead.
///
/// Source: mlockall(2).
///
/// # Errors
/// What mlockall(2) says.
pub fn lock_all_memory() -> io::Result<()> {
    // SAFETY: the call takes flags only and changes no contents; ONFAULT needs no more memory than is in use.
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    super::check(result.into()).map(drop)
}

/// The effective user id of this process.
pub fn effective_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// The number of a user, given by name or by number.
///
/// # Errors
/// The user database cannot be read.
pub fn user_id(text: &str) -> io::Result<Option<u32>> {
    match text.parse() {
        Ok(uid) => Ok(Some(uid)),
        Err(_) => Ok(nix::unistd::User::from_name(text)?.map(|user| user.uid.as_raw())),
    }
}

/// The kernel's release, as `uname -r` says it; empty where it cannot be read.
pub fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

/// Becomes the program of `command`; returns only what kept it from that.
pub fn become_program(mut command: std::process::Command) -> io::Error {
    std::os::unix::process::CommandExt::exec(&mut command)
}

/// Makes the calling thread this user's, without privileges, for good; the others stay what they are. The kernel notes
/// who connects to a socket thread by thread: for tests that are several users.
///
/// # Errors
/// What setresgid(2) and setresuid(2) say.
pub fn give_thread_to(uid: u32) -> io::Result<()> {
    for call in [libc::SYS_setresgid, libc::SYS_setresuid] {
        // SAFETY: plain integers. The C library's own calls change all threads, these change this one.
        super::check(unsafe { libc::syscall(call, uid, uid, uid) })?;
    }
    Ok(())
}
