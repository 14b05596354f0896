//! The HTTP side in one process, spoken to in raw bytes.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

mod support;

use std::time::Duration;

use support::{frame, head, start};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

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
    // What a client goes by that decompresses in one go.
    let size = zstd::zstd_safe::get_frame_content_size(&answer.body).unwrap();
    assert_eq!(size, Some(decoded.len() as u64));
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
async fn when_all_connections_are_taken_strangers_make_room() {
    let server = start().await;
    let mut device = server.connect().await;
    let key = server.log_in().await;
    let meta = frame(META);
    let head = head("/sync/meta", &key, "Transfer-Encoding: chunked");
    device.write_all(head.as_bytes()).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    let mut idle = futures_util::future::join_all((0..20).map(|_| server.connect())).await;
    // Far sooner than those that are idle are cut off.
    let answer = timeout(Duration::from_millis(200), server.log_in()).await;
    assert!(answer.is_ok());
    // The oldest had to go, and not the one that has shown a key.
    assert_eq!(idle[0].read(&mut [0]).await.unwrap_or(0), 0);
    let chunk = [
        format!("{:x}\r\n", meta.len()).as_bytes(),
        &meta,
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    device.write_all(&chunk).await.unwrap();
    let mut answer = Vec::new();
    device.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
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
