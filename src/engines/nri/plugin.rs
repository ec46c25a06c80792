//! The plugin itself, over one connection to a runtime: it registers, says what it wants to be asked, and answers. It
//! never sees a value, and asks no agent.
//!
//! Source: containerd/nri, `pkg/api/api.proto`.

use std::convert::Infallible;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use prost::Message;

use super::adjust::{Wiring, named};
use super::error::NriError;
use super::known::Known;
use super::message::{
    CREATE_CONTAINER, ConfigureRequest, ConfigureResponse, CreateContainerRequest, CreateContainerResponse, Empty,
    RegisterPluginRequest, Status, SynchronizeRequest, SynchronizeResponse, VALIDATE_ADJUSTMENT, ValidateRequest,
    ValidateResponse,
};
use super::mux;
use super::ttrpc::{self, FAILED_PRECONDITION, INVALID_ARGUMENT, Incoming, UNIMPLEMENTED, status};
use super::version::validates;
use crate::model::escaped;

const PLUGIN_SERVICE: &str = "nri.pkg.api.v1alpha1.Plugin";
const RUNTIME_SERVICE: &str = "nri.pkg.api.v1alpha1.Runtime";
/// The stream of our one call.
const REGISTRATION: u32 = 1;
/// How long a runtime may take to register the plugin, and to take in an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the runtime knows the plugin by.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) name: String,
    /// Two digits: plugins are asked in this order.
    pub(super) index: String,
}

/// The plugin while it is connected.
pub(super) struct Plugin<'s> {
    wiring: &'s Wiring,
    name: &'s str,
    known: Known,
    /// Whether the runtime has taken the plugin in.
    pub(super) configured: bool,
    say: &'s mut dyn FnMut(&str),
}

impl<'s> Plugin<'s> {
    pub(super) fn new(wiring: &'s Wiring, name: &'s str, say: &'s mut dyn FnMut(&str)) -> Self {
        Self { wiring, name, known: Known::default(), configured: false, say }
    }

    /// Registers with the runtime at the other end of `stream`, and serves it until the connection ends.
    pub(super) fn serve(&mut self, stream: &UnixStream, identity: &Identity) -> Result<Infallible, NriError> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let Identity { name, index } = identity.clone();
        let request = RegisterPluginRequest { plugin_name: name, plugin_idx: index };
        let register = ttrpc::call(REGISTRATION, RUNTIME_SERVICE, "RegisterPlugin", &request);
        mux::write(&mut &*stream, mux::RUNTIME, &register)?;
        let (mut from_runtime, mut to_plugin) = (Incoming::default(), Incoming::default());
        loop {
            let (mut answers, mut calls) = (Vec::new(), Vec::new());
            mux::read(&mut &*stream, |connection, part| match connection {
                mux::RUNTIME => from_runtime.add(part, |message| answers.push(message)),
                mux::PLUGIN => to_plugin.add(part, |message| calls.push(message)),
                _ => {} // nobody's
            })?;
            for answer in answers.iter().filter_map(|message| ttrpc::outcome(message, REGISTRATION)) {
                answer.map_err(|status| NriError::Refused { message: status.message })?;
            }
            for call in &calls {
                let answer = ttrpc::answer(call, PLUGIN_SERVICE, |method, payload| self.call(method, payload));
                if let Some(answer) = answer {
                    mux::write(&mut &*stream, mux::PLUGIN, &answer)?;
                }
            }
            if self.configured {
                stream.set_read_timeout(None)?;
            }
        }
    }

    /// One call of the runtime.
    fn call(&mut self, method: &str, payload: &[u8]) -> Result<Vec<u8>, Status> {
        match method {
            "Configure" => Ok(self.configure(&read(payload)?).encode_to_vec()),
            "Synchronize" => Ok(self.synchronize(read(payload)?).encode_to_vec()),
            "CreateContainer" => Ok(self.create_container(read(payload)?)?.encode_to_vec()),
            "ValidateContainerAdjustment" => Ok(self.validate(read(payload)?)?.encode_to_vec()),
            "Shutdown" => Ok(Empty {}.encode_to_vec()),
            other => Err(status(UNIMPLEMENTED, format!("there is no call {} here", escaped(other)))),
        }
    }

    /// Says what the plugin wants to be asked.
    fn configure(&mut self, runtime: &ConfigureRequest) -> ConfigureResponse {
        self.configured = true;
        let who = format!("{} {}", escaped(&runtime.runtime_name), escaped(&runtime.runtime_version));
        self.say(&format!("registered with {who}"));
        if validates(runtime) {
            self.say(&format!(
                "the runtime can require this plugin: required_plugins = [\"{}\"] in its default_validator",
                escaped(self.name)
            ));
            return ConfigureResponse { events: CREATE_CONTAINER | VALIDATE_ADJUSTMENT };
        }
        self.say(&format!(
            "warning: {who} cannot require a plugin (containerd 2.2 and CRI-O 1.34 can): a container that is created \
             while this one is away, or does not answer in time, starts without its secrets"
        ));
        ConfigureResponse { events: CREATE_CONTAINER }
    }

    /// Takes in what runs already.
    fn synchronize(&mut self, part: SynchronizeRequest) -> SynchronizeResponse {
        let more = part.more;
        for warning in self.known.add(part, self.wiring) {
            self.say(&warning);
        }
        SynchronizeResponse { more }
    }

    /// Adds what a new container needs; an error keeps it from being created.
    fn create_container(&mut self, request: CreateContainerRequest) -> Result<CreateContainerResponse, Status> {
        let (pod, container) = (part(request.pod, "pod")?, part(request.container, "container")?);
        match self.wiring.adjustment(&pod, &container) {
            Ok(adjust) => {
                if adjust.is_some() {
                    self.say(&format!("{} gets the secrets of its service", named(&pod, &container)));
                }
                Ok(CreateContainerResponse { adjust })
            }
            Err(refusal) => {
                self.say(&refusal.to_string());
                Err(status(FAILED_PRECONDITION, refusal.to_string()))
            }
        }
    }

    /// Refuses a container that claims a service and is about to be created without our hook: the plugin may have been
    /// away when it was asked, or too slow.
    fn validate(&mut self, request: ValidateRequest) -> Result<ValidateResponse, Status> {
        let (pod, container) = (part(request.pod, "pod")?, part(request.container, "container")?);
        let adjusted = request.adjust.as_ref().and_then(|adjust| adjust.hooks.as_ref());
        let reason = match self.wiring.unmet(&pod, &container, [container.hooks.as_ref(), adjusted]) {
            Ok(None) => return Ok(ValidateResponse::default()),
            Ok(Some(service)) => {
                format!("{} claims service {service} and would start without its secrets", named(&pod, &container))
            }
            Err(refusal) => refusal.to_string(),
        };
        self.say(&reason);
        Ok(ValidateResponse { reject: true, reason })
    }

    fn say(&mut self, line: &str) {
        (self.say)(line);
    }
}

fn read<M: Message + Default>(payload: &[u8]) -> Result<M, Status> {
    M::decode(payload).map_err(|_| status(INVALID_ARGUMENT, "the message cannot be read"))
}

fn part<T>(part: Option<T>, name: &str) -> Result<T, Status> {
    part.ok_or_else(|| status(INVALID_ARGUMENT, format!("the message has no {name}")))
}

#[cfg(test)]
#[path = "plugin_tests.rs"]
mod tests;
