//! The start-up order on Windows, and the way out. Nothing is served before everything that guards it stands.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tracing::{info, warn};

use super::admin::{Admission, DoorError, Listener};
use super::api::Api;
use super::api::status::{Facts, Socket};
use super::autolock::Autolock;
use super::config::{Config, DEFAULT_FILE};
use super::delivery::Deliveries;
use super::events::Events;
use super::hardened::Hardened;
use super::hardening;
use super::hooks::HookDoor;
use super::listen::{self, Door};
use super::log::Log;
use super::options::{Command, Options, ServiceCommand};
use super::start_error::StartError;
use super::{installed, lock, protected, rootkey, service};
use crate::store::RedbStore;
use crate::sys::sddl::PRIVATE_PIPE;

/// Threads that wait for the disk.
const DISK_THREADS: usize = 32;

/// Does what the command line asks for: serves here, or deals with the service.
///
/// # Errors
/// See [`StartError`].
pub fn run(options: &Options) -> Result<(), StartError> {
    match &options.command {
        Some(Command::Service(ServiceCommand::Run)) => Ok(service::run(options).map_err(DoorError::from)?),
        Some(Command::Service(command)) => Ok(installed::administer(*command, options).map_err(DoorError::from)?),
        _ => {
            let log = Log::start(options.log_format);
            serve(options, &log, || info!("serving"), async {
                // Where it cannot be waited for, the agent serves until it is ended.
                if tokio::signal::ctrl_c().await.is_err() {
                    std::future::pending::<()>().await;
                }
                info!("Ctrl-C: stopping");
            })
        }
    }
}

/// Starts the agent, calls `ready`, and serves until `told` is over; then removes what was delivered.
///
/// # Errors
/// See [`StartError`]: nothing is served then.
pub(super) fn serve(
    options: &Options,
    log: &Log,
    ready: impl FnOnce(),
    told: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let config = configuration(options)?;
    log.set_level(config.log.level);
    let memory = hardening::harden()?;

    let (state_dir, run_dir) = (&config.paths.state_dir, &config.paths.run_dir);
    protected::directory(run_dir)?;
    protected::directory(state_dir)?;
    let _locks = [lock::lock(state_dir)?, lock::lock(run_dir)?];

    let key_file = config.root_key_file();
    let root_key = rootkey::load_or_create(&key_file, &state_dir.join("store.redb"))?;
    let store = RedbStore::open(state_dir)?;
    let lock = Arc::new(Autolock::open(key_file, root_key, Arc::new(store))?);
    if lock.catalog().is_err() {
        warn!("locked: nothing is delivered until `runsecrets unlock`");
    }
    let events = Arc::new(Events::default());
    let deliveries = Deliveries::new(lock.clone(), events.clone(), run_dir, config.delivery.bitlocker)?;
    if let Ok(catalog) = lock.catalog() {
        deliveries.finish_announced(&catalog);
    }

    let runtime = runtime().map_err(StartError::Runtime)?;
    runtime.block_on(async {
        let name = &config.api.pipe;
        let listener = Listener::new(name).map_err(|cause| DoorError::Pipe { name: name.clone(), cause })?;
        let door = Door::new("the pipe", listener, Admission, config.limits.api_connections.count());
        let hook_name = format!("{name}-hook");
        let hooks = HookDoor::open(
            &hook_name,
            deliveries.clone(),
            config.limits.hook_connections.count(),
            config.limits.hook_seconds.seconds(),
        );
        let hooks = hooks.map_err(|cause| DoorError::Pipe { name: hook_name, cause })?;
        let (stopper, stop) = watch::channel(false);
        let api = Arc::new(Api {
            lock,
            deliveries: deliveries.clone(),
            events,
            follower: None,
            facts: facts(options, &config, memory),
            kept_versions: config.secrets.kept_versions.count(),
            body_time: config.limits.body_seconds.seconds(),
            stop: stop.clone(),
        });
        let told = async {
            told.await;
            // Before the last requests are waited for: whoever stops the service may not wait long.
            let removing = deliveries.clone();
            if tokio::task::spawn_blocking(move || removing.scrub()).await.is_err() {
                warn!("what was delivered could not be removed");
            }
            stopper.send_replace(true);
        };
        info!(version = env!("CARGO_PKG_VERSION"), pipe = name, "serving");
        ready();
        let patience = config.limits.stop_seconds.seconds();
        let serve = |stream, peer, place| listen::serve_api(&api, &config.limits, stream, peer, place);
        tokio::join!(told, hooks.keep(stop.clone()), door.keep(stop, patience, serve));
        Ok::<_, StartError>(())
    })?;
    // A thread that still waits for a disk is not waited for.
    runtime.shutdown_background();
    // What a request that was under way has delivered meanwhile.
    deliveries.scrub();
    Ok(())
}

/// The configuration, with what the command line says above it.
fn configuration(options: &Options) -> Result<Config, StartError> {
    let file = options.config.as_deref();
    // Held while it is read: what was judged is what is read.
    let held = protected::configuration(file.unwrap_or(Path::new(DEFAULT_FILE)))?;
    let mut config = match (&held, file) {
        (None, None) => Config::default(),
        _ => Config::load(file)?,
    };
    if let Some(directory) = &options.state_dir {
        config.paths.state_dir.clone_from(directory);
    }
    if let Some(directory) = &options.run_dir {
        config.paths.run_dir.clone_from(directory);
    }
    config.paths.check()?;
    Ok(config)
}

/// What the administrator can ask for later: what was read, made and locked.
fn facts(options: &Options, config: &Config, memory: Hardened) -> Facts {
    let read: PathBuf = options.config.clone().unwrap_or_else(|| DEFAULT_FILE.into());
    Facts {
        config_file: Some(read).filter(|file| file.exists()),
        state_dir: config.paths.state_dir.clone(),
        run_dir: config.paths.run_dir.clone(),
        sockets: vec![Socket { name: "pipe", mode: PRIVATE_PIPE.to_owned() }],
        swap_allowed: false,
        memory,
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(DISK_THREADS)
        .thread_name("runsecrets")
        .enable_all()
        .build()
}
