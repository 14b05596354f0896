//! Sources of connections: TCP or a unix socket. Devices and Prometheus use both.

use std::{io, net::IpAddr};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::either::Either;

/// A socket that connections are accepted from.
#[derive(Debug)]
pub enum Listener {
    /// An address and port.
    Tcp(TcpListener),
    /// A path.
    Unix(UnixListener),
}

/// One connection.
pub type Stream = Either<TcpStream, UnixStream>;

impl Listener {
    /// Accepts a connection. The address is none over a unix socket.
    pub async fn accept(&self) -> io::Result<(Stream, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Each answer is written at once, so waiting for more would only delay it.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection was closed before it began");
                }
                Ok((Either::Left(stream), Some(peer.ip().to_canonical())))
            }
            Self::Unix(listener) => Ok((Either::Right(listener.accept().await?.0), None)),
        }
    }
}
