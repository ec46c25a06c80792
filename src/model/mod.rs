//! The words of the domain: names, ids, labels, targets, owners, grants, selectors, services, claims. Each is parsed once, from
//! text of any origin, and is valid ever after. No files, no sockets, no clock: times and random bytes come in as arguments.
#![forbid(unsafe_code)]

mod claim;
mod command;
mod error;
mod grant;
mod hook_entry;
mod id;
mod label;
mod name;
mod place;
mod secret_record;
mod selector;
mod service;
mod signal;
mod target;
mod text;
mod timestamp;
mod until;

pub use claim::{CLAIM_ANNOTATION, Claim, ClaimRoute, ContainerId, SERVICE_ANNOTATION};
pub use command::{Command, CommandEnd};
pub use error::ModelError;
pub use grant::{Grant, Grants, MAX_GRANTS, Mode, Owner};
pub use hook_entry::{HOOK, HOOK_ENVIRONMENT, HOOK_TIMEOUT, HookStage};
pub use id::{ID_ENTROPY, Id};
pub use label::{Labels, MAX_LABEL_BYTES};
pub use name::{MAX_SECRET_NAME, MAX_SERVICE_NAME, SecretName, ServiceName};
pub use place::{HOOK_SOCKET, PIPE, RUN_DIR, USER_SOCKET};
pub use secret_record::{SecretInfo, SecretVersion};
pub use selector::{Engine, MAX_SELECTORS, Selector, Selectors};
pub use service::{MAX_USERS, Service, TokenHash, Users};
pub use signal::Signal;
pub use target::{CREDENTIALS_VARIABLE, MAX_TARGET, SECRETS_DIR, Target, is_within};
pub use text::{escaped, escaped_line};
pub use timestamp::Timestamp;
pub use until::Until;
