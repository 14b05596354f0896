//! The operator's end.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use serde::de::DeserializeOwned;

use super::{Reply, Request, SYSTEM_SOCKET, own_socket};

/// Why a command got no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No server of this data folder, and none of systemd's.
    #[error("the server is not running; `systemctl start anki-syncd.socket` starts it")]
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

/// Asks the server of this data folder, or else the one that systemd runs.
///
/// # Errors
/// [`AskError`].
pub fn ask<A: DeserializeOwned>(base: Option<&Path>, request: &Request) -> Result<A, AskError> {
    ask_and_hold(base, request, io::empty()).map(|(answer, _)| answer)
}

/// Asks the server that has a socket of its own in this data folder, and no other: systemd
/// starts its one for whoever asks.
///
/// # Errors
/// [`AskError`].
pub fn ask_own<A: DeserializeOwned>(base: &Path, request: &Request) -> Result<A, AskError> {
    let stream = UnixStream::connect(own_socket(base)).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => AskError::Forbidden,
        _ => AskError::NotRunning,
    })?;
    converse(stream, request, io::empty()).map(|(answer, _)| answer)
}

/// Asks as [`ask`] does, with a request that something follows, or whose answer tells of
/// something that is there for a while.
///
/// # Errors
/// [`AskError`].
pub fn ask_and_hold<A: DeserializeOwned>(
    base: Option<&Path>,
    request: &Request,
    rest: impl io::Read,
) -> Result<(A, Held), AskError> {
    converse(connect(base)?, request, rest)
}

fn converse<A: DeserializeOwned>(
    mut stream: UnixStream,
    request: &Request,
    mut rest: impl io::Read,
) -> Result<(A, Held), AskError> {
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

fn connect(base: Option<&Path>) -> Result<UnixStream, AskError> {
    let places = base
        .map(own_socket)
        .into_iter()
        .chain([SYSTEM_SOCKET.into()]);
    let mut failure = AskError::NotRunning;
    for place in places {
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
