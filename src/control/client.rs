//! The operator's end.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
};

use serde::de::DeserializeOwned;

use super::{Reply, Request, SYSTEM_SOCKET, own_socket};

/// Why a command got no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No server of this data folder, and none of systemd's.
    #[error(
        "the server is not running; under systemd, `systemctl start anki-syncd.socket` starts it"
    )]
    NotRunning,
    /// The socket is not for everybody.
    #[error("only root and the server's own user may do that: try it with sudo")]
    Forbidden,
    /// The server says no.
    #[error("{0}")]
    Refused(String),
    /// The connection broke, or something else answers there.
    #[error("the server gave no answer: {0}; `journalctl -u anki-syncd` may say more")]
    Broken(#[from] io::Error),
}

/// What the server keeps there for a command, until this is dropped.
pub struct Held(#[expect(dead_code, reason = "its end is what the server waits for")] UnixStream);

/// Which server is meant.
#[derive(Debug, Clone, Default)]
pub struct Address {
    /// Its data folder, where it has a socket of its own unless systemd passes it one.
    pub base: Option<PathBuf>,
    /// Whether it may be the one that systemd runs, and starts for whoever asks.
    pub is_units: bool,
}

/// Asks the server.
///
/// # Errors
/// [`AskError`].
pub fn ask<A: DeserializeOwned>(address: &Address, request: &Request) -> Result<A, AskError> {
    ask_and_hold(address, request, io::empty()).map(|(answer, _)| answer)
}

/// The same with a request that something follows, or whose answer tells of
/// something that is there for a while.
///
/// # Errors
/// [`AskError`].
pub fn ask_and_hold<A: DeserializeOwned>(
    address: &Address,
    request: &Request,
    mut rest: impl io::Read,
) -> Result<(A, Held), AskError> {
    let mut stream = connect(address)?;
    let mut line = serde_json::to_vec(request).map_err(io::Error::from)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    // A server that does not want it has answered why.
    let sent = io::copy(&mut rest, &mut stream);
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer)?;
    if answer.is_empty() {
        sent?;
    }
    match serde_json::from_str(&answer).map_err(io::Error::from)? {
        Reply::Done(answer) => {
            let answer = serde_json::from_value(answer).map_err(io::Error::from)?;
            Ok((answer, Held(stream)))
        }
        Reply::Refused(reason) => Err(AskError::Refused(reason)),
    }
}

fn connect(address: &Address) -> Result<UnixStream, AskError> {
    let own = address.base.as_deref().map(own_socket);
    let units = address.is_units.then(|| SYSTEM_SOCKET.into());
    let mut failure = AskError::NotRunning;
    for place in own.into_iter().chain(units) {
        match UnixStream::connect(place) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                failure = AskError::Forbidden;
            }
            // Nobody there, or nobody there any more.
            Err(_) => {}
        }
    }
    Err(failure)
}
