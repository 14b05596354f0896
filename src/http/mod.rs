//! Connections, limits and time-outs, the two envelopes, routing, replies, the page at `/`.
//!
//! The listeners are parameters, so that tests and systemd can pass them.

#![deny(
    clippy::wildcard_enum_match_arm,
    reason = "a new method must not be answered as another one, a new error not as an internal one"
)]

mod body;
mod client_address;
mod connections;
mod deed;
mod error;
mod frontend;
mod handler;
mod log;
mod lost;
mod memory;
mod method;
mod paced;
mod page;
mod present;
mod refuse;
mod reply;
mod route;
mod sending;
mod tracked;
mod visits;

use std::{convert::Infallible, pin::Pin, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::resource::{Resource, getrlimit};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use connections::{Connections, Guest};
use paced::Paced;
use tracked::Tracked;

use crate::listener::{Listener, Stream};

#[doc(hidden)]
pub use body::decode;
pub use frontend::Frontend;

/// The pause before accepting again when the system has run out of something.
const BACK_OFF: Duration = Duration::from_millis(500);

/// When stopping: how long a connection without a request may take to send one.
const GRACE: Duration = Duration::from_secs(5);

/// The buffer for sending on a connection; without this limit, half a megabyte each.
const BUFFER: usize = 32 * 1024;

/// Serves until the server has to stop; then finishes the requests under way and returns.
pub async fn serve(frontend: Arc<Frontend>, listeners: Vec<Listener>, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let wished = frontend.server.policy().limits.connections;
    let most = most_sockets().unwrap_or(wished);
    let open = Connections::new(affordable(wished, most), most);
    for listener in listeners {
        let accepting = accept(
            Arc::clone(&frontend),
            listener,
            Arc::clone(&open),
            connections.clone(),
            stop.clone(),
        );
        let accepting = stop.clone().run_until_cancelled_owned(accepting);
        // On a thread of its own: beside the connections, it would accept new ones only after
        // serving those before, and a flood would make a device wait for all of it.
        let runtime = Handle::current();
        connections.spawn_blocking(move || runtime.block_on(accepting));
    }
    stop.cancelled().await;
    connections.close();
    connections.wait().await;
}

/// Half of the file descriptors: the other half is for the files that the requests open.
fn most_sockets() -> Option<usize> {
    let (descriptors, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    Some(usize::try_from(descriptors / 2).unwrap_or(usize::MAX))
}

/// The wanted number of connections, or the most that there can be.
fn affordable(wished: usize, most: usize) -> usize {
    if wished > most {
        tracing::warn!(
            "max_connections is {wished}, but the limit of open files allows only {most}: raise LimitNOFILE= of the unit, or ulimit -n"
        );
    }
    wished.min(most)
}

async fn accept(
    frontend: Arc<Frontend>,
    listener: Listener,
    open: Arc<Connections>,
    connections: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let policy = frontend.server.policy();
                let most = policy.limits.connections_per_address;
                let guest = open.enter(peer, policy.trusts(peer), most).await;
                let frontend = Arc::clone(&frontend);
                connections.spawn(connection(frontend, stream, Arc::new(guest), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Probably no file descriptors are left.
                open.make_room();
                sleep(BACK_OFF).await;
            }
        }
    }
}

async fn connection(
    frontend: Arc<Frontend>,
    stream: Stream,
    guest: Arc<Guest>,
    stop: CancellationToken,
) {
    if guest.is_evicted() {
        return;
    }
    let server = &frontend.server;
    let limits = server.policy().limits;
    let _connected = server.statistics.connected();
    // Reads have their own time-outs, which depend on what is being read.
    let stream = Paced::new(stream, limits.body_timeout);
    // A token lives from a request's head to the end of its answer.
    let requests = TaskTracker::new();
    let service = service_fn(|request: Request<Incoming>| {
        let (frontend, token) = (Arc::clone(&frontend), requests.token());
        let guest = Arc::clone(&guest);
        async move {
            let under_way = (token, server.statistics.requested(), guest.served());
            let response = handler::handle(frontend, &guest, request).await;
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
                // hyper waits for the rest of an incomplete head; here it can be dropped.
                Err(_) if requests.is_empty() => Ok(()),
                Err(_) => running.await,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, peer = ?guest.peer, "a connection was interrupted");
        if error.is_parse() {
            let unread = connection.into_parts().read_buf;
            frontend.lost.connection(guest.peer, &unread);
        }
    }
}
