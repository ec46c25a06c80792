//! `/run/secrets` for every OCI container. This file is the map: read `src/` from top to bottom, a module uses only
//! what stands above it (`tests/house.rs` keeps the table true).
//!
//! The crate is built for Linux and for Windows. What one of them does in its own way stands in a directory of its name, with
//! the surface that the other has; it is chosen where the module is declared, and nowhere else.
//!
//! | module | what it is | may not touch |
//! |---|---|---|
//! | [`sys`] | **all `unsafe`**: mounts, namespaces, pidfds, peer ids, locked memory; one safe API | what a secret means, policy, printing |
//! | [`failpoint`] | where tests stop a program; nothing in what is released | files, printing |
//! | [`replace`] | a file that is there whole or not at all: written beside its place, synced, renamed | what is in it, printing |
//! | [`secret`] | secret bytes: locked, zeroised, read by `expose()` only | `Debug`, `Clone`, serde, I/O |
//! | [`model`] | names, ids, labels, grants, services, claims: parsed once, valid ever after | files, sockets, the clock |
//! | [`wire`] | the hook socket's frames and messages, their limits, one end of its connection | policy, secrets |
//! | [`policy`] | (peer, container, service) to [`policy::Authorized`] or a refusal; pure | I/O, crypto, store |
//! | [`oci`] | the parts of state and config.json that we read or edit | the file system, secrets |
//! | [`cdi`] | services as CDI devices: the text of the file that engines read; pure | files, secrets, sockets |
//! | [`seal`] | root key, envelopes; the only namer of a cipher or KDF crate | files, backends' names |
//! | [`store`] | sealed records: memory, redb | plaintext, keys, policy |
//! | [`deliver`] | plan and apply: fill, attach, scrub | store, sockets |
//! | [`finding`] | what a check of `runsecrets doctor` found, and what it is told; pure | files, sockets, printing |
//! | [`agent`] | the daemon: accept, identify, ask policy, open, deliver, watch, reap, audit | container paths, except through `deliver` |
//! | [`hook`], [`runtime`], [`cli`], [`engines`] | the other programs; `engines`: verbs of the CLI about podman, Docker, containerd, CRI-O | each other |

pub mod sys;

pub mod failpoint;

pub mod replace;

pub mod secret;

pub mod model;

pub mod wire;

#[cfg(feature = "agent")]
pub mod policy;

pub mod oci;

#[cfg(any(feature = "agent", feature = "cli"))]
pub mod cdi;

#[cfg(feature = "agent")]
pub mod seal;

#[cfg(feature = "agent")]
pub mod store;

pub mod deliver;

#[cfg(feature = "cli")]
pub mod finding;

#[cfg(feature = "agent")]
pub mod agent;

#[cfg_attr(windows, path = "hook/windows/mod.rs")]
pub mod hook;

#[cfg(feature = "wrapper")]
#[cfg_attr(windows, path = "runtime/windows/mod.rs")]
pub mod runtime;

#[cfg(feature = "cli")]
pub mod cli;

#[cfg(all(feature = "cli", target_os = "linux"))]
pub mod engines;
