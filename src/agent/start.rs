//! The start-up order, and the way out. Nothing is served before everything that guards it stands.

use std::io;
use std::path::Path;
use std::sync::Arc;

use nix::unistd::Group;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::admin::{Admission, Listener};
use super::api::status::{Facts, Socket};
use super::api::{Api, Follower};
use super::autolock::Autolock;
use super::config::{Bounded, Cdi, Config, DEFAULT_FILE, Limits, UserText};
use super::delivery::{self, Deliveries, UserLimits};
use super::devices::Devices;
use super::docker::Docker;
use super::events::Events;
use super::hardened::Hardened;
use super::hardening;
use super::hooks::HookDoor;
use super::listen::{self, Door};
use super::log::Log;
use super::options::Options;
use super::sockets::{self, Openness};
use super::standing::{self, Keeper, Standing};
use super::start_error::StartError;
use super::user_hooks::{Admittance, UserDoor};
use super::{lock, notify, protected, rootkey};
use crate::model::{HOOK_SOCKET, USER_SOCKET};
use crate::store::RedbStore;
use crate::sys::linux::process::user_id;

/// Threads that wait for the disk.
const DISK_THREADS: usize = 32;

/// Starts the agent and serves until it is told to stop.
///
/// # Errors
/// See [`StartError`]: nothing is served then, and the sockets are gone.
pub fn run(options: &Options) -> Result<(), StartError> {
    let log = Log::start(options.log_format);
    let config = configuration(options)?;
    log.set_level(config.log.level);
    let memory = hardening::harden()?;

    let (state_dir, run_dir) = (&config.paths.state_dir, &config.paths.run_dir);
    protected::directory(state_dir, 0o700)?;
    protected::directory(run_dir, standing::RUN_MODE)?;
    let (_state_lock, run_lock) = (lock::lock(state_dir)?, lock::lock(run_dir)?);

    let key_file = config.root_key_file();
    let root_key = rootkey::load_or_create(&key_file, &state_dir.join("store.redb"))?;
    let store = RedbStore::open(state_dir)?;
    let lock = Arc::new(Autolock::open(key_file, root_key, Arc::new(store))?);
    if lock.catalog().is_err() {
        warn!("locked: nothing is delivered until `runsecrets unlock`");
    }
    let events = Arc::new(Events::default());
    let settings = delivery::Settings {
        size_limit: config.delivery.size_limit.map(Bounded::get),
        generations: config.delivery.generations,
        filesystems: config.delivery.filesystems(),
        docker: Docker::new(config.docker.socket.clone()),
        users: UserLimits { containers: config.rootless.containers.count(), bytes: config.rootless.bytes.get() },
    };

    let Cdi { file, hook: program } = &config.cdi;
    let devices = file.clone().map(|file| Arc::new(Devices::new(file, program.clone(), run_dir.clone())));
    let follower = devices.map(|devices| -> Follower {
        Arc::new(move |lock: &Autolock| devices.refresh(lock).map_err(|failure| failure.to_string()))
    });
    if let Some(Err(failure)) = follower.as_ref().map(|follow| follow(&lock)) {
        error!("{failure}");
    }

    let group = group(&config.api.group);
    let openness = group.map_or(Openness::Owner, Openness::Group);
    let (admin, admin_name) = sockets::bind(run_dir.join("agent.sock"), openness)?;
    let (hook, hook_name) = sockets::bind(run_dir.join(HOOK_SOCKET), Openness::Owner)?;
    let rootless = &config.rootless;
    let users = rootless.enabled.then(|| sockets::bind(run_dir.join(USER_SOCKET), Openness::Everybody)).transpose()?;
    let (users, users_name) = users.unzip();
    let facts = facts(options, &config, memory);

    let runtime = runtime().map_err(StartError::Runtime)?;
    runtime.block_on(async {
        let deliveries = Deliveries::new(lock.clone(), events.clone(), run_dir, &settings)?;
        if let Ok(catalog) = lock.catalog() {
            deliveries.finish_announced(&catalog);
        }
        let (stopper, stop) = watch::channel(false);
        let kept_versions = config.secrets.kept_versions.count();
        let body_time = config.limits.body_seconds.seconds();
        let threads = config.limits.hook_connections.count();
        let hooks = HookDoor::open(hook, deliveries.clone(), threads, config.limits.hook_seconds.seconds());
        let hooks = hooks.map_err(StartError::Runtime)?;
        let admittance = admittance(&config);
        let users = users.map(|users| UserDoor::open(users, deliveries.clone(), admittance)).transpose();
        let users = users.map_err(StartError::Runtime)?;
        let (admin, replacer) = Listener::new(admin).map_err(StartError::Runtime)?;
        let admission = group.map_or(Admission::RootOnly, Admission::Group);
        let admin = Door::new("agent.sock", admin, admission, config.limits.api_connections.count());
        let mut sockets = vec![
            Standing { name: admin_name, openness, replace: Box::new(move |listener| replacer.replace(listener)) },
            Standing { name: hook_name, openness: Openness::Owner, replace: Box::new(hooks.replacer()) },
        ];
        if let Some((name, door)) = users_name.zip(users.as_ref()) {
            sockets.push(Standing { name, openness: Openness::Everybody, replace: Box::new(door.replacer()) });
        }
        let keeper = Keeper::start(run_dir, run_lock, sockets, deliveries.clone());
        let _keeper = keeper.map_err(StartError::Runtime)?;
        let api = Arc::new(Api { lock, deliveries, events, follower, facts, kept_versions, body_time, stop });
        serve(&config.limits, api, admin, (hooks, users), stopper).await
    })?;
    // A thread that still waits for a disk or a hook is not waited for.
    runtime.shutdown_background();
    Ok(())
}

/// The configuration, with what the command line says above it.
fn configuration(options: &Options) -> Result<Config, StartError> {
    let file = options.config.as_deref();
    let read = file.unwrap_or(Path::new(DEFAULT_FILE));
    if read.exists() {
        protected::check_writers(read)?;
    }
    let mut config = Config::load(file)?;
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
    let read = options.config.clone().unwrap_or_else(|| DEFAULT_FILE.into());
    Facts {
        config_file: Some(read).filter(|file| file.exists()),
        state_dir: config.paths.state_dir.clone(),
        run_dir: config.paths.run_dir.clone(),
        sockets: ["agent.sock", HOOK_SOCKET]
            .into_iter()
            .chain(config.rootless.enabled.then_some(USER_SOCKET))
            .map(|name| Socket::as_made(&config.paths.run_dir, name))
            .collect(),
        swap_allowed: config.delivery.allow_swap,
        memory,
    }
}

/// The id of the group that may administer, where there is one.
fn group(name: &str) -> Option<u32> {
    if name.is_empty() {
        return None;
    }
    match Group::from_name(name) {
        Ok(Some(group)) => Some(group.gid.as_raw()),
        Ok(None) => {
            info!(group = name, "no such group: agent.sock is for root alone");
            None
        }
        Err(error) => {
            warn!(group = name, %error, "cannot look the group up: agent.sock is for root alone");
            None
        }
    }
}

/// Who may come in by `user.sock`. A name that nobody has lets nobody in.
fn admittance(config: &Config) -> Admittance {
    let limits = &config.rootless;
    let number = |user: &UserText| match user {
        UserText::Number(uid) => Some(*uid),
        UserText::Name(name) => match user_id(name) {
            Ok(Some(uid)) => Some(uid),
            Ok(None) => {
                warn!(user = name, "rootless.users: no such user");
                None
            }
            Err(error) => {
                warn!(user = name, %error, "rootless.users: cannot look the user up");
                None
            }
        },
    };
    Admittance {
        users: limits.users.as_ref().map(|users| users.iter().filter_map(number).collect()),
        connections: limits.connections.count(),
        patience: config.limits.hook_seconds.seconds(),
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

/// Serves both sockets until SIGTERM or SIGINT, then lets what is under way finish.
async fn serve(
    limits: &Limits,
    api: Arc<Api>,
    admin: Door,
    (hooks, users): (HookDoor, Option<UserDoor>),
    stopper: watch::Sender<bool>,
) -> Result<(), StartError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Runtime)?;
    let (stop, patience) = (api.stop.clone(), limits.stop_seconds.seconds());

    let told = async {
        tokio::select! {
            _ = terminate.recv() => info!("SIGTERM: stopping"),
            _ = interrupt.recv() => info!("SIGINT: stopping"),
        }
        notify::stopping();
        stopper.send_replace(true);
    };
    info!(version = env!("CARGO_PKG_VERSION"), "serving");
    notify::ready();
    tokio::join!(
        told,
        admin.keep(stop, patience, |stream, peer, place| listen::serve_api(&api, limits, stream, peer, place)),
    );
    let deliveries = api.deliveries.clone();
    // A thread that does not end in time is left to the end of the process.
    let closing = move || {
        deliveries.reveal_all();
        // Hooks are served meanwhile.
        deliveries.finish_superseded(patience);
        hooks.close(patience);
        users.map(|users| users.close(patience))
    };
    let _ = tokio::task::spawn_blocking(closing).await;
    Ok(())
}
