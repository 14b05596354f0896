//! The daemon, from its settings to its end.

use std::{
    io,
    net::{TcpListener, ToSocketAddrs},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

use crate::{
    account::Accounts,
    config::Settings,
    http::{self, Server},
    service::{exit::Exit, log, signals},
    vault::{
        Vaults,
        base::{Base, BaseError},
    },
};

/// Threads for SQLite, files and passwords, of all users together.
const BLOCKING_THREADS: usize = 16;

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("SYNC_HOST: {host:?} is not an address of this machine: {source}")]
    Host { host: String, source: io::Error },
    #[error(
        "cannot listen on {address}: {source}; is another server running there? SYNC_HOST and SYNC_PORT choose another address"
    )]
    Listen { address: String, source: io::Error },
    #[error(transparent)]
    Base(#[from] BaseError),
    #[error("the system gives no threads or signals: {0}")]
    System(#[from] io::Error),
}

impl StartError {
    fn exit(&self) -> Exit {
        match self {
            Self::Host { .. } => Exit::Config,
            Self::Listen { .. } | Self::System(_) => Exit::Unavailable,
            Self::Base(_) => Exit::CannotCreate,
        }
    }
}

/// Serves until SIGTERM or SIGINT.
pub fn run(settings: Settings) -> Exit {
    log::init();
    match start(settings) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            tracing::error!("{error}");
            error.exit()
        }
    }
}

fn start(settings: Settings) -> Result<(), StartError> {
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    // Before anything is created on disk, since the address may be mistyped.
    let listeners = listen(&settings.host, settings.port)?;
    let base = Base::open(&settings.base)?;
    let accounts = Accounts::new(settings.users, base.host_key_secret()?);
    let server = Server {
        accounts,
        vaults: Vaults::new(base),
        limits: settings.limits,
        client_address: settings.client_address,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    runtime.block_on(serve(Arc::new(server), listeners))
}

async fn serve(server: Arc<Server>, listeners: Vec<TcpListener>) -> Result<(), StartError> {
    let listeners = listeners
        .into_iter()
        .map(tokio::net::TcpListener::from_std)
        .collect::<io::Result<Vec<_>>>()?;
    for listener in &listeners {
        tracing::info!("listening on {}", listener.local_addr()?);
    }
    let stop = CancellationToken::new();
    let closing = Arc::clone(&server);
    let housekeeping = tokio::spawn(async move { closing.vaults.close_idle().await });
    let serving = tokio::spawn(http::serve(Arc::clone(&server), listeners, stop.clone()));
    let signal = signals::termination().await?;
    tracing::info!("{signal}: finishing the requests under way");
    stop.cancel();
    if let Err(error) = serving.await {
        tracing::error!("panicked: {error}");
    }
    housekeeping.abort();
    server.vaults.close_all().await;
    tracing::info!("stopped");
    Ok(())
}

/// Listens on every address that the host name stands for.
fn listen(host: &str, port: u16) -> Result<Vec<TcpListener>, StartError> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let host_error = |source| StartError::Host {
        host: host.to_owned(),
        source,
    };
    let mut listeners = Vec::new();
    let mut failure = host_error(io::ErrorKind::AddrNotAvailable.into());
    for address in (bare, port).to_socket_addrs().map_err(host_error)? {
        match TcpListener::bind(address) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                listeners.push(listener);
            }
            Err(source) if source.kind() == io::ErrorKind::AddrNotAvailable => {
                failure = host_error(source);
            }
            Err(source) => {
                failure = StartError::Listen {
                    address: address.to_string(),
                    source,
                }
            }
        }
    }
    if listeners.is_empty() {
        Err(failure)
    } else {
        Ok(listeners)
    }
}
