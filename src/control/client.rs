//! The operator's end.

use std::{
    io::{self, BufRead, BufReader, IoSliceMut, Read, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::PathBuf,
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{
        ControlMessageOwned, MsgFlags, UnixCredentials, recv, recvmsg, setsockopt,
        sockopt::PassCred,
    },
    unistd::Uid,
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
    /// systemd started the server for this command, in vain.
    #[error("the server cannot start: {0}")]
    CannotStart(String),
    /// The server says no.
    #[error("{0}")]
    Refused(String),
    /// The connection broke, or something else answers there.
    #[error("the server gave no answer: {0}; `journalctl -u anki-syncd` may say more")]
    Broken(#[from] io::Error),
}

/// What the server keeps there for a command, until this is dropped.
pub struct Held {
    stream: UnixStream,
    /// As whom the server runs.
    pub server: Uid,
}

impl Held {
    /// Whether the server still does: it may have been told to end.
    #[must_use]
    pub fn is_there(&self) -> bool {
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        recv(self.stream.as_raw_fd(), &mut [0], flags) == Err(Errno::EAGAIN)
    }
}

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
    rest: impl io::Read,
) -> Result<(A, Held), AskError> {
    converse(connect(address)?, request, rest)
}

fn converse<A: DeserializeOwned>(
    mut stream: UnixStream,
    request: &Request,
    mut rest: impl io::Read,
) -> Result<(A, Held), AskError> {
    setsockopt(&stream, PassCred, &true).map_err(io::Error::from)?;
    let mut line = serde_json::to_vec(request).map_err(io::Error::from)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    // A server that does not want it has answered why.
    let sent = io::copy(&mut rest, &mut stream);
    let (begin, server) = begin_of_answer(&stream)?;
    let mut answer = String::new();
    BufReader::new(begin.chain(&stream)).read_line(&mut answer)?;
    if answer.is_empty() {
        sent?;
    }
    match serde_json::from_str(&answer).map_err(io::Error::from)? {
        Reply::Done(answer) => {
            let answer = serde_json::from_value(answer).map_err(io::Error::from)?;
            Ok((answer, Held { stream, server }))
        }
        Reply::Refused(reason) => Err(AskError::Refused(reason)),
        Reply::CannotStart(reason) => Err(AskError::CannotStart(reason)),
    }
}

/// And who sent it: the socket itself may have been systemd's.
fn begin_of_answer(stream: &UnixStream) -> io::Result<(impl io::Read + use<>, Uid)> {
    let mut bytes = vec![0; 4096];
    let mut space = cmsg_space!(UnixCredentials);
    let mut buffers = [IoSliceMut::new(&mut bytes)];
    let fd = stream.as_raw_fd();
    let message = recvmsg::<()>(fd, &mut buffers, Some(&mut space), MsgFlags::empty())?;
    let sender = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmCredentials(sender) => Some(Uid::from_raw(sender.uid())),
        _ => None,
    });
    let length = message.bytes;
    bytes.truncate(length);
    // The end of a connection is nobody's.
    let nobody = Uid::from_raw(u32::MAX);
    Ok((io::Cursor::new(bytes), sender.unwrap_or(nobody)))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What the server sends in return, and whether it is there afterwards.
    fn asked(answer: &[u8]) -> (Result<(u64, Held), AskError>, UnixStream) {
        let (client, mut server) = UnixStream::pair().unwrap();
        let answer = answer.to_vec();
        let serving = std::thread::spawn(move || {
            let mut request = String::new();
            BufReader::new(&server).read_line(&mut request).unwrap();
            server.write_all(&answer).unwrap();
            server
        });
        let asked = converse(client, &Request::Status, io::empty());
        (asked, serving.join().unwrap())
    }

    #[test]
    fn who_answers_is_known_and_also_that_it_has_ended() {
        let (answer, server) = asked(b"{\"done\":7}\n");
        let (answer, held) = answer.unwrap();
        assert_eq!((answer, held.server), (7, Uid::effective()));
        assert!(held.is_there());
        drop(server);
        assert!(!held.is_there());
    }

    #[test]
    fn an_answer_may_be_longer_than_its_begin() {
        let long = format!("{{\"refused\":\"{}\"}}\n", "a".repeat(10_000));
        match asked(long.as_bytes()).0 {
            Err(AskError::Refused(reason)) => assert_eq!(reason.len(), 10_000),
            _ => panic!("not refused"),
        }
    }
}
