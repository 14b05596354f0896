//! The listening sockets: passed by systemd, or bound to an address.

use std::{
    fs::{self, Permissions},
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    os::{
        fd::AsFd,
        unix::{fs::PermissionsExt, net::UnixListener},
    },
    path::Path,
};

use listenfd::ListenFd;
use nix::errno::Errno;
use nix::sys::socket::{Backlog, getsockopt, listen, sockopt::AcceptConn};

use super::{listeners::holder, manager};

/// The `FileDescriptorName=` of the operator's socket.
const CONTROL: &str = "control";
/// The `FileDescriptorName=` of the metrics socket.
const METRICS: &str = "metrics";
/// How many connections may wait to be accepted, the same as for systemd's sockets. With the
/// standard library's 128, the kernel drops connections of a burst, and clients try again after
/// one, three and seven seconds.
const WAITING: i32 = 4096;

/// A listening socket, before the runtime has it.
#[derive(Debug)]
pub enum Socket {
    /// An address and port.
    Tcp(TcpListener),
    /// A path.
    Unix(UnixListener),
}

/// Why there is no socket to listen on.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A socket unit passes another kind of socket.
    #[error(
        "socket {0} from systemd is not a listening stream socket: the socket unit needs ListenStream= and Accept=no"
    )]
    Foreign(usize),
    /// A host name that does not resolve.
    #[error("SYNC_HOST (host): {host:?} is not an address of this machine: {source}")]
    Host {
        /// The setting.
        host: String,
        /// The cause.
        source: io::Error,
    },
    /// An address that is in use or forbidden.
    #[error(
        "cannot listen on {address}: {source}{}. Choose another address with SYNC_HOST (host) and SYNC_PORT (port)",
        holder(address.port()).map(|holder| format!(" by {holder}")).unwrap_or_default()
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The unit allows no network, and no socket unit passes a socket.
    #[error(
        "systemd passed no socket, and the unit does not allow the server to open one: run `systemctl enable --now anki-syncd.socket`, or use the drop-in standalone.conf"
    )]
    NoneAllowed,
    /// The system refused to create a socket.
    #[error("the sockets cannot be set up: {0}")]
    Io(#[from] io::Error),
}

/// The sockets that systemd passes.
#[derive(Debug, Default)]
pub struct Passed {
    /// For devices; none if the daemon has to listen itself.
    pub serving: Vec<Socket>,
    /// For the operator's commands.
    pub control: Option<UnixListener>,
    /// For programs that collect metrics.
    pub metrics: Option<Socket>,
}

impl Socket {
    fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(listener) => listener.try_clone().map(Self::Tcp),
            Self::Unix(listener) => listener.try_clone().map(Self::Unix),
        }
    }
}

impl Passed {
    /// Duplicates of the sockets.
    pub fn duplicate(&self) -> io::Result<Self> {
        let serving = self.serving.iter().map(Socket::try_clone);
        Ok(Self {
            serving: serving.collect::<io::Result<_>>()?,
            control: self
                .control
                .as_ref()
                .map(UnixListener::try_clone)
                .transpose()?,
            metrics: self.metrics.as_ref().map(Socket::try_clone).transpose()?,
        })
    }
}

/// Takes the sockets that systemd passes. Call this once, before there are threads.
pub fn inherited() -> Result<Passed, SocketError> {
    let names = manager::socket_names();
    let mut descriptors = ListenFd::from_env();
    let mut passed = Passed::default();
    for number in 0..descriptors.len() {
        let name = names.get(number).map_or("", String::as_str);
        match (take(&mut descriptors, number)?, name) {
            (Socket::Unix(listener), CONTROL) => passed.control = Some(listener),
            (socket, METRICS) => passed.metrics = Some(socket),
            (socket, _) => passed.serving.push(socket),
        }
    }
    Ok(passed)
}

/// Listens for the operator's commands. Only the daemon's own user may connect, so the folder must
/// belong to that user alone.
pub fn bind_control(path: &Path) -> io::Result<UnixListener> {
    // A process that has ended left it: no other account can write to the folder.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => {
            let listener = UnixListener::bind(path)?;
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
            Ok(listener)
        }
    }
}

fn take(passed: &mut ListenFd, number: usize) -> Result<Socket, SocketError> {
    // A socket of another kind fails here, and is tried as the next kind.
    let socket = match passed.take_tcp_listener(number) {
        Ok(Some(listener)) => Socket::Tcp(listener),
        _ => match passed.take_unix_listener(number) {
            Ok(Some(listener)) => Socket::Unix(listener),
            _ => return Err(SocketError::Foreign(number)),
        },
    };
    if socket.is_listening() {
        Ok(socket)
    } else {
        Err(SocketError::Foreign(number))
    }
}

/// The addresses of a host: a name, or an address with or without brackets.
pub fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    Ok((bare, port).to_socket_addrs()?.collect())
}

/// Listens on all addresses of the host.
pub fn bind(host: &str, port: u16) -> Result<Vec<Socket>, SocketError> {
    let host_error = |source| SocketError::Host {
        host: host.to_owned(),
        source,
    };
    let mut sockets = Vec::new();
    let mut failure = host_error(io::ErrorKind::AddrNotAvailable.into());
    for address in resolve(host, port).map_err(host_error)? {
        match bind_one(address) {
            Ok(listener) => sockets.push(Socket::Tcp(listener)),
            Err(source) if source.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32) => {
                failure = SocketError::NoneAllowed;
            }
            Err(source) if source.kind() == io::ErrorKind::AddrNotAvailable => {
                failure = host_error(source);
            }
            Err(source) => failure = SocketError::Listen { address, source },
        }
    }
    if sockets.is_empty() {
        Err(failure)
    } else {
        Ok(sockets)
    }
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listen(&listener, Backlog::new(WAITING)?)?;
    Ok(listener)
}

impl Socket {
    /// Passes it to the runtime, which must be running.
    pub fn into_listener(self) -> io::Result<crate::listener::Listener> {
        use crate::listener::Listener;
        match self {
            Self::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                Ok(Listener::Tcp(tokio::net::TcpListener::from_std(listener)?))
            }
            Self::Unix(listener) => {
                listener.set_nonblocking(true)?;
                Ok(Listener::Unix(tokio::net::UnixListener::from_std(
                    listener,
                )?))
            }
        }
    }

    /// The address or path, for the log.
    pub fn place(&self) -> String {
        let place = match self {
            Self::Tcp(listener) => listener.local_addr().map(|address| address.to_string()),
            Self::Unix(listener) => {
                let path = |address: std::os::unix::net::SocketAddr| {
                    address.as_pathname().map(|path| path.display().to_string())
                };
                listener
                    .local_addr()
                    .map(|address| path(address).unwrap_or_else(|| "a unix socket".to_owned()))
            }
        };
        place.unwrap_or_else(|error| format!("an unknown place ({error})"))
    }

    fn is_listening(&self) -> bool {
        match self {
            Self::Tcp(listener) => getsockopt(&listener.as_fd(), AcceptConn).unwrap_or(false),
            Self::Unix(listener) => getsockopt(&listener.as_fd(), AcceptConn).unwrap_or(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_this_machine_is_understood() {
        for host in ["127.0.0.1", "localhost", "0.0.0.0"] {
            let sockets = bind(host, 0).unwrap();
            assert!(sockets.iter().all(Socket::is_listening), "{host}");
        }
        for host in ["nowhere.invalid", "192.0.2.1", ""] {
            assert!(
                matches!(bind(host, 0), Err(SocketError::Host { .. })),
                "{host}"
            );
        }
    }

    #[test]
    fn an_address_that_is_taken_is_told_as_such() {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        assert!(matches!(
            bind("127.0.0.1", port),
            Err(SocketError::Listen { .. })
        ));
    }
}
