//! The start-up order, and the way out. Nothing is served before everything that guards it stands.

use std::fmt;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use nix::unistd::Group;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};

use super::api::Api;
use super::catalog::{Catalog, CatalogError, Status};
use super::config::{Config, ConfigError, DEFAULT_FILE, Limits};
use super::delivery::Deliveries;
use super::events::Events;
use super::hardening::{self, HardeningError};
use super::listen::{self, Admission, Door};
use super::log::Log;
use super::options::Options;
use super::protected::{self, ProtectionError};
use super::rootkey::{self, RootKeyError};
use super::sockets::{self, SocketError};
use super::{exit, notify};
use crate::store::{RedbStore, StoreError};

/// Threads that wait for the disk, besides those of the hooks.
const DISK_THREADS: usize = 32;

/// Why the agent does not serve.
#[derive(Debug)]
pub enum StartError {
    /// The configuration.
    Config(ConfigError),
    /// The process's own protection.
    Hardening(HardeningError),
    /// A directory, a lock or a file.
    Protection(ProtectionError),
    /// The root key.
    RootKey(RootKeyError),
    /// What the store holds.
    Catalog(CatalogError),
    /// The store.
    Store(StoreError),
    /// A socket.
    Socket(SocketError),
    /// Threads, timers or signals.
    Runtime(io::Error),
}

impl StartError {
    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => exit::CONFIG,
            Self::Hardening(_) | Self::Runtime(_) => exit::SYSTEM,
            Self::Protection(ProtectionError::Taken { .. })
            | Self::Socket(SocketError::InUse(_))
            | Self::Store(StoreError::InUse(_)) => exit::UNAVAILABLE,
            Self::Protection(_) | Self::RootKey(_) | Self::Socket(SocketError::NotOurs(_)) => exit::PROTECTION,
            Self::Catalog(error) if error.status() == Status::Corrupt => exit::DAMAGED,
            Self::Store(StoreError::Damaged { .. } | StoreError::Outdated { .. }) => exit::DAMAGED,
            Self::Catalog(_) | Self::Store(_) | Self::Socket(_) => exit::IO,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Hardening(error) => error.fmt(f),
            Self::Protection(error) => error.fmt(f),
            Self::RootKey(error) => error.fmt(f),
            Self::Catalog(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Socket(error) => error.fmt(f),
            Self::Runtime(error) => write!(f, "cannot start the event loop: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

macro_rules! from {
    ($($variant:ident($error:ty)),+) => {
        $(impl From<$error> for StartError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })+
    };
}

from!(
    Config(ConfigError),
    Hardening(HardeningError),
    Protection(ProtectionError),
    RootKey(RootKeyError),
    Catalog(CatalogError),
    Store(StoreError),
    Socket(SocketError)
);

/// Starts the agent and serves until it is told to stop.
///
/// # Errors
/// See [`StartError`]: nothing is served then, and the sockets are gone.
pub fn run(options: &Options) -> Result<(), StartError> {
    let log = Log::start(options.log_format);
    let config = configuration(options)?;
    log.set_level(config.log.level);
    hardening::harden()?;

    let (state_dir, run_dir) = (&config.paths.state_dir, &config.paths.run_dir);
    protected::directory(state_dir, 0o700)?;
    protected::directory(run_dir, 0o711)?;
    let _locks = [protected::lock(state_dir)?, protected::lock(run_dir)?];

    let root_key = rootkey::load_or_create(&config.root_key_file(), &state_dir.join("store.redb"))?;
    let store = RedbStore::open(state_dir)?;
    let catalog = Arc::new(Catalog::open(Arc::new(store), root_key)?);
    let events = Arc::new(Events::default());
    let deliveries = Arc::new(Deliveries);

    let group = group(&config.api.group);
    let (admin, _admin_name) = sockets::bind(run_dir.join("agent.sock"), group)?;
    let (hook, _hook_name) = sockets::bind(run_dir.join("hook.sock"), None)?;

    let runtime = runtime(&config.limits).map_err(StartError::Runtime)?;
    runtime.block_on(async {
        let (stopper, stop) = watch::channel(false);
        let body_time = config.limits.body_seconds.seconds();
        let api = Arc::new(Api { catalog, deliveries: deliveries.clone(), events, body_time, stop });
        let admission = group.map_or(Admission::RootOnly, Admission::Group);
        serve(&config.limits, api, deliveries, [(admin, admission), (hook, Admission::RootOnly)], stopper).await
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

fn runtime(limits: &Limits) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(limits.hook_connections.count() + DISK_THREADS)
        .thread_name("runsecrets")
        .enable_all()
        .build()
}

/// Serves both sockets until SIGTERM or SIGINT, then lets what is under way finish.
async fn serve(
    limits: &Limits,
    api: Arc<Api>,
    deliveries: Arc<Deliveries>,
    [(admin, admins), (hook, hooks)]: [(UnixListener, Admission); 2],
    stopper: watch::Sender<bool>,
) -> Result<(), StartError> {
    let listener = |listener| tokio::net::UnixListener::from_std(listener).map_err(StartError::Runtime);
    let admin = Door::new("agent.sock", listener(admin)?, admins, limits.api_connections.count());
    let hook = Door::new("hook.sock", listener(hook)?, hooks, limits.hook_connections.count());
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
        admin.keep(stop.clone(), patience, |stream, peer, place| listen::serve_api(&api, limits, stream, peer, place)),
        hook.keep(stop, patience, |stream, peer, place| listen::serve_hook(&deliveries, limits, stream, peer, place)),
    );
    Ok(())
}
