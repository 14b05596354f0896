//! Requests, in both envelopes, to a server in this process.

use std::sync::LazyLock;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::{Builder, Runtime},
};

use super::support::{Running, frame, head, start};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_all().build().unwrap());

const PATHS: [&str; 20] = [
    "/sync/meta",
    "/sync/start",
    "/sync/applyGraves",
    "/sync/applyChanges",
    "/sync/chunk",
    "/sync/applyChunk",
    "/sync/sanityCheck2",
    "/sync/finish",
    "/sync/abort",
    "/sync/upload",
    "/sync/download",
    "/sync/hostKey",
    "/msync/begin",
    "/msync/mediaChanges",
    "/msync/uploadChanges",
    "/msync/downloadFiles",
    "/msync/mediaSanity",
    "/",
    "/health",
    "/sync/unknown",
];

/// Set in the byte before a body that goes into a form.
const IN_A_FORM: u8 = 0x40;
const BOUNDARY: &str = "Anki-sync-boundary";

/// One request after the other, each ended by a byte 255: a byte for path and envelope, and
/// the body before it is compressed. Each gets an answer that is not a failure of ours.
pub fn requests(data: &[u8]) {
    RUNTIME.block_on(async {
        let server = start().await;
        let key = server.log_in().await;
        for request in data.split(|byte| *byte == 255).take(12) {
            let Some((&kind, body)) = request.split_first() else {
                continue;
            };
            let path = path(kind);
            let request = if kind & IN_A_FORM == 0 {
                direct(path, &key, body)
            } else {
                in_a_form(path, &key, body)
            };
            answered(&server, &request, request.len()).await;
        }
        stop(server).await;
    });
}

/// A byte for the path, one for the size of pieces that it arrives in, and a multipart form
/// whose first line tells the boundary; `$KEY` in it becomes a valid key.
pub fn form(data: &[u8]) {
    let [kind, piece, form @ ..] = data else {
        return;
    };
    RUNTIME.block_on(async {
        let server = start().await;
        let key = server.log_in().await;
        let end = form.iter().position(u8::is_ascii_control);
        let line = std::str::from_utf8(&form[..end.unwrap_or(0)]).unwrap_or_default();
        let boundary = line.strip_prefix("--").unwrap_or(BOUNDARY);
        let form = with_key(form, &key);
        let request = [
            form_head(path(*kind), boundary, form.len()).into_bytes(),
            form,
        ]
        .concat();
        answered(&server, &request, (usize::from(*piece) + 1) * 16).await;
        stop(server).await;
    });
}

fn path(kind: u8) -> &'static str {
    PATHS[usize::from(kind & !IN_A_FORM) % PATHS.len()]
}

fn direct(path: &str, key: &str, body: &[u8]) -> Vec<u8> {
    let body = frame(body);
    let head = head(path, key, &format!("Content-Length: {}", body.len()));
    [head.as_bytes(), &body].concat()
}

fn in_a_form(path: &str, key: &str, body: &[u8]) -> Vec<u8> {
    let part = |name: &str| {
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n")
    };
    let mut form = Vec::new();
    for (name, content) in [("data", body), ("k", key.as_bytes()), ("s", b"abc")] {
        form.extend_from_slice(part(name).as_bytes());
        form.extend_from_slice(content);
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    [form_head(path, BOUNDARY, form.len()).into_bytes(), form].concat()
}

fn form_head(path: &str, boundary: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: multipart/form-data; boundary=\"{boundary}\"\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

fn with_key(form: &[u8], key: &str) -> Vec<u8> {
    const PLACE: &[u8] = b"$KEY";
    let mut filled = Vec::new();
    let mut rest = form;
    while let Some(at) = rest.windows(PLACE.len()).position(|window| window == PLACE) {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(key.as_bytes());
        rest = &rest[at + PLACE.len()..];
    }
    filled.extend_from_slice(rest);
    filled
}

async fn answered(server: &Running, request: &[u8], piece: usize) {
    let mut stream = server.connect().await;
    for piece in request.chunks(piece) {
        // A form without end may be cut off before it was sent.
        if stream.write_all(piece).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    let status = answer.get(9..12).unwrap_or_default();
    assert!(
        answer.starts_with(b"HTTP/1.1 ") && status != b"500",
        "{read:?} {}\n{}",
        String::from_utf8_lossy(request),
        String::from_utf8_lossy(&answer)
    );
}

async fn stop(server: Running) {
    server.stop.cancel();
    server.serving.await.unwrap();
}
