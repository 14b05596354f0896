//! Connections, limits and time-outs, the two envelopes, routing, replies, the page at `/`.
//!
//! A listener comes from outside, so that tests and systemd can hand one in.

mod body;
mod client_address;
mod connections;
#[doc(hidden)]
pub mod decode;
mod direct;
mod envelope;
mod error;
mod handler;
pub mod listener;
mod log;
mod lost;
mod memory;
mod multipart;
mod paced;
mod page;
mod present;
pub mod pulse;
mod refuse;
mod reply;
mod route;
mod sending;
mod spool;
mod tracked;
mod visits;

use std::{
    convert::Infallible,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use nix::sys::resource::{Resource, getrlimit};
use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use connections::{Connections, Guest};
use listener::{Listener, Stream};
use lost::Lost;
use memory::Memory;
use paced::Paced;
use pulse::Pulse;
use tracked::Tracked;
use visits::Visits;

use crate::{
    account::{Accounts, DeviceId},
    config::{Limits, Settings, client_address::ClientAddress},
    seldom::Seldom,
    vault::{Vaults, room::Room},
};

/// How long to wait before accepting again when the system is out of something.
const BACK_OFF: Duration = Duration::from_millis(500);

/// When stopping, how long a connection without a request may take to show one.
const GRACE: Duration = Duration::from_secs(5);

/// What a connection buffers of what it is sent: without a limit, half a megabyte each.
const BUFFER: usize = 32 * 1024;

/// What every request needs.
pub struct Server {
    /// Who may sync.
    pub accounts: Accounts,
    /// Their data.
    pub vaults: Vaults,
    /// What their requests may hold in memory, all together.
    memory: Memory,
    /// What they may ask, and whose word is taken about where they are.
    policy: RwLock<Arc<Policy>>,
    /// What has happened, for whoever watches.
    pub pulse: Pulse,
    /// What devices are doing, each of which gets a line in the log.
    visits: Visits,
    /// Which revoked devices have been logged of late.
    revoked: Seldom<DeviceId>,
    /// Which wrong addresses have been logged of late.
    lost: Lost,
}

/// What may change while the server runs.
#[derive(Debug, Clone)]
pub struct Policy {
    /// What a client may ask.
    pub limits: Limits,
    /// How much may be stored.
    pub room: Room,
    /// Where its address is to be found.
    pub client_address: ClientAddress,
    /// From whom that is believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl From<&Settings> for Policy {
    fn from(settings: &Settings) -> Self {
        Self {
            limits: settings.limits,
            room: settings.room,
            client_address: settings.client_address,
            trusted_proxies: settings.trusted_proxies.clone(),
        }
    }
}

impl Policy {
    /// Whether what the other end of a connection says about clients is believed; over a unix
    /// socket, which has no address, it is.
    #[must_use]
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_none_or(|peer| self.trusted_proxies.iter().any(|net| net.contains(&peer)))
    }
}

impl Server {
    /// One that has not served anything yet.
    #[must_use]
    pub fn new(accounts: Accounts, vaults: Vaults, policy: Policy) -> Self {
        vaults.disk().keep_free(policy.room.reserve);
        Self {
            accounts,
            vaults,
            memory: Memory::new(policy.limits.memory),
            policy: RwLock::new(Arc::new(policy)),
            pulse: Pulse::default(),
            visits: Visits::default(),
            revoked: Seldom::default(),
            lost: Lost::default(),
        }
    }

    /// What holds now.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What holds from now on, for requests that come.
    pub fn change_policy(&self, policy: Policy) {
        self.vaults.disk().keep_free(policy.room.reserve);
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }
}

/// Serves until told to stop; then finishes the requests under way and returns.
pub async fn serve(server: Arc<Server>, listeners: Vec<Listener>, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let open = Connections::new(affordable(server.policy().limits.connections));
    for listener in listeners {
        let accepting = accept(
            Arc::clone(&server),
            listener,
            Arc::clone(&open),
            connections.clone(),
            stop.clone(),
        );
        connections.spawn(stop.clone().run_until_cancelled_owned(accepting));
    }
    stop.cancelled().await;
    connections.close();
    connections.wait().await;
}

/// As many connections as are wished for, or as half of the file descriptors allow: the other half
/// is for the files that they are about.
fn affordable(wished: usize) -> usize {
    let Ok((descriptors, _)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return wished;
    };
    let most = usize::try_from(descriptors / 2).unwrap_or(usize::MAX);
    if wished > most {
        tracing::warn!(
            "max_connections is {wished}, but the limit of open files allows only {most}: raise LimitNOFILE= of the unit, or ulimit -n"
        );
    }
    wished.min(most)
}

async fn accept(
    server: Arc<Server>,
    listener: Listener,
    open: Arc<Connections>,
    connections: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let policy = server.policy();
                let most = policy.limits.connections_per_address;
                let guest = open.enter(peer, policy.trusts(peer), most).await;
                let server = Arc::clone(&server);
                connections.spawn(connection(server, stream, Arc::new(guest), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Most likely there are no file descriptors left.
                open.make_room();
                sleep(BACK_OFF).await;
            }
        }
    }
}

async fn connection(
    server: Arc<Server>,
    stream: Stream,
    guest: Arc<Guest>,
    stop: CancellationToken,
) {
    let limits = server.policy().limits;
    let _connected = server.pulse.connected();
    // Reads have time-outs of their own, which depend on what is being read.
    let stream = Paced::new(stream, limits.body_timeout);
    // A token lives from a request's head to the end of its answer.
    let requests = TaskTracker::new();
    let service = service_fn(|request: Request<Incoming>| {
        let (server, token) = (Arc::clone(&server), requests.token());
        let guest = Arc::clone(&guest);
        async move {
            let under_way = (token, server.pulse.requested(), guest.served());
            let response = handler::handle(server, &guest, request).await;
            Ok::<_, Infallible>(response.map(|body| Tracked::new(body, under_way)))
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut running = Pin::new(&mut connection);
    let ended = tokio::select! {
        ended = running.as_mut() => ended,
        () = guest.evicted() => Ok(()),
        () = stop.cancelled() => {
            running.as_mut().graceful_shutdown();
            match timeout(GRACE, running.as_mut()).await {
                Ok(ended) => ended,
                // hyper waits for the rest of a half-sent head; we need not.
                Err(_) if requests.is_empty() => Ok(()),
                Err(_) => running.await,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, peer = ?guest.peer, "a connection was interrupted");
        if error.is_parse() {
            let unread = connection.into_parts().read_buf;
            server.lost.connection(guest.peer, &unread);
        }
    }
}
