//! The daemon, from its settings to its end.

mod last_words;

use std::{io, os::unix::net::UnixListener, path::Path, sync::Arc, time::Duration};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    account::{
        Accounts,
        devices::{
            Devices,
            former::{self, FormerError},
        },
        users::Standing,
    },
    collection::distrust::bound_memory,
    config::{Settings, Sources, problem::Problems},
    control::{self, Operator},
    http::{self, Frontend},
    metrics,
    service::{
        account::{self, Choice, PrivilegeError},
        exit::Exit,
        fixed::Fixed,
        log, notify, privileges,
        reload::{Reloader, log_warnings},
        rest, sandbox,
        signals::Signals,
        sockets::{self, Passed, Socket, SocketError},
        status, watch, watchdog,
    },
    state::{Policy, Server},
    vault::{
        self, Vaults,
        base::{Base, BaseError},
        hand_over::hand_over,
        workers::THREADS,
    },
};

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("{0}")]
    Settings(Problems),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Privilege(#[from] PrivilegeError),
    #[error(transparent)]
    Base(#[from] BaseError),
    #[error(transparent)]
    Devices(#[from] FormerError),
    #[error("the list of users who are being renamed cannot be read: {0}")]
    Renamed(#[from] vault::Error),
    #[error("the sandbox cannot be set up: {0}")]
    Sandbox(Box<dyn std::error::Error>),
    #[error("SQLite cannot be set up: {0}")]
    Database(rusqlite::Error),
    #[error("the system refused resources that the server needs: {0}")]
    System(#[from] io::Error),
}

impl StartError {
    fn exit(&self) -> Exit {
        match self {
            Self::Settings(_)
            | Self::Socket(SocketError::Host { .. })
            | Self::Privilege(_)
            | Self::Base(BaseError::Shared { .. }) => Exit::Config,
            Self::Socket(_) | Self::System(_) | Self::Sandbox(_) | Self::Database(_) => {
                Exit::Unavailable
            }
            Self::Base(_) | Self::Devices(_) | Self::Renamed(_) => Exit::CannotCreate,
        }
    }
}

/// Serves until SIGTERM or SIGINT, or until it has been idle for a while.
pub fn run(sources: Sources, allow_root: bool) -> Exit {
    log::init();
    let mut waiting = Passed::default();
    match start(sources, allow_root, &mut waiting) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            let reason = error.to_string();
            reason.lines().for_each(|line| tracing::error!("{line}"));
            notify::cannot_start(&reason);
            last_words::say(&waiting, &reason);
            error.exit()
        }
    }
}

/// Ends a unit whose command line is wrong, with the reason.
pub fn refuse(command_line: &str) {
    log::init();
    tracing::error!("{command_line}");
    if let Ok(passed) = sockets::inherited() {
        last_words::say(&passed, command_line);
    }
}

/// Everything that has to happen while there is one thread. Sockets come before the rights are
/// given up, and that before anything is written. If the start fails, `waiting` holds the sockets,
/// so that waiting clients get an answer.
fn start(sources: Sources, allow_root: bool, waiting: &mut Passed) -> Result<(), StartError> {
    let mut passed = sockets::inherited()?;
    *waiting = passed.duplicate()?;
    let mut settings = Settings::load_to_serve(&sources).map_err(StartError::Settings)?;
    log_warnings(&settings.all_warnings());
    let is_activated = !passed.serving.is_empty();
    let idle_exit = settings.idle_exit.filter(|_| is_activated);
    if !is_activated {
        passed.serving = sockets::bind(&settings.host, settings.port)?;
    }
    let places: Vec<_> = passed.serving.iter().map(Socket::place).collect();
    let fixed = Fixed::new(&settings, is_activated.then(|| places.clone()));
    let remarks = fixed.remarks(&settings);
    log_warnings(&remarks);
    settings.warnings.extend(remarks);
    if let Some(account) = account::choose(settings.run_as.as_deref(), allow_root, &settings.base)?
    {
        if account.choice != Choice::Owner {
            let mut patience = rest::Patience::default();
            hand_over(&settings.base, account.uid, account.gid, &mut || {
                patience.working();
            })?;
        }
        privileges::drop_to(&account)?;
        tracing::info!("{}", account.describe(&settings.base));
    }
    bound_memory().map_err(StartError::Database)?;
    let base = Base::open(&settings.base)?;
    sandbox::confine(&settings.base).map_err(StartError::Sandbox)?;
    former::take_over(base.path(), &base.former_devices_file(), |user| {
        settings.users.standing(user) != Standing::Stranger
    })?;
    let devices = Devices::below(base.path());
    let secret = match &settings.host_key_secret {
        Some(secret) => secret.clone(),
        None => base.host_key_secret()?,
    };
    if passed.control.is_none() {
        passed.control = own_control(&settings.base);
    }
    let policy = Policy::from(&settings);
    let warnings = settings.all_warnings();
    let vaults = Vaults::new(base, settings.retention);
    let standing = |user: &_| settings.users.standing(user);
    // A full disk is no reason not to start: the server can still send what is there.
    if let Err(error) = vaults.remember(settings.users.able.keys(), standing) {
        tracing::warn!(%error, "cannot save which users have synced with this server");
    }
    let server = Arc::new(Server::new(
        Accounts::new(settings.users, secret, devices),
        vaults,
        policy,
    ));
    let reloader = Arc::new(Reloader::new(
        Arc::clone(&server),
        sources,
        fixed,
        warnings,
        &settings.user_lists,
    ));
    let operator = Operator::new(
        Arc::clone(&server),
        Arc::clone(&reloader),
        settings.base,
        places,
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Each socket has a thread that accepts.
        .max_blocking_threads(THREADS + passed.serving.len())
        .build()?;
    let outcome = runtime.block_on(serve(server, passed, reloader, operator, idle_exit));
    // Work that still runs has been waited for long enough, or its result is not needed.
    runtime.shutdown_background();
    outcome
}

/// A socket for the operator's commands where systemd passes none. The server also serves without
/// it.
fn own_control(base: &Path) -> Option<UnixListener> {
    let path = control::own_socket(base);
    sockets::bind_control(&path)
        .inspect_err(|error| {
            tracing::warn!(
                "{}: {error}. anki-syncd's commands cannot reach this server",
                path.display()
            );
        })
        .ok()
}

async fn serve(
    server: Arc<Server>,
    sockets: Passed,
    reloader: Arc<Reloader>,
    operator: Operator,
    idle_exit: Option<Duration>,
) -> Result<(), StartError> {
    let mut signals = Signals::listen()?;
    let standing = |user: &_| server.accounts.standing(user);
    // If a user's data cannot be moved, all others are still served; the log names the user.
    server.vaults.follow(standing).await?;
    for socket in &sockets.serving {
        tracing::info!("listening on {}", socket.place());
    }
    let listeners = sockets
        .serving
        .into_iter()
        .map(Socket::into_listener)
        .collect::<io::Result<Vec<_>>>()?;
    let stop = CancellationToken::new();
    let frontend = Arc::new(Frontend::new(Arc::clone(&server)));
    let mut helpers = spawn_helpers(&server, &frontend, &reloader);
    let operator = Arc::new(operator);
    if let Some(socket) = sockets.metrics {
        tracing::info!("metrics on {}", socket.place());
        let listener = socket.into_listener()?;
        helpers.spawn(metrics::server::serve(Arc::clone(&operator), listener));
    }
    if let Some(listener) = sockets.control {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::UnixListener::from_std(listener)?;
        helpers.spawn(control::serve(operator, listener));
    }
    let serving = tokio::spawn(http::serve(Arc::clone(&frontend), listeners, stop.clone()));
    notify::ready();
    let idle = async {
        match idle_exit {
            Some(idle) => rest::until_idle(&server, idle).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        signal = signals.termination(|| reload_beside(&reloader)) => {
            tracing::info!("received {signal}: finishing running requests and syncs");
            notify::stopping();
            server.vaults.workers().begin_to_stop();
            rest::until_quiet(&server).await;
        }
        () = idle => {
            tracing::info!("idle, so the server ends; the next connection starts it again");
            notify::stopping();
        }
    }
    stop.cancel();
    match timeout(rest::PARTING, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!("internal error: {error}"),
        Err(_) => tracing::warn!("some requests did not end in time and were cut off"),
    }
    server.vaults.workers().stop();
    if !rest::patiently(server.vaults.close_all()).await {
        tracing::warn!("some syncs did not end in time and are rolled back");
    }
    // The log has the error.
    frontend.log_last_visits();
    let _ = server.accounts.devices.store().await;
    drop(helpers);
    tracing::info!("stopped");
    Ok(())
}

/// Runs in the background: reading the settings may have to wait for other work, and a signal that
/// ends the server must not wait for that.
fn reload_beside(reloader: &Arc<Reloader>) {
    let reloader = Arc::clone(reloader);
    // The log has the mistakes in the settings.
    tokio::spawn(async move { drop(reloader.reload().await) });
}

/// Starts the tasks that run beside serving, also while the last requests finish.
fn spawn_helpers(
    server: &Arc<Server>,
    frontend: &Arc<Frontend>,
    reloader: &Arc<Reloader>,
) -> tokio::task::JoinSet<()> {
    let mut helpers = tokio::task::JoinSet::new();
    let (closing, watched) = (Arc::clone(server), Arc::clone(server));
    let devices = server.accounts.devices.clone();
    helpers.spawn(async move { devices.keep_stored().await });
    let watching = Arc::clone(reloader);
    helpers.spawn(async move { watch::run(&watching).await });
    helpers.spawn(async move { closing.vaults.close_idle().await });
    let clearing = Arc::clone(server);
    helpers.spawn(async move {
        clearing.vaults.clear_leftovers().await;
        clearing.accounts.devices.clear_leftovers().await;
    });
    helpers.spawn(async move { status::run(&watched).await });
    let visited = Arc::clone(frontend);
    helpers.spawn(async move { visited.log_visits().await });
    if let Some(limit) = notify::watchdog() {
        helpers.spawn(watchdog::run(limit, server.vaults.workers().clone()));
    }
    helpers
}
