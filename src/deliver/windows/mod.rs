//! Windows: files in a directory of the container's on an encrypted volume, shown in the container read-only, with links at
//! the targets. There is no file system in RAM: what Linux keeps from the disk is kept here by an access list, by BitLocker
//! and by being overwritten at the end.
//!
//! | file | what |
//! |---|---|
//! | `names`, `target` | pure: which path is plainly a file of the container's own disk |
//! | `plan` | pure: grants to files, directories and links |
//! | `bitlocker` | pure: what a volume's state means, and what to do about it |
//! | `seams` | what Win32 does for us: links, access lists, the volume's state |
//! | `win32`, `patience` | the same for real; and a question that may get no answer |
//! | `apply` | the container's directory and its files, undone unless kept |
//! | `layer` | links in a container's layer, each read back, and their removal |
//! | `scrub` | overwrite, flush, delete; and what a crash has left |

mod apply;
mod bitlocker;
mod error;
mod layer;
mod names;
#[cfg(any(all(windows, feature = "agent"), test))]
mod patience;
mod plan;
mod scrub;
mod seams;
mod target;
#[cfg(all(windows, feature = "agent"))]
mod win32;

pub use apply::{FillPlace, Filled, forget_past, remove_value, replace_value};
pub use bitlocker::{Demand, Protection, ShellReport, VolumeState, Why, WmiReport, admits, judge};
pub use error::WindowsError;
pub use layer::{Layer, LayerRecord, MadeLinks, check_mounts};
pub use names::{NameFault, check_name, folded};
pub use plan::{Layout, Plan, PlannedFile, PlannedLink, Request, Warning, plan};
pub use scrub::{Scrubbed, scrub, sweep};
pub use seams::{Acl, Found, Links, Seams, VolumeProtection};
pub use target::{INTERNAL_DIR, MAX_PATH, SECRETS_DIR, TargetFault, WindowsTarget, is_within};

#[cfg(test)]
#[path = "test_seams.rs"]
mod test_seams;
