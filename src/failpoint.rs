//! Every step after which a program may be killed, by name: tests stop it there, and see what a kill leaves behind; and
//! what kernels older than the one under the tests lack. Only the feature `faults` makes anything of it; in what is released
//! a point is nothing at all, and nothing is lacking.
//!
//! A program that has `RUNSECRETS_FAULT` in its environment tells the test at the abstract socket of that name which point
//! it has reached, and waits for a byte: `s` stops the whole process with SIGSTOP, anything else lets it go on. So the
//! test decides, at run time, what is stopped where and who is killed then: the program itself, its peer, the runtime,
//! the container. (The crate `fail` has neither a list of its points nor a stop that other processes can see.) With
//! `RUNSECRETS_FAULT_LACKS`, names between commas, it takes the fallbacks of a kernel that has not what they name.
#![forbid(unsafe_code)]

macro_rules! points {
    ($($point:ident = $name:literal: $after:literal,)+) => {
        /// A step, named after what has just been done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Point {
            $(#[doc = $after] $point,)+
        }

        #[cfg(feature = "faults")]
        impl Point {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$point),+];

            /// The name by which tests know it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)+
                }
            }
        }
    };
}

points! {
    // A delivery, in the agent.
    DeliverReserved = "deliver.reserved": "The container's place is taken.",
    DeliverMade = "deliver.made": "An empty file system is there.",
    DeliverPlanned = "deliver.planned": "The hook has said what it sees.",
    FillWritten = "fill.written": "One value is in the file system.",
    DeliverFilled = "deliver.filled": "All values and the clones are there.",
    DeliverRecorded = "deliver.recorded": "The container is on record.",
    DeliverWatched = "deliver.watched": "Its end is waited for.",
    DeliverSent = "deliver.sent": "The hook has the mounts.",
    DeliverAcknowledged = "deliver.acknowledged": "The hook has said that they are attached.",
    DeliverPlaced = "deliver.placed": "The container is among those that hold secrets.",
    DeliverNoted = "deliver.noted": "The record has the mount points.",
    RecordWritten = "record.written": "A record, or an announcement, is written beside the old one.",
    RecordReplaced = "record.replaced": "It has taken the old one's place.",
    // A delivery, in the hook.
    HookStarted = "hook.started": "Nothing has been done.",
    HookRead = "hook.read": "State and bundle are read.",
    HookConnected = "hook.connected": "The agent is reached.",
    HookClaimed = "hook.claimed": "The claim is made.",
    HookEntered = "hook.entered": "The hook is in the container.",
    HookAnswered = "hook.answered": "The hook has the mounts.",
    HookAttached = "hook.attached": "All mounts are attached.",
    HookTold = "hook.told": "The agent has been told so.",
    // In both: the hook attaches when a container starts, the agent when one runs.
    AttachMade = "attach.made": "One mount point is made.",
    AttachMounted = "attach.mounted": "One mount is attached.",
    // A change, in the agent.
    ChangeAnnounced = "change.announced": "The change is announced.",
    ChangeStored = "change.stored": "The catalog has it.",
    ChangeTaken = "change.taken": "One container is taken to be changed.",
    ChangeMade = "change.made": "All its files are changed.",
    ChangePlaced = "change.placed": "It is put back.",
    ChangeDone = "change.done": "All containers are changed.",
    ChangeForgotten = "change.forgotten": "The announcement is taken back.",
    // A new value for one file.
    SecondMade = "second.made": "A second file system is there.",
    ValueWritten = "value.written": "The new value is written where no container looks.",
    SwapBeneath = "swap.beneath": "The new single file is mounted beneath the old one.",
    SwapDone = "swap.done": "The old one is taken off.",
    ReplaceRenamed = "replace.renamed": "The new file has the old one's name.",
    ReplaceAlone = "replace.alone": "The same, where a new agent could reach nothing but the file.",
    RotateSuperseded = "rotate.superseded": "The old file waits to be overwritten.",
    RotateRecorded = "rotate.recorded": "The new version is on record.",
    SupersededDue = "superseded.due": "The old file has waited long enough.",
    // New values for several files in one step.
    FlipMade = "flip.made": "The next generation is complete.",
    FlipExchanged = "flip.exchanged": "It is the current one.",
    FlipNamed = "flip.named": "The old one is put away.",
    FlipLinked = "flip.linked": "One plain path has its new file.",
    FlipRecorded = "flip.recorded": "The new versions are on record.",
    // More and less for a container that runs.
    GrantPlaced = "grant.placed": "The new file is in its place in the file system.",
    GrantAttached = "grant.attached": "The container shows it.",
    GrantRecorded = "grant.recorded": "It is on record.",
    RevokeEmptied = "revoke.emptied": "The file is overwritten.",
    RevokeUnlinked = "revoke.unlinked": "It has no name any more.",
    RevokeDetached = "revoke.detached": "Its mount is taken off.",
    RevokeRecorded = "revoke.recorded": "It is off the record.",
    // The end of a container.
    ReapSeen = "reap.seen": "The end of its process is seen.",
    ReapTaken = "reap.taken": "It is no longer among those that hold secrets.",
    WithdrawRead = "withdraw.read": "The poststop hook has read state and bundle.",
    WithdrawTaken = "withdraw.taken": "The agent has taken the container out.",
    WithdrawAnswered = "withdraw.answered": "The hook has the list of mount points.",
    ScrubOverwritten = "scrub.overwritten": "One file is overwritten.",
    ScrubEmptied = "scrub.emptied": "All files are.",
    RecordRemoved = "record.removed": "The container is off the record.",
    // An agent that takes up what an earlier one has left.
    ResumeRead = "resume.read": "The records are read.",
    ResumeAdopted = "resume.adopted": "One container's writable side is had again.",
    ResumeWatched = "resume.watched": "Its end is waited for.",
    FinishBegun = "finish.begun": "An announced change is known.",
    // The store.
    StoreApplied = "store.applied": "The commit is durable, and not acknowledged.",
    EraseWritten = "erase.written": "The fresh file is complete.",
    EraseLinked = "erase.linked": "The old file has a second name.",
    EraseRenamed = "erase.renamed": "The fresh file has the store's name.",
    EraseSynced = "erase.synced": "So it has after a crash.",
    EraseOverwritten = "erase.overwritten": "The old file is overwritten.",
}

/// What the kernel under the tests has and older ones have not, asked where the kernel itself is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// Mounts beneath mounts (Linux 6.5).
    Beneath,
    /// Clones of detached mounts (Linux 6.15).
    DetachedClones,
}

/// Whether the kernel is to be taken for one that lacks this.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn lacks(_what: Lack) -> bool {
    false
}

/// Whether the kernel is to be taken for one that lacks this.
#[cfg(feature = "faults")]
pub fn lacks(what: Lack) -> bool {
    let name = match what {
        Lack::Beneath => "beneath",
        Lack::DetachedClones => "detached-clones",
    };
    std::env::var("RUNSECRETS_FAULT_LACKS").is_ok_and(|names| names.split(',').any(|lacking| lacking == name))
}

/// Tells whoever tests that this point is reached.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn reach(_point: Point) {}

/// Tells whoever tests that this point is reached, and stops if told so.
#[cfg(feature = "faults")]
pub fn reach(point: Point) {
    use nix::sys::signal::{Signal, raise};

    static TEST: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    // Read once, and first of all: the hook clears its environment.
    let test = TEST.get_or_init(|| std::env::var("RUNSECRETS_FAULT").ok());
    // A test that is gone stops nothing.
    if test.as_ref().is_some_and(|test| ask(test, point).is_ok_and(|answer| answer == *b"s")) {
        let _ = raise(Signal::SIGSTOP);
    }
}

/// What the test at this socket answers.
#[cfg(feature = "faults")]
fn ask(test: &str, point: Point) -> std::io::Result<[u8; 1]> {
    use std::io::{Read, Write};
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixStream};

    let mut stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(test)?)?;
    // Who is here the kernel says: in a pid namespace of its own this process has another number.
    writeln!(stream, "{}", point.name())?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}
