//! The HTTP side in one process, spoken to in raw bytes.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use anki_syncd::{
    account::{Accounts, password::Credential},
    config::{Limits, client_address::ClientAddress},
    http::{Policy, Server, listener::Listener, serve},
    vault::{Vaults, base::Base},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

const MIB: u64 = 1024 * 1024;

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    folder: TempDir,
}

async fn start() -> Running {
    let folder = tempfile::tempdir().unwrap();
    let base = Base::open(folder.path()).unwrap();
    let users = HashMap::from([(
        "alice".parse().unwrap(),
        Credential::plain("secret").unwrap(),
    )]);
    let secret = base.host_key_secret().unwrap();
    let policy = Policy {
        limits: Limits {
            sent: MIB,
            decoded: 3 * MIB,
            connections: 8,
            header_timeout: Duration::from_millis(300),
            body_timeout: Duration::from_millis(300),
        },
        client_address: ClientAddress::ConnectInfo,
        trusted_proxies: Vec::new(),
    };
    let server = Server::new(Accounts::new(users, secret), Vaults::new(base), policy);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let serving = tokio::spawn(serve(
        Arc::new(server),
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

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends pieces with a pause before each but the first, and reads until the server closes.
    async fn send(&self, pieces: &[&[u8]]) -> Answer {
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
        Answer {
            status,
            head,
            body: answer[end + 4..].to_vec(),
        }
    }

    async fn post(&self, path: &str, key: &str, body: &[u8]) -> Answer {
        let length = body.len();
        let head = head(path, key, &format!("Content-Length: {length}"));
        self.send(&[&[head.as_bytes(), body].concat()]).await
    }

    async fn log_in(&self) -> String {
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

fn head(path: &str, key: &str, framing: &str) -> String {
    let header = format!(r#"{{"v":11,"k":"{key}","c":"test,0,linux","s":"abc"}}"#);
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nanki-sync: {header}\r\n{framing}\r\n\r\n"
    )
}

fn frame(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}

const META: &[u8] = br#"{"v":11,"cv":"test"}"#;

#[tokio::test]
async fn an_answer_carries_its_size_before_compression() {
    let server = start().await;
    let key = server.log_in().await;
    let answer = server.post("/sync/meta", &key, &frame(META)).await;
    assert_eq!(answer.status, 200);
    let decoded = zstd::decode_all(&*answer.body).unwrap();
    assert!(
        answer
            .head
            .contains(&format!("anki-original-size: {}", decoded.len())),
        "{}",
        answer.head
    );
    assert!(!answer.head.to_lowercase().contains("content-encoding"));
}

#[tokio::test]
async fn a_body_is_read_to_its_end_before_the_answer_begins() {
    let server = start().await;
    let key = server.log_in().await;
    let head = head("/sync/meta", &key, "Transfer-Encoding: chunked");
    let frame = frame(META);
    let chunk = [format!("{:x}\r\n", frame.len()).as_bytes(), &frame, b"\r\n"].concat();
    let answer = server
        .send(&[head.as_bytes(), &chunk, b"0\r\n", b"\r\n"])
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_body_is_not_decoded_without_a_valid_key() {
    let server = start().await;
    // Not zstd at all: whoever decoded it would say 400.
    let answer = server
        .post("/sync/upload", "no.valid.key", &[b'x'; 10_000])
        .await;
    assert_eq!(answer.status, 403);
    assert!(!server.folder.path().join("alice").exists());
}

#[tokio::test]
async fn both_limits_hold_and_an_upload_says_so_in_a_sentence() {
    let server = start().await;
    let key = server.log_in().await;
    let bomb = frame(&vec![0; 4_000_000]);
    let noise: Vec<u8> = (0..1_200_000u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    for body in [bomb, frame(&noise)] {
        assert_eq!(
            server
                .post("/msync/uploadChanges", &key, &body)
                .await
                .status,
            413
        );
        let upload = server.post("/sync/upload", &key, &body).await;
        assert_eq!(upload.status, 200);
        let told = String::from_utf8(zstd::decode_all(&*upload.body).unwrap()).unwrap();
        assert!(told.contains("MAX_SYNC_PAYLOAD_MEGS"), "{told}");
    }
}

#[tokio::test]
async fn heads_and_bodies_that_stand_still_are_cut_off() {
    let server = start().await;
    let key = server.log_in().await;
    let mut slow = server.connect().await;
    slow.write_all(b"POST /sync/meta HTTP/1.1\r\nHost")
        .await
        .unwrap();
    let mut silent = server.connect().await;
    for stream in [&mut slow, &mut silent] {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
    }
    let head = head("/sync/meta", &key, "Content-Length: 100");
    let answer = server.send(&[head.as_bytes(), b"abc"]).await;
    assert_eq!(answer.status, 408);
}

#[tokio::test]
async fn connections_over_the_cap_wait_and_are_served_later() {
    let server = start().await;
    let idle = futures_util::future::join_all((0..8).map(|_| server.connect())).await;
    sleep(Duration::from_millis(50)).await;
    let began = Instant::now();
    // Served once the idle ones have been cut off.
    server.log_in().await;
    assert!(began.elapsed() > Duration::from_millis(100));
    drop(idle);
}

#[tokio::test]
async fn stopping_finishes_the_request_under_way() {
    let server = start().await;
    let key = server.log_in().await;
    let head = head("/sync/meta", &key, "Transfer-Encoding: chunked");
    let frame = frame(META);
    let chunk = [format!("{:x}\r\n", frame.len()).as_bytes(), &frame, b"\r\n"].concat();
    let stop = async {
        sleep(Duration::from_millis(75)).await;
        server.stop.cancel();
    };
    let pieces: [&[u8]; 4] = [head.as_bytes(), &chunk, b"0\r\n", b"\r\n"];
    let (answer, ()) = tokio::join!(server.send(&pieces), stop);
    assert_eq!(answer.status, 200);
    server.serving.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
