//! `--healthcheck`: whether the server serves devices.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    time::Duration,
};

use crate::{
    check::subject::of_unit,
    config::{Settings, Sources, problem::Problems},
    service::{
        exit::Exit, socket_unit::SocketUnit, sockets::resolve, systemctl::SERVICE, unit::Unit,
    },
};

const PATIENCE: Duration = Duration::from_secs(4);

/// Why the server does not serve devices.
#[derive(Debug, thiserror::Error)]
enum Sick {
    #[error("{0}")]
    Settings(Problems),
    #[error("no answer at {place}: {error}")]
    Silent { place: String, error: io::Error },
    #[error("something other than a sync server answers at {0}")]
    Foreign(String),
    #[error("{SERVICE} has failed with exit status {0}: `journalctl -u {SERVICE}` shows why")]
    Failed(String),
    #[error("{0}")]
    Socket(String),
    #[error(
        "neither {SERVICE} nor its socket is active: run `systemctl enable --now anki-syncd.socket`"
    )]
    Inactive,
}

/// Succeeds when the server answers that it is well, or when systemd listens for it. A server that
/// is stopped is not started for this.
pub fn run(sources: Sources) -> Exit {
    match look(sources) {
        Ok(()) => Exit::Ok,
        Err(sick) => {
            eprintln!("anki-syncd: {sick}");
            match sick {
                Sick::Settings(_) => Exit::Config,
                _ => Exit::Unavailable,
            }
        }
    }
}

fn look(mut sources: Sources) -> Result<(), Sick> {
    match of_unit(&mut sources) {
        Some(unit) => look_at_unit(&unit, &sources),
        None => ask_at_configured(&sources),
    }
}

fn look_at_unit(unit: &Unit, sources: &Sources) -> Result<(), Sick> {
    let socket = unit.socket.as_ref();
    if unit.has_failed() && !socket.is_some_and(SocketUnit::cannot_listen) {
        return Err(Sick::Failed(unit.status.clone()));
    }
    match (socket, unit.is_running()) {
        (Some(socket), _) if socket.has_failed() => Err(Sick::Socket(socket.failure())),
        (Some(socket), true) if socket.is_active() => ask_one(&socket.places),
        (_, true) => ask_at_configured(sources),
        (Some(socket), false) if socket.is_active() => listened_at(socket),
        (_, false) => Err(Sick::Inactive),
    }
}

/// Without connecting, which would start the server.
fn listened_at(socket: &SocketUnit) -> Result<(), Sick> {
    match socket.deserted().first() {
        None => Ok(()),
        Some(place) => Err(Sick::Socket(format!(
            "nothing listens on {place}: run `systemctl restart anki-syncd.socket`"
        ))),
    }
}

fn ask_at_configured(sources: &Sources) -> Result<(), Sick> {
    let (host, port) = Settings::address(sources).map_err(Sick::Settings)?;
    let addresses = resolve(&host, port).map_err(|error| Sick::Silent {
        place: format!("{host}:{port}"),
        error,
    })?;
    let places: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
    ask_one(&places)
}

/// All places lead to one process, so one answer is enough.
fn ask_one(places: &[String]) -> Result<(), Sick> {
    let mut sick = Sick::Inactive;
    for place in places {
        match ask(place) {
            Ok(true) => return Ok(()),
            Ok(false) => sick = Sick::Foreign(place.clone()),
            Err(error) => {
                let is_hung = error.kind() == io::ErrorKind::WouldBlock;
                let place = place.clone();
                sick = Sick::Silent { place, error };
                if is_hung {
                    break;
                }
            }
        }
    }
    Err(sick)
}

fn ask(place: &str) -> io::Result<bool> {
    let Ok(address) = place.parse::<SocketAddr>() else {
        let stream = UnixStream::connect(place)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        return is_well(stream);
    };
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE);
    if stream.is_err() && address.ip().is_unspecified() {
        // On a machine without IPv6, `[::]` is `0.0.0.0`.
        let loopback = SocketAddr::new(IpAddr::from(Ipv4Addr::LOCALHOST), address.port());
        stream = TcpStream::connect_timeout(&loopback, PATIENCE);
    }
    let stream = stream?;
    stream.set_read_timeout(Some(PATIENCE))?;
    is_well(stream)
}

fn is_well(mut stream: impl Read + Write) -> io::Result<bool> {
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(1024).read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}
