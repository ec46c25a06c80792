//! Where a case plays: whose container it is, and what the kernel has.

use std::process::Command;
use std::rc::Rc;

use crate::control::{Control, LACKS, VARIABLE};
use crate::testbed::running_agent::Place;
use crate::testbed::{HOOK, Runtime, User};

/// Where a case plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    /// Root's containers.
    Root,
    /// The same in a user namespace, whose mounts the agent reaches with other ids.
    UserNamespace,
    /// Those of a user without privileges, into which the agent does not go.
    Rootless,
    /// Root's, with what Linux 6.1 has: no noswap, no mounts beneath mounts, no clones of detached ones.
    Linux6_1,
    /// Root's, with what Linux 6.12 has: all but the clones.
    Linux6_12,
}

impl Ground {
    /// The agent's configuration there.
    pub(crate) fn configuration(self, generations: bool) -> String {
        let filesystem = if self == Self::Linux6_1 { "filesystem = \"ramfs\"\n" } else { "" };
        let rootless = if self == Self::Rootless { "[rootless]\nenabled = true\n" } else { "" };
        format!("[delivery]\ngenerations = {generations}\n{filesystem}{rootless}")
    }

    /// The agent there.
    pub(crate) fn agent(self, place: &Place, control: &Control) -> Command {
        let mut command = place.command();
        command.env(VARIABLE, &control.name);
        match self {
            Self::Linux6_1 => command.env(LACKS, "beneath,detached-clones"),
            Self::Linux6_12 => command.env(LACKS, "detached-clones"),
            Self::Root | Self::UserNamespace | Self::Rootless => &mut command,
        };
        command
    }

    /// Whose containers they are, if not root's.
    pub(crate) fn user(self, runtime: Runtime) -> Option<Rc<User>> {
        (self == Self::Rootless).then(|| Rc::new(User::with_hook(runtime, HOOK.as_ref())))
    }

    /// Whether cases there are played with `runtime`. What older kernels lack concerns the agent alone: one is enough.
    pub(crate) fn is_for(self, runtime: Runtime) -> bool {
        runtime == Runtime::Runc || !matches!(self, Self::Linux6_1 | Self::Linux6_12)
    }

    /// Whether old single files stay mounted below new ones.
    pub(crate) fn stacks(self) -> bool {
        self == Self::Linux6_1
    }

    /// Whether the agent changes what is mounted in a container that runs.
    pub(crate) fn is_entered(self) -> bool {
        self != Self::Rootless
    }
}
