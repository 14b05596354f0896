//! The envelope of sync versions 8 to 10, with the quirks of the clients that use it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

mod form;
mod methods;
#[path = "../support/mod.rs"]
mod support;

use std::{fs, io::Write, path::PathBuf};

use serde_json::Value;
use support::{Answer, Running};

const META: &[u8] = br#"{"v":10,"cv":"anki,2.1.56 (07fd88dd),linux"}"#;
/// As the clients that are written in Python have it.
const BOUNDARY: &str = "Anki-sync-boundary";

type Part<'a> = (&'a str, &'a [u8]);

fn form(parts: &[Part]) -> Vec<u8> {
    let mut form = Vec::new();
    for (name, content) in parts {
        let file = if *name == "data" {
            "; filename=\"data\"\r\nContent-Type: application/octet-stream"
        } else {
            ""
        };
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n"
        );
        form.extend_from_slice(head.as_bytes());
        form.extend_from_slice(content);
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    form
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Bytes that hardly compress.
fn noise(length: u32) -> Vec<u8> {
    (0..length / 4)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

fn recorded(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    fs::read(format!("{folder}/{name}.anki2")).unwrap()
}

fn head(path: &str, framing: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n{framing}\r\n\r\n"
    )
}

async fn post(server: &Running, path: &str, parts: &[Part<'_>]) -> Answer {
    let form = form(parts);
    let head = head(path, &format!("Content-Length: {}", form.len()));
    server.send(&[&[head.as_bytes(), &form].concat()]).await
}

/// As clients of 2.1.28 to 2.1.56 do it: the body first, the key behind it.
async fn call(server: &Running, path: &str, key: &str, body: &[u8]) -> Answer {
    let (body, key) = (gzip(body), key.as_bytes());
    post(
        server,
        path,
        &[("data", &body), ("c", b"1"), ("k", key), ("s", b"#a|b~")],
    )
    .await
}

async fn get(server: &Running, target: &str) -> Answer {
    let head = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    server.send(&[head.as_bytes()]).await
}

async fn log_in(server: &Running) -> String {
    let body = gzip(br#"{"u":"alice","p":"secret"}"#);
    let answer = post(server, "/sync/hostKey", &[("data", &body), ("c", b"1")]).await;
    assert_eq!(answer.status, 200);
    json_of(&answer)["key"].as_str().unwrap().to_owned()
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// The schema version that a file has.
fn schema(server: &Running, collection: &[u8]) -> i64 {
    let path: PathBuf = server.folder.path().join("looked-at");
    fs::write(&path, collection).unwrap();
    rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("select ver from col", [], |row| row.get(0))
        .unwrap()
}
