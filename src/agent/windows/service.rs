//! The agent as a Windows service: its life under the service control manager, told to the Event Log.
//!
//! Both ways of being ended, stop and pre-shutdown, do the same: what was delivered is removed before anything else, and the
//! service control manager waits for it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::watch;
use tracing::info;
use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle};

use super::event_log::EventLog;
use super::exit;
use super::log::Log;
use super::options::Options;
use super::start;
use crate::sys::windows::service::dispatch;

/// The service's name, and that of its source of events.
pub const NAME: &str = "runsecrets-agent";
/// How long starting may take before the service control manager is told again: the store is read whole.
const STARTING: Duration = Duration::from_secs(60);
/// How long ending may take: what was delivered is overwritten and removed.
pub(super) const ENDING: Duration = Duration::from_secs(60);

/// Why the service control manager did not do what it was asked.
#[derive(Debug)]
pub enum ServiceError {
    /// It refused a step.
    Refused {
        /// The step, in the infinitive.
        doing: &'static str,
        /// What it said.
        cause: windows_service::Error,
    },
    /// The process was not started by it.
    NotAService,
    /// The service is not installed.
    NotInstalled,
    /// The service is there already.
    Installed,
    /// It is installed, and does not run.
    NotRunning,
    /// It did not come to the state that it should.
    Stuck {
        /// Which state.
        wanted: &'static str,
        /// In which it is.
        found: String,
    },
    /// The Event Log.
    Events(io::Error),
    /// Where this program is, and who may change it.
    Program(io::Error),
    /// Others may change this program, or what is beside it.
    Exposed {
        /// The program or its directory.
        path: PathBuf,
        /// Who, and its access list.
        found: String,
    },
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { doing, cause } => {
                write!(f, "cannot {doing}: {}; are you an administrator, in an elevated window?", words(cause))
            }
            Self::NotAService => f.write_str(
                "this is for the service control manager: use `runsecrets-agent service start`, or `runsecrets-agent run`",
            ),
            Self::NotInstalled => f.write_str("the service is not installed: runsecrets-agent service install"),
            Self::Installed => f.write_str("the service is installed already: runsecrets-agent service uninstall"),
            Self::NotRunning => f.write_str("the service is installed and stopped: runsecrets-agent service start"),
            Self::Stuck { wanted, found } => {
                write!(f, "the service is not {wanted} but {found}; the Event Log (source {NAME}) says why")
            }
            Self::Events(cause) => write!(f, "cannot register the source of events: {cause}"),
            Self::Program(cause) => write!(f, "cannot say where this program is, and whose: {cause}"),
            Self::Exposed { path, found } => write!(
                f,
                "others could change what SYSTEM would run: {} ({found}); copy the programs where only administrators may \
                 write, as install.ps1 does",
                path.display()
            ),
        }
    }
}

impl std::error::Error for ServiceError {}

/// The crate's error, with what the system said.
fn words(error: &windows_service::Error) -> String {
    match error {
        windows_service::Error::Winapi(cause) => cause.to_string(),
        other => other.to_string(),
    }
}

/// With what the service was started: the service control manager calls a function that is given nothing.
static OPTIONS: OnceLock<Options> = OnceLock::new();

/// Serves as the service; returns when it has stopped.
///
/// # Errors
/// [`ServiceError::NotAService`].
pub fn run(options: &Options) -> Result<(), ServiceError> {
    OPTIONS.get_or_init(|| options.clone());
    dispatch(NAME, live).map_err(|_| ServiceError::NotAService)
}

/// The service's life, from its start to its stop.
fn live() {
    let Some(options) = OPTIONS.get() else { return };
    let (stopper, stop) = watch::channel(false);
    let control = move |control| match control {
        ServiceControl::Stop | ServiceControl::Preshutdown | ServiceControl::Shutdown => {
            stopper.send_replace(true);
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    };
    let opened = match (service_control_handler::register(NAME, control), EventLog::open(NAME)) {
        (Ok(handle), Ok(events)) => (State(handle), events),
        (Err(error), Ok(events)) => {
            return events.failed(&format!("cannot hear the service control manager: {}", words(&error)));
        }
        // There is nobody to tell more: but a service that only ended would count as one that starts for ever.
        (Ok(handle), Err(_)) => return State(handle).tell(ServiceState::Stopped, Duration::ZERO, exit::SYSTEM.into()),
        (Err(_), Err(_)) => return,
    };
    let (state, events) = opened;
    state.tell(ServiceState::StartPending, STARTING, 0);
    let log = Log::start_into(events.clone());
    let mut waiting = stop.clone();
    let told = async {
        // An error means that nobody can stop it any more, which counts as told.
        let _ = waiting.wait_for(|stop| *stop).await;
        info!("the service control manager: stopping");
        state.tell(ServiceState::StopPending, ENDING, 0);
    };
    let served = start::serve(options, &log, || state.tell(ServiceState::Running, Duration::ZERO, 0), told);
    let code = match served {
        Ok(()) => 0,
        Err(error) => {
            events.failed(&error.to_string());
            error.exit_code().into()
        }
    };
    state.tell(ServiceState::Stopped, Duration::ZERO, code);
}

/// What the service control manager is told.
#[derive(Debug, Clone, Copy)]
struct State(ServiceStatusHandle);

impl State {
    fn tell(self, state: ServiceState, hint: Duration, code: u32) {
        let accepted = match state {
            ServiceState::Running => ServiceControlAccept::STOP | ServiceControlAccept::PRESHUTDOWN,
            _ => ServiceControlAccept::empty(),
        };
        let exit_code = if code == 0 { ServiceExitCode::NO_ERROR } else { ServiceExitCode::ServiceSpecific(code) };
        // It cannot be told that it cannot be told.
        let _ = self.0.set_service_status(ServiceStatus {
            service_type: ServiceType::OWN_PROCESS,
            current_state: state,
            controls_accepted: accepted,
            exit_code,
            checkpoint: 0,
            wait_hint: hint,
            process_id: None,
        });
    }
}
