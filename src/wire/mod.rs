//! What the hook and the agent say to each other: frames, messages and their limits. No message carries a value: the
//! agent answers with descriptors of mounts. Frames and messages are bytes to values and back; `channel` alone knows the
//! socket. No policy.
//!
//! One connection is one exchange. The hook opens with [`HookRequest::Deliver`] (beside it the pidfd of the container's
//! init) or [`HookRequest::Withdraw`]:
//!
//! ```text
//! hook                                    agent
//! Deliver + pidfd                     ->
//! Namespaces                          ->                    only a user's hook that cannot find the way in by itself
//!                                     <-  Namespaces + fds  the container's user and mount namespace
//! Surroundings                        ->
//!                                     <-  Lookup            only if a grant names its owner by name
//! Owners                              ->
//!                                     <-  Mounts + fds      one descriptor a mount, in order; on record by now
//! Attached                            ->                    or Failed, in place of any message after Deliver
//!
//! Withdraw                            ->
//!                                     <-  Withdrawn         the mount points that are to be removed
//! ```
//!
//! The wrapper asks before the container is created; its answer may be `Nothing` too:
//!
//! ```text
//! Environment                         ->
//!                                     <-  Environment
//! ```
//!
//! Around a checkpoint and a restoring, too, it says what is coming, and the connection is the time that it takes: the runtime
//! that the wrapper becomes has it open.
//!
//! ```text
//! Checkpoint, or Restore              ->
//!                                     <-  Nothing
//! ```
//! `Refused` may come in place of any answer; `Nothing` in place of `Mounts`.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod channel;
mod frame;
mod message;
#[cfg(any(windows, test))]
pub mod windows;

#[cfg(target_os = "linux")]
pub use channel::{Channel, ChannelError};
pub use frame::{HEADER, MAX_BODY, WireError, body_length, decode, encode};
pub use message::{
    AgentReply, Deliver, HookRequest, Kept, Layout, MAX_MOUNTS, MadePoint, Mount, MountKind, PROTOCOL, Surroundings,
};
