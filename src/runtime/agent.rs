//! What the wrapper has to do with the agent: what a service wants in a container's environment, and that a checkpoint is to
//! come.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::unistd::geteuid;

use crate::model::{
    CLAIM_ANNOTATION, Claim, ClaimRoute, ContainerId, HOOK_SOCKET, ModelError, RUN_DIR, SERVICE_ANNOTATION,
    ServiceName, USER_SOCKET,
};
use crate::oci::Config;
use crate::sys::linux::owner::may_be_root;
use crate::sys::linux::peer;
use crate::wire::{AgentReply, Channel, Deliver, HookRequest, PROTOCOL};

use super::error::WrapperError;

/// How long the wrapper waits for the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Says to the agent of `run_dir` that `request` is about to happen. It is over when the connection that comes back is
/// closed by whoever has it then. None where nobody listens. Root's socket is closed to others, who have one of their own.
///
/// # Errors
/// [`WrapperError::Agent`]; [`WrapperError::Refused`], with the agent's reason.
pub(super) fn announce(run_dir: Option<&Path>, request: &HookRequest) -> Result<Option<UnixStream>, WrapperError> {
    let run_dir = run_dir.unwrap_or(Path::new(RUN_DIR));
    let mut path = run_dir.join(HOOK_SOCKET);
    let mut stream = UnixStream::connect(&path);
    if stream.as_ref().is_err_and(|cause| cause.kind() == io::ErrorKind::PermissionDenied) {
        path = run_dir.join(USER_SOCKET);
        stream = UnixStream::connect(&path);
    }
    let Ok(stream) = stream else { return Ok(None) };
    let failed = |cause: &dyn std::fmt::Display| WrapperError::Agent { path: path.clone(), cause: cause.to_string() };
    prepared(&stream).map_err(|cause| failed(&cause))?;
    let channel = Channel::new(stream);
    channel.send(request, &[]).map_err(|cause| failed(&cause))?;
    match channel.receive().map_err(|cause| failed(&cause))? {
        (AgentReply::Nothing, _) => Ok(Some(channel.into_stream())),
        (AgentReply::Refused { reason }, _) => Err(WrapperError::Refused { reason }),
        _ => Err(failed(&"a strange answer; install wrapper and agent of one version")),
    }
}

/// The variables that the agent of `run_dir` wants in the container of `bundle`.
///
/// None where the agent cannot be reached or says no: the hook will hear the same, and refuses the container.
///
/// # Errors
/// [`WrapperError::Agent`]: nobody could say whether the container has what it should.
pub(super) fn variables(
    run_dir: Option<&Path>,
    bundle: &Path,
    config: &Config,
    said: Option<(ClaimRoute, &ServiceName)>,
) -> Result<Vec<String>, WrapperError> {
    let path = run_dir.unwrap_or(Path::new(RUN_DIR)).join(HOOK_SOCKET);
    let Ok(stream) = UnixStream::connect(&path) else { return Ok(Vec::new()) };
    let failed = |cause: &dyn std::fmt::Display| WrapperError::Agent { path: path.clone(), cause: cause.to_string() };
    prepared(&stream).map_err(|cause| failed(&cause))?;
    let channel = Channel::new(stream);
    let request = request(bundle, config, said).map_err(|cause| failed(&cause))?;
    channel.send(&HookRequest::Environment(request), &[]).map_err(|cause| failed(&cause))?;
    match channel.receive().map_err(|cause| failed(&cause))? {
        (AgentReply::Environment { variables }, _) => Ok(variables),
        (AgentReply::Nothing | AgentReply::Refused { .. }, _) => Ok(Vec::new()),
        _ => Err(failed(&"a strange answer; install wrapper and agent of one version")),
    }
}

/// Waits for no answer for ever, and for none of anybody but root or who runs this.
fn prepared(stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    match peer::credentials(stream)?.uid {
        uid if uid == geteuid().as_raw() || may_be_root(uid) => Ok(()),
        uid => Err(io::Error::other(format!("uid {uid} listens there, not root"))),
    }
}

fn request(bundle: &Path, config: &Config, said: Option<(ClaimRoute, &ServiceName)>) -> Result<Deliver, ModelError> {
    let bundle = bundle.canonicalize().unwrap_or_else(|_| bundle.to_owned());
    let annotated = config.annotations.get(SERVICE_ANNOTATION).and_then(|name| ServiceName::parse(name).ok());
    let claimed = said
        .map(|(route, service)| (route, service.clone()))
        .or(annotated.map(|service| (ClaimRoute::Annotation, service)));
    let token = config.annotations.get(CLAIM_ANNOTATION).cloned();
    let claim = claimed.map(|(route, service)| Claim { service, route, token });
    Ok(Deliver {
        protocol: PROTOCOL,
        container: id(&bundle)?,
        annotations: if claim.is_none() { config.annotations.clone() } else { BTreeMap::new() },
        bundle: bundle.to_string_lossy().into_owned(),
        claim,
        mount_label: None,
    })
}

/// containerd has a container's bundle in a directory of the container's id; where others have theirs, the id is not asked
/// for.
fn id(bundle: &Path) -> Result<ContainerId, ModelError> {
    let name = bundle.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    ContainerId::parse(name).or_else(|_| ContainerId::parse("unnamed"))
}
