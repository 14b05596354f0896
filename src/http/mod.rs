//! Connections, limits and time-outs, the two envelopes, routing and replies.
//!
//! A listener comes from outside, so that tests and systemd can hand one in.

mod body;
mod client_address;
mod decode;
mod direct;
mod envelope;
mod error;
mod handler;
mod multipart;
mod reply;
mod route;
mod spool;
mod tracked;

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use tracked::Tracked;

use crate::{
    account::Accounts,
    config::{Limits, client_address::ClientAddress},
    vault::Vaults,
};

/// How long to wait before accepting again when the system is out of something.
const BACK_OFF: Duration = Duration::from_millis(500);

/// When stopping, how long a connection without a request may take to show one.
const GRACE: Duration = Duration::from_secs(5);

/// What every request needs.
pub struct Server {
    /// Who may sync.
    pub accounts: Accounts,
    /// Their data.
    pub vaults: Vaults,
    /// What they may ask.
    pub limits: Limits,
    /// Where their addresses are to be found.
    pub client_address: ClientAddress,
}

/// Serves until told to stop; then finishes the requests under way and returns.
pub async fn serve(server: Arc<Server>, listeners: Vec<TcpListener>, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(server.limits.connections));
    for listener in listeners {
        let accepting = accept(
            Arc::clone(&server),
            listener,
            Arc::clone(&room),
            connections.clone(),
            stop.clone(),
        );
        connections.spawn(stop.clone().run_until_cancelled_owned(accepting));
    }
    stop.cancelled().await;
    connections.close();
    connections.wait().await;
}

async fn accept(
    server: Arc<Server>,
    listener: TcpListener,
    room: Arc<Semaphore>,
    connections: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        // Taken before accepting: whoever finds no room waits in the kernel's backlog.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                connections.spawn(connection(
                    Arc::clone(&server),
                    stream,
                    peer,
                    place,
                    stop.clone(),
                ));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(BACK_OFF).await;
            }
        }
    }
}

async fn connection(
    server: Arc<Server>,
    stream: TcpStream,
    peer: SocketAddr,
    _place: OwnedSemaphorePermit,
    stop: CancellationToken,
) {
    let limits = server.limits;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before it began");
    }
    let mut stream = TimeoutStream::new(stream);
    // Reads have time-outs of their own, which depend on what is being read.
    stream.set_write_timeout(Some(limits.body_timeout));
    // A token lives from a request's head to the end of its answer.
    let requests = TaskTracker::new();
    let service = service_fn(|request: Request<Incoming>| {
        let (server, token) = (Arc::clone(&server), requests.token());
        async move {
            let response = handler::handle(server, peer, request).await;
            Ok::<_, Infallible>(response.map(|body| Tracked::new(body, token)))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match timeout(GRACE, connection.as_mut()).await {
                Ok(ended) => ended,
                // hyper waits for the rest of a half-sent head; we need not.
                Err(_) if requests.is_empty() => Ok(()),
                Err(_) => connection.await,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection broke off");
    }
}
