//! The answers of a server that cannot start, to all clients that wait in the sockets that systemd
//! passed.
//!
//! If a connection stays unanswered, systemd starts the server again at once, until a limit takes
//! the socket down too. Once all are answered, the unit stays failed and the socket keeps
//! listening: the next connection starts the next attempt.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream},
    time::{Duration, Instant},
};

use crate::{
    control::Reply,
    service::sockets::{Passed, Socket},
};

/// For all of them together; the connections that are left then are closed.
const PATIENCE: Duration = Duration::from_secs(2);
/// Accepting ends even in a flood, which would otherwise keep the unit from failing. If connections
/// are left then, systemd starts the server again.
const LONGEST: Duration = Duration::from_secs(10);
/// For one client that does not read or write.
const PAUSE: Duration = Duration::from_millis(100);
/// Longer than any command's request, unless it contains a list of users.
const LONGEST_REQUEST: u64 = 4 * 1024 * 1024;
const ANSWER: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 46\r\nConnection: close\r\n\r\nThe sync server cannot start; its log says why";

/// Answers all waiting clients.
pub fn say(passed: &Passed, reason: &str) {
    let began = Instant::now();
    let is_time_left = || began.elapsed() < PATIENCE;
    let is_flood = || began.elapsed() > LONGEST;
    // An error means that the client has left.
    if let Some(control) = &passed.control
        && control.set_nonblocking(true).is_ok()
    {
        while !is_flood()
            && let Ok((stream, _)) = control.accept()
        {
            if is_time_left() {
                let _ = answer_command(stream, reason);
            }
        }
    }
    for socket in passed.serving.iter().chain(&passed.metrics) {
        let _ = match socket {
            Socket::Tcp(listener) => listener.set_nonblocking(true),
            Socket::Unix(listener) => listener.set_nonblocking(true),
        };
        while !is_flood()
            && let Ok(stream) = accept(socket)
        {
            if is_time_left() {
                let _ = answer_device(stream);
            }
        }
    }
}

/// Accepts a connection of either kind. The system treats both alike; only the standard library has
/// two types.
fn accept(socket: &Socket) -> io::Result<UnixStream> {
    let stream: OwnedFd = match socket {
        Socket::Tcp(listener) => listener.accept()?.0.into(),
        Socket::Unix(listener) => listener.accept()?.0.into(),
    };
    Ok(stream.into())
}

fn be_brief(stream: &UnixStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PAUSE))?;
    stream.set_write_timeout(Some(PAUSE))
}

/// Reads what the client still sends, or it would not see the answer.
fn answer_device(mut stream: UnixStream) -> io::Result<()> {
    be_brief(&stream)?;
    let until = Instant::now() + PAUSE;
    stream.write_all(ANSWER.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut rest = [0; 4096];
    while Instant::now() < until && stream.read(&mut rest)? > 0 {}
    Ok(())
}

fn answer_command(mut stream: UnixStream, reason: &str) -> io::Result<()> {
    be_brief(&stream)?;
    let mut request = Vec::new();
    BufReader::new(&stream)
        .take(LONGEST_REQUEST)
        .read_until(b'\n', &mut request)?;
    let mut line = serde_json::to_vec(&Reply::CannotStart(reason.to_owned()))?;
    line.push(b'\n');
    stream.write_all(&line)
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        os::unix::net::UnixListener,
        thread,
    };

    use super::*;

    #[test]
    fn everybody_who_waits_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        let serving = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = serving.local_addr().unwrap();
        let control = UnixListener::bind(&path).unwrap();
        let mut device = TcpStream::connect(address).unwrap();
        device.write_all(b"GET / HTTP/1.1\r\n").unwrap();
        let mut command = UnixStream::connect(&path).unwrap();
        command.write_all(b"{\"ask\":\"status\"}\n").unwrap();
        let passed = Passed {
            serving: vec![Socket::Tcp(serving)],
            control: Some(control),
            metrics: None,
        };
        let saying = thread::spawn(move || say(&passed, "the port is wrong"));
        let (mut answer, mut reply) = (String::new(), String::new());
        device.read_to_string(&mut answer).unwrap();
        command.read_to_string(&mut reply).unwrap();
        saying.join().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        assert_eq!(reply, "{\"cannot_start\":\"the port is wrong\"}\n");
    }
}
