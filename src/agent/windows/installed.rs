//! `runsecrets-agent service …`: the service as the service control manager has it. It needs an administrator.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use windows_service::service::{
    Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceErrorControl, ServiceFailureActions,
    ServiceFailureResetPeriod, ServiceInfo, ServiceStartType, ServiceState, ServiceType,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};

use super::options::{Options, ServiceCommand};
use super::service::{ENDING, NAME, ServiceError};
use crate::sys::windows::file::changeable;
use crate::sys::windows::{event_log, lifetime};

const DISPLAY_NAME: &str = "runsecrets agent";
const DESCRIPTION: &str = "Keeps secrets sealed and delivers them to the containers that they are granted to.";
/// After which times a service that has failed is started again: three times, then it stays down.
const RESTARTS: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(60)];
/// After how long without a failure the count begins anew.
const FORGIVEN: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the machine's end waits for the service to have removed what it delivered.
const PRESHUTDOWN: Duration = ENDING;
/// How long `start` and `stop` wait.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often they look.
const GLANCE: Duration = Duration::from_millis(100);
/// ERROR_INVALID_LEVEL: a setting that this service control manager does not have.
const UNKNOWN_LEVEL: i32 = 124;
/// ERROR_SERVICE_DOES_NOT_EXIST.
const NO_SUCH: i32 = 1060;
/// ERROR_SERVICE_EXISTS.
const EXISTS: i32 = 1073;
/// ERROR_SERVICE_ALREADY_RUNNING.
const RUNNING: i32 = 1056;
/// ERROR_SERVICE_NOT_ACTIVE.
const NOT_ACTIVE: i32 = 1062;
/// ERROR_SERVICE_CANNOT_ACCEPT_CTRL: it is on its way to another state.
const NOT_NOW: i32 = 1061;

/// Does what `command` says.
///
/// # Errors
/// See [`ServiceError`].
pub fn administer(command: ServiceCommand, options: &Options) -> Result<(), ServiceError> {
    match command {
        ServiceCommand::Install => install(options),
        ServiceCommand::Start => start(),
        ServiceCommand::Stop => stop(),
        ServiceCommand::Status => status(),
        ServiceCommand::Uninstall => uninstall(),
        ServiceCommand::Run => super::service::run(options),
    }
}

fn install(options: &Options) -> Result<(), ServiceError> {
    let access = ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE;
    let manager = manager(access)?;
    let program = std::env::current_exe().map_err(ServiceError::Program)?;
    guarded(&program)?;
    let info = ServiceInfo {
        name: NAME.into(),
        display_name: DISPLAY_NAME.into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: program,
        launch_arguments: arguments(options),
        dependencies: Vec::new(),
        account_name: None, // LocalSystem
        account_password: None,
    };
    let service = match manager.create_service(&info, ServiceAccess::ALL_ACCESS) {
        Err(error) if is(&error, EXISTS) => return Err(ServiceError::Installed),
        made => made.map_err(refused("install the service"))?,
    };
    let complete = configure(&service).and_then(|()| event_log::register(NAME).map_err(ServiceError::Events));
    if complete.is_err() {
        // That error is the one to tell; half a service is none.
        let _ = service.delete();
    }
    complete.map(|()| say("installed; it starts with Windows. Start it now: runsecrets-agent service start"))
}

/// Refuses a program that others could change, or put a library beside: SYSTEM is to run it.
fn guarded(program: &Path) -> Result<(), ServiceError> {
    for path in [Some(program), program.parent()].into_iter().flatten() {
        if let Some(found) = changeable(path).map_err(ServiceError::Program)? {
            return Err(ServiceError::Exposed { path: path.to_owned(), found });
        }
    }
    Ok(())
}

/// What a service has beside what it is made with.
fn configure(service: &Service) -> Result<(), ServiceError> {
    let restart = |delay| ServiceAction { action_type: ServiceActionType::Restart, delay };
    let stay_down = ServiceAction { action_type: ServiceActionType::None, delay: Duration::ZERO };
    let failure_actions = ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(FORGIVEN),
        reboot_msg: None,
        command: None,
        actions: Some(RESTARTS.into_iter().map(restart).chain([stay_down]).collect()),
    };
    let steps = [
        ("describe the service", service.set_description(DESCRIPTION)),
        ("delay the service's start", service.set_delayed_auto_start(true)),
        ("have the service restarted when it fails", service.update_failure_actions(failure_actions)),
        ("have each failure count", service.set_failure_actions_on_non_crash_failures(true)),
        ("have the machine's end wait for the service", service.set_preshutdown_timeout(PRESHUTDOWN)),
    ];
    for (doing, step) in steps {
        match step {
            Err(error) if is(&error, UNKNOWN_LEVEL) => say(&format!("this Windows cannot {doing}")),
            step => step.map_err(refused(doing))?,
        }
    }
    Ok(())
}

/// What the service is started with: `service run`, and the flags that were given to `install`.
fn arguments(options: &Options) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["service".into(), "run".into()];
    let given = [("--config", &options.config), ("--state-dir", &options.state_dir), ("--run-dir", &options.run_dir)];
    for (flag, path) in given {
        if let Some(path) = path {
            // The service has another working directory.
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            arguments.extend([flag.into(), path.into_os_string()]);
        }
    }
    arguments
}

fn start() -> Result<(), ServiceError> {
    let service = open(ServiceAccess::START | ServiceAccess::QUERY_STATUS)?;
    match service.start::<OsString>(&[]) {
        Err(error) if is(&error, RUNNING) => {}
        started => started.map_err(refused("start the service"))?,
    }
    reach(&service, ServiceState::Running, "running").map(|()| say("running"))
}

fn stop() -> Result<(), ServiceError> {
    end(&open(ServiceAccess::STOP | ServiceAccess::QUERY_STATUS)?).map(|()| say("stopped"))
}

fn status() -> Result<(), ServiceError> {
    let service = open(ServiceAccess::QUERY_STATUS | ServiceAccess::QUERY_CONFIG)?;
    let status = service.query_status().map_err(refused("ask for the service's state"))?;
    let config = service.query_config().map_err(refused("ask for the service's configuration"))?;
    if status.current_state == ServiceState::Stopped {
        return Err(ServiceError::NotRunning);
    }
    let account = config.account_name.map_or_else(|| "LocalSystem".into(), |name| name.to_string_lossy().into_owned());
    let pid = status.process_id.map_or_else(String::new, |pid| format!(", process {pid}"));
    say(&format!(
        "{:?}{pid}, {:?} as {account}, {}",
        status.current_state,
        config.start_type,
        config.executable_path.display()
    ));
    Ok(())
}

fn uninstall() -> Result<(), ServiceError> {
    let service = open(ServiceAccess::STOP | ServiceAccess::QUERY_STATUS | ServiceAccess::DELETE)?;
    end(&service)?;
    service.delete().map_err(refused("remove the service"))?;
    event_log::unregister(NAME).map_err(ServiceError::Events)?;
    say("removed; the store and its key are where they were");
    Ok(())
}

/// Stops the service and waits for its end, and for that of its process: until then its program cannot be replaced.
fn end(service: &Service) -> Result<(), ServiceError> {
    let deadline = Instant::now() + PATIENCE;
    let status = service.query_status().map_err(refused("ask for the service's state"))?;
    let process = status.process_id.and_then(|pid| Some((pid, lifetime::started(pid).ok()?)));
    loop {
        match service.stop() {
            Err(error) if is(&error, NOT_ACTIVE) => break,
            // It starts, or stops already.
            Err(error) if is(&error, NOT_NOW) && Instant::now() < deadline => std::thread::sleep(GLANCE),
            stopped => {
                stopped.map_err(refused("stop the service"))?;
                reach(service, ServiceState::Stopped, "stopped")?;
                break;
            }
        }
    }
    let runs = |(pid, started)| lifetime::started(pid).is_ok_and(|found| found == started);
    while process.is_some_and(runs) && Instant::now() < deadline {
        std::thread::sleep(GLANCE);
    }
    Ok(())
}

/// Waits for the service to be in a state; one that stops before it runs has failed.
fn reach(service: &Service, state: ServiceState, wanted: &'static str) -> Result<(), ServiceError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = service.query_status().map_err(refused("ask for the service's state"))?;
        if found.current_state == state {
            return Ok(());
        }
        if found.current_state == ServiceState::Stopped || Instant::now() > deadline {
            let found = format!("{:?} ({:?})", found.current_state, found.exit_code);
            return Err(ServiceError::Stuck { wanted, found });
        }
        std::thread::sleep(GLANCE);
    }
}

fn open(access: ServiceAccess) -> Result<Service, ServiceError> {
    match manager(ServiceManagerAccess::CONNECT)?.open_service(NAME, access) {
        Err(error) if is(&error, NO_SUCH) => Err(ServiceError::NotInstalled),
        opened => opened.map_err(refused("open the service")),
    }
}

fn manager(access: ServiceManagerAccess) -> Result<ServiceManager, ServiceError> {
    ServiceManager::local_computer(None::<&str>, access).map_err(refused("reach the service control manager"))
}

fn is(error: &windows_service::Error, code: i32) -> bool {
    matches!(error, windows_service::Error::Winapi(cause) if cause.raw_os_error() == Some(code))
}

fn refused(doing: &'static str) -> impl FnOnce(windows_service::Error) -> ServiceError {
    move |cause| ServiceError::Refused { doing, cause }
}

/// What a command of an administrator's has done.
fn say(text: &str) {
    // A closed pipe changes nothing of what was done.
    let _ = writeln!(std::io::stdout(), "{NAME}: {text}");
}
