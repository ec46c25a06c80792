//! What a container's first process may do that secrets are not safe from, besides reading its own. Said by `ps`; nothing is
//! refused for it, because the operator has given it.
//!
//! Not looked at: programs that were let into a container later with more than its first process has (`docker exec
//! --privileged`), and devices and files of the host that it was given.

use std::fmt;

use crate::sys::linux::pidfd::Process;
use crate::sys::linux::privileges::{Privileges, SYS_ADMIN, SYS_MODULE, SYS_PTRACE};

use super::{Deliveries, Delivery};

/// One thing that a container may do, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    /// It can load kernel modules, and with them do anything: what engines call privileged has this.
    LoadsModules,
    /// It can make our mounts writable, cover them and take them off; what it holds is its own copy.
    Remountable,
    /// It can read the memory and the open files of all its processes, whoever they run as.
    ReadsProcesses,
    /// It sees the processes of the machine, and can look into those of containers that run as the same user.
    SeesHost,
    /// It can read the memory of every process of the machine, the agent's too.
    ReadsHost,
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LoadsModules => "loads kernel modules (CAP_SYS_MODULE)",
            Self::Remountable => "remountable (CAP_SYS_ADMIN)",
            Self::ReadsProcesses => "reads its processes' memory (CAP_SYS_PTRACE)",
            Self::SeesHost => "sees the host's processes (pid=host)",
            Self::ReadsHost => "reads the host's memory (pid=host, CAP_SYS_PTRACE)",
        })
    }
}

/// What `privileges` are enough for.
fn weaknesses(privileges: &Privileges) -> Vec<Weakness> {
    let (host, traces) = (privileges.in_our_pid_namespace, privileges.has(SYS_PTRACE));
    let everywhere = privileges.in_our_user_namespace;
    let all = [
        (everywhere && privileges.has(SYS_MODULE), Weakness::LoadsModules),
        // In a user namespace, too: the container's mount namespace belongs to it.
        (privileges.has(SYS_ADMIN), Weakness::Remountable),
        (host && everywhere && traces, Weakness::ReadsHost),
        (host && !(everywhere && traces), Weakness::SeesHost),
        (traces && !(host && everywhere), Weakness::ReadsProcesses),
    ];
    all.into_iter().filter(|(holds, _)| *holds).map(|(_, weakness)| weakness).collect()
}

fn look(pid: i32, started: u64) -> std::io::Result<Vec<Weakness>> {
    let process = Process::open(pid)?;
    // The number may have gone to another process.
    if process.start_time()? != started {
        return Ok(Vec::new());
    }
    Ok(weaknesses(&Privileges::of(&process)?))
}

impl Deliveries {
    /// The containers that hold secrets now, by id, and what each may do; nothing for one that has just ended.
    pub fn list_with_weaknesses(&self) -> Vec<(Delivery, Vec<Weakness>)> {
        let found = |(delivery, started): (Delivery, u64)| {
            let weaknesses = look(delivery.pid, started).unwrap_or_default();
            (delivery, weaknesses)
        };
        self.list_with_starts().into_iter().map(found).collect()
    }
}
