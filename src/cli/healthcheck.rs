//! `--healthcheck`: asks the running server.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use crate::{config::Settings, service::exit::Exit};

const PATIENCE: Duration = Duration::from_secs(5);

/// Succeeds when the server at the configured address answers that it is well.
pub fn run(settings: &Settings) -> Exit {
    match ask(settings) {
        Ok(true) => Exit::Ok,
        Ok(false) => {
            eprintln!(
                "anki-syncd: something else than a sync server answers at {}:{}",
                settings.host, settings.port
            );
            Exit::Unavailable
        }
        Err(error) => {
            eprintln!(
                "anki-syncd: no answer at {}:{}: {error}",
                settings.host, settings.port
            );
            Exit::Unavailable
        }
    }
}

fn ask(settings: &Settings) -> io::Result<bool> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in (settings.host.as_str(), settings.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return is_well(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn is_well(mut stream: TcpStream) -> io::Result<bool> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(1024).read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}
