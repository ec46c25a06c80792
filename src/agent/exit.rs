//! Exit codes: an interface, so each has a name. The numbers are those of sysexits(3).

/// Everything went as it should.
pub const OK: u8 = 0;
/// EX_USAGE: the command line is wrong.
pub const USAGE: u8 = 64;
/// EX_DATAERR: the store is not what was written to it, or not this root key's.
pub const DAMAGED: u8 = 65;
/// EX_UNAVAILABLE: another agent has this state or run directory.
pub const UNAVAILABLE: u8 = 69;
/// EX_OSERR: the system refused something that it should not.
pub const SYSTEM: u8 = 71;
/// EX_IOERR: a file or the store could not be read or written.
pub const IO: u8 = 74;
/// EX_NOPERM: a directory or file is not protected as it must be, or the root key is missing or damaged.
pub const PROTECTION: u8 = 77;
/// EX_CONFIG: the configuration is wrong.
pub const CONFIG: u8 = 78;
