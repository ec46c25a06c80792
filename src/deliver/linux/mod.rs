//! Linux: a detached file system in RAM, filled by the agent, attached by the hook, scrubbed by the agent.
//!
//! | file | who | what |
//! |---|---|---|
//! | `existing` | hook | what the container has mounted already, and so how /run/secrets is to be made |
//! | `owners` | both | ids in the container and on the host |
//! | `plan` | agent | pure: grants to files, directories and mounts |
//! | `medium` | agent | which RAM file system this kernel has |
//! | `stage` | agent | read-only clones, on kernels old and new |
//! | `fill` | agent | apply a plan |
//! | `attach` | hook | mount points and mounts, and their undoing |
//! | `scrub` | agent | overwrite, truncate, unlink |
//! | `writable` | agent | the side that only the agent has |
//! | `change` | agent | what a running container would have by other grants |
//! | `running`, `replace` | agent | a running container: more, less, and new values |
//! | `generation` | agent | files that change together |
//! | `hide` | agent | mounts out of sight while a container is written to a disk |
//! | `inside` | agent | a thread in a container's mount namespace |
//! | `adopt` | agent | the writable side again, after a restart |
//! | `unfinished` | agent | what a killed agent has left in a container |

mod adopt;
mod attach;
mod change;
mod existing;
mod fill;
mod generation;
mod hide;
mod inside;
mod medium;
mod owners;
mod plan;
mod replace;
mod running;
mod scrub;
mod stage;
mod unfinished;
mod writable;

pub use adopt::{Adopted, FileSystem, adopt, shown};
pub use attach::{Attached, remove_mount_points};
pub use change::Change;
pub use existing::Existing;
pub use fill::{Empty, Filled};
pub use generation::{CURRENT, New, OldGeneration};
pub use hide::Hidden;
pub use medium::{Medium, Protection};
pub use owners::{IdMaps, look_up};
pub use plan::{FillPlan, PlannedFile, Request, Room, owner_names, plan};
pub use replace::Swap;
pub use running::Running;
pub use scrub::{Scrubbed, scrub};
pub use stage::Stage;
pub use unfinished::Unfinished;
pub use writable::{Old, OldFile, Writable};
