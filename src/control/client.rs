//! The commands' end of the control socket.

mod conversation;
mod waiting;

use std::{
    io,
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::PathBuf,
};

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, recv},
    unistd::Uid,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Reply, SYSTEM_SOCKET,
    ask::{Ask, Request},
    own_socket,
};
use conversation::Conversation;
use waiting::Waiting;

const NOT_RUNNING: &str =
    "the server is not running; under systemd, `systemctl start anki-syncd.socket` starts it";
const SILENT: &str = "the server does not answer";

/// Why a command got no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AskError {
    #[error("{}", why.as_deref().unwrap_or(NOT_RUNNING))]
    NotRunning {
        /// Why it does not run, as a sentence, if that is known.
        why: Option<String>,
    },
    /// A process listens, but does not answer.
    #[error("{}", why.as_deref().unwrap_or(SILENT))]
    Silent {
        /// The process that listens; it may be systemd.
        listener: Option<i32>,
        why: Option<String>,
    },
    #[error("only root and the server's account may do that: try again with sudo")]
    Forbidden,
    /// systemd started the server for this command, and the server could not start.
    #[error("the server cannot start: {0}")]
    CannotStart(String),
    #[error("{0}")]
    Refused(String),
    /// The connection broke, or another program answers there.
    #[error("the server gave no answer: {0}; `journalctl -u anki-syncd` may show more")]
    Broken(String),
}

/// Something that the server keeps for a command until this is dropped.
pub struct Held {
    stream: UnixStream,
    /// The account of the server.
    pub server: Uid,
}

impl Held {
    /// Whether the server still keeps it: the server may have ended.
    pub fn is_there(&self) -> bool {
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        recv(self.stream.as_raw_fd(), &mut [0], flags) == Err(Errno::EAGAIN)
    }
}

#[derive(Debug, Clone, Default)]
pub struct Address {
    /// The server's data folder. Its control socket is there, unless systemd passes it one.
    pub base: Option<PathBuf>,
    /// Whether it may be systemd's server, which systemd starts when a command connects.
    pub is_units: bool,
}

/// Asks the server. This waits as long as the server reports that it is working, and only some
/// seconds if it reports nothing.
pub fn ask<A: Ask>(address: &Address, request: A) -> Result<A::Answer, AskError> {
    ask_and_hold(address, request, io::empty()).map(|(answer, _)| answer)
}

/// The same for a request that is followed by data, or whose answer names something that exists for
/// a while only.
pub fn ask_and_hold<A: Ask>(
    address: &Address,
    request: A,
    rest: impl io::Read,
) -> Result<(A::Answer, Held), AskError> {
    converse(connect(address)?, &request.into(), rest)
}

fn converse<A: DeserializeOwned>(
    mut server: Conversation,
    request: &Request,
    rest: impl io::Read,
) -> Result<(A, Held), AskError> {
    let answer = exchange(&mut server, request, rest)
        .map_err(|error| failure(&error, server.listener()))??;
    let answer = serde_json::from_value(answer);
    let answer = answer.map_err(|error| AskError::Broken(error.to_string()))?;
    let (stream, server) = server.end();
    Ok((answer, Held { stream, server }))
}

/// The server's answer, or why there is none.
fn exchange(
    server: &mut Conversation,
    request: &Request,
    rest: impl io::Read,
) -> io::Result<Result<Value, AskError>> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    server.send(&line[..])?;
    let mut gone = match server.send(rest) {
        // The server has answered before it read all of the data.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Some(error),
        sent => sent.map(|()| None)?,
    };
    let mut waiting = Waiting::begin(request.work());
    loop {
        let line = server.line();
        let line = line.map_err(|error| gone.take().unwrap_or(error))?;
        match serde_json::from_slice(&line)? {
            Reply::Working => waiting.goes_on(),
            Reply::Done(answer) => return Ok(Ok(answer)),
            Reply::Refused(reason) => return Ok(Err(AskError::Refused(reason))),
            Reply::CannotStart(reason) => return Ok(Err(AskError::CannotStart(reason))),
        }
    }
}

fn failure(error: &io::Error, listener: Option<i32>) -> AskError {
    match error.kind() {
        io::ErrorKind::WouldBlock => AskError::Silent {
            listener,
            why: None,
        },
        _ => AskError::Broken(error.to_string()),
    }
}

fn connect(address: &Address) -> Result<Conversation, AskError> {
    let own = address.base.as_deref().map(own_socket);
    let units = address.is_units.then(|| SYSTEM_SOCKET.into());
    let mut failed = AskError::NotRunning { why: None };
    for place in own.into_iter().chain(units) {
        match Conversation::begin(&place) {
            Ok(server) => return Ok(server),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                failed = AskError::Forbidden;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(failure(&error, None));
            }
            // No server, or it has ended.
            Err(_) => {}
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        thread::{self, JoinHandle},
        time::{Duration, Instant},
    };

    use super::{super::ask, *};

    type Asked = Result<(u64, Held), AskError>;

    /// The result of a command when a server reads the request and then does this.
    fn asked(serve: impl FnOnce(UnixStream) -> UnixStream + Send + 'static) -> (Asked, UnixStream) {
        let (client, server) = UnixStream::pair().unwrap();
        let serving: JoinHandle<UnixStream> = thread::spawn(move || {
            let mut request = String::new();
            BufReader::new(&server).read_line(&mut request).unwrap();
            serve(server)
        });
        let client = Conversation::over(client).unwrap();
        let asked = converse(client, &ask::Status {}.into(), io::empty());
        (asked, serving.join().unwrap())
    }

    fn answered(answer: &'static [u8]) -> (Asked, UnixStream) {
        asked(move |mut server| {
            server.write_all(answer).unwrap();
            server
        })
    }

    #[test]
    fn who_answers_is_known_and_also_that_it_has_ended() {
        let (answer, server) = answered(b"{\"done\":7}\n");
        let (answer, held) = answer.unwrap();
        assert_eq!((answer, held.server), (7, Uid::effective()));
        assert!(held.is_there());
        drop(server);
        assert!(!held.is_there());
    }

    #[test]
    fn an_answer_may_be_long_and_come_after_others_that_say_that_it_is_worked_on() {
        let long = "a".repeat(300_000);
        let answer = format!("\"working\"\n\"working\"\n{{\"refused\":\"{long}\"}}\n");
        match answered(answer.leak().as_bytes()).0 {
            Err(AskError::Refused(reason)) => assert_eq!(reason, long),
            _ => panic!("not refused"),
        }
    }

    #[test]
    fn a_server_that_says_nothing_is_not_waited_for_and_one_that_works_is() {
        let began = Instant::now();
        let (answer, _server) = asked(|mut server| {
            for _ in 0..3 {
                thread::sleep(Duration::from_secs(2));
                server.write_all(b"\"working\"\n").unwrap();
            }
            server
        });
        let silent = matches!(
            answer,
            Err(AskError::Silent {
                listener: Some(_),
                ..
            })
        );
        let took = began.elapsed().as_secs_f64();
        assert!(silent && (8.5..11.0).contains(&took), "{took} s");
    }

    #[test]
    fn a_server_that_takes_nothing_is_not_waited_for_either() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().to_owned();
        std::fs::create_dir_all(own_socket(&base).parent().unwrap()).unwrap();
        let _deaf = std::os::unix::net::UnixListener::bind(own_socket(&base)).unwrap();
        let address = Address {
            base: Some(base),
            is_units: false,
        };
        let source = super::super::RestoreFrom::Sent(1 << 30);
        let user = "anna".parse().unwrap();
        let request = ask::Preview { user, source };
        let began = Instant::now();
        let (sent, ours) = (io::repeat(0), i32::try_from(std::process::id()).unwrap());
        match ask_and_hold(&address, request, sent) {
            Err(AskError::Silent { listener, .. }) => assert_eq!(listener, Some(ours)),
            _ => panic!("answered"),
        }
        // The same when so many clients wait that the next cannot even connect.
        let tried: Vec<_> = (0..200)
            .map_while(|_| connect_at_once(&own_socket(address.base.as_ref().unwrap())))
            .collect();
        assert!(matches!(
            super::ask(&address, ask::Status {}),
            Err(AskError::Silent { .. })
        ));
        assert!(tried.len() > 1 && began.elapsed() < Duration::from_secs(10));
    }

    /// A connection; none if connecting would have to wait.
    fn connect_at_once(place: &std::path::Path) -> Option<std::os::fd::OwnedFd> {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
        let flags = SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
        connect(socket.as_raw_fd(), &UnixAddr::new(place).unwrap()).ok()?;
        Some(socket)
    }
}
