//! What a process may do beyond others, as the kernel tells it. It does not say what that means.
//!
//! Source: capabilities(7), proc_pid_status(5), namespaces(7).

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use super::pidfd::Process;

/// What a process may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Privileges {
    /// The capabilities that it has or can come to have, by their numbers.
    capabilities: u64,
    /// Whether it is in our user namespace, so that its capabilities are good on the whole machine.
    pub in_our_user_namespace: bool,
    /// Whether it is in our pid namespace, so that it sees all that we see.
    pub in_our_pid_namespace: bool,
}

/// CAP_SYS_MODULE.
pub const SYS_MODULE: u32 = 16;
/// CAP_SYS_PTRACE.
pub const SYS_PTRACE: u32 = 19;
/// CAP_SYS_ADMIN.
pub const SYS_ADMIN: u32 = 21;

impl Privileges {
    /// Those of `process`.
    ///
    /// # Errors
    /// It is gone, or may not be looked into.
    pub fn of(process: &Process) -> io::Result<Self> {
        let capabilities = possible(&process.status()?).ok_or(io::ErrorKind::InvalidData)?;
        let shares = |namespace| -> io::Result<bool> {
            let number =
                |process: &str| Ok::<_, io::Error>(fs::metadata(format!("/proc/{process}/ns/{namespace}"))?.ino());
            Ok(number(&process.pid().to_string())? == number("self")?)
        };
        let found = Self { capabilities, in_our_user_namespace: shares("user")?, in_our_pid_namespace: shares("pid")? };
        process.still_alive()?;
        Ok(found)
    }

    /// Whether it has, or can come to have, the capability of this number.
    pub fn has(&self, capability: u32) -> bool {
        self.capabilities >> capability & 1 == 1
    }
}

/// The capabilities in a status file: those that the process may use, and those that its bounding set leaves to programs that
/// bring them. Where it can gain none by executing a program (`NoNewPrivs`), another that its runtime lets in later may still:
/// crun's `exec` does not set that.
fn possible(status: &str) -> Option<u64> {
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let set = |name| u64::from_str_radix(field(name)?, 16).ok();
    Some(set("CapPrm:")? | set("CapBnd:")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_gained_counts() {
        let status = "Name:\tx\nCapInh:\t0\nCapPrm:\t0000000000000001\nCapEff:\t0\nCapBnd:\t0000000000200002\n";
        assert_eq!(possible(status), Some(0x0020_0003));
        assert_eq!(possible("Name:\tx\n"), None);
        let some =
            Privileges { capabilities: 1 << SYS_ADMIN, in_our_user_namespace: true, in_our_pid_namespace: false };
        assert!(some.has(SYS_ADMIN) && !some.has(SYS_PTRACE));
    }

    #[test]
    fn this_process_is_where_we_are() {
        let own = Privileges::of(&Process::open(std::process::id() as i32).unwrap()).unwrap();
        assert!(own.in_our_user_namespace && own.in_our_pid_namespace);
    }
}
