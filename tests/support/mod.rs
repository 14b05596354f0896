//! A server in the process of the test, spoken to in raw bytes.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use anki_syncd::{
    account::{Accounts, devices::Devices, password::Credential},
    config::{Limits, client_address::ClientAddress},
    http::{Frontend, serve},
    listener::Listener,
    state::{Policy, Server},
    vault::{Vaults, base::Base, retention::Retention, room::Room},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

pub const MIB: u64 = 1024 * 1024;

/// Both limits are small: 1 MiB as sent, 3 MiB decoded.
pub struct Running {
    pub address: SocketAddr,
    pub stop: CancellationToken,
    pub serving: JoinHandle<()>,
    pub folder: TempDir,
}

pub async fn start() -> Running {
    let folder = tempfile::tempdir().unwrap();
    let base = Base::open(folder.path()).unwrap();
    let users = HashMap::from([(
        "alice".parse().unwrap(),
        Credential::plain("secret").unwrap(),
    )]);
    let secret = base.host_key_secret().unwrap();
    let policy = Policy {
        room: Room {
            reserve: 0,
            quota: None,
        },
        limits: Limits {
            sent: MIB,
            decoded: 3 * MIB,
            connections: 12,
            connections_per_address: 12,
            header_timeout: Duration::from_millis(300),
            body_timeout: Duration::from_millis(300),
            ..Limits::default()
        },
        client_address: ClientAddress::ConnectInfo,
        trusted_proxies: Vec::new(),
    };
    let accounts = Accounts::new(users, secret, Devices::in_memory());
    let server = Server::new(accounts, Vaults::new(base, Retention::default()), policy);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let serving = tokio::spawn(serve(
        Arc::new(Frontend::new(Arc::new(server))),
        vec![Listener::Tcp(listener)],
        stop.clone(),
    ));
    Running {
        address,
        stop,
        serving,
        folder,
    }
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Running {
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends pieces with a pause before each but the first, and reads until the server closes.
    pub async fn send(&self, pieces: &[&[u8]]) -> Answer {
        let mut stream = self.connect().await;
        for (number, piece) in pieces.iter().enumerate() {
            if number > 0 {
                sleep(Duration::from_millis(50)).await;
            }
            stream.write_all(piece).await.unwrap();
        }
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let end = answer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("a whole head");
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = answer[end + 4..].to_vec();
        if head.to_lowercase().contains("transfer-encoding: chunked") {
            body = without_chunks(&body);
        }
        Answer { status, head, body }
    }

    pub async fn post(&self, path: &str, key: &str, body: &[u8]) -> Answer {
        let length = body.len();
        let head = head(path, key, &format!("Content-Length: {length}"));
        self.send(&[&[head.as_bytes(), body].concat()]).await
    }

    pub async fn log_in(&self) -> String {
        let answer = self
            .post(
                "/sync/hostKey",
                "",
                &frame(br#"{"u":"alice","p":"secret"}"#),
            )
            .await;
        assert_eq!(answer.status, 200);
        let reply: serde_json::Value =
            serde_json::from_slice(&zstd::decode_all(&*answer.body).unwrap()).unwrap();
        reply["key"].as_str().unwrap().to_owned()
    }
}

fn without_chunks(mut body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    loop {
        let line = body.iter().position(|byte| *byte == b'\r').unwrap();
        let length = std::str::from_utf8(&body[..line]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return content;
        }
        let chunk = line + 2;
        content.extend_from_slice(&body[chunk..chunk + length]);
        body = &body[chunk + length + 2..];
    }
}

pub fn head(path: &str, key: &str, framing: &str) -> String {
    let header = format!(r#"{{"v":11,"k":"{key}","c":"test,0,linux","s":"abc"}}"#);
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nanki-sync: {header}\r\n{framing}\r\n\r\n"
    )
}

pub fn frame(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}
