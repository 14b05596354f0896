//! The envelope of sync versions 8 to 10, with the quirks of the clients that use it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

mod support;

use std::{fs, io::Write, path::PathBuf};

use serde_json::{Value, json};
use support::{Answer, Running, frame, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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

#[tokio::test]
async fn parts_come_in_any_order_and_the_answer_is_plain() {
    let server = start().await;
    let key = log_in(&server).await;
    let body = gzip(META);
    let parts: [Part; 4] = [
        ("data", &body),
        ("c", b"1"),
        ("k", key.as_bytes()),
        ("s", b"x"),
    ];
    for turn in 0..4 {
        let mut parts = parts;
        parts.rotate_left(turn);
        for _ in 0..2 {
            parts.reverse();
            let answer = post(&server, "/sync/meta", &parts).await;
            assert_eq!(answer.status, 200, "{parts:?}");
            assert_eq!(json_of(&answer)["cont"], json!(true));
            let head = answer.head.to_lowercase();
            assert!(
                head.contains("content-type: application/octet-stream"),
                "{head}"
            );
            assert!(
                head.contains(&format!("content-length: {}", answer.body.len())),
                "{head}"
            );
            assert!(!head.contains("anki-original-size"), "{head}");
        }
    }
}

#[tokio::test]
async fn data_is_gzip_if_c_says_so_and_plain_without_c() {
    let server = start().await;
    let key = log_in(&server).await;
    let (key, packed) = (("k", key.as_bytes()), gzip(META));
    let cut = &packed[..packed.len() - 3];
    for (c, data, status) in [
        (None, META, 200),
        (Some("0"), META, 200),
        (Some("1"), &*packed, 200),
        (Some("1"), META, 400),
        (Some("1"), cut, 400),
        (Some("0"), &*packed, 400),
        (None, &*packed, 400),
    ] {
        let mut parts = vec![("data", data), key];
        if let Some(c) = c {
            parts.push(("c", c.as_bytes()));
        }
        let answer = post(&server, "/sync/meta", &parts).await;
        assert_eq!(answer.status, status, "{c:?}");
    }
}

#[tokio::test]
async fn the_key_is_called_k_or_sk_and_unknown_parts_are_ignored() {
    let server = start().await;
    let key = log_in(&server).await;
    let unknown = noise(200_000);
    for name in ["k", "sk"] {
        let parts = [
            ("x", &*unknown),
            ("data", META),
            ("", b"?"),
            (name, key.as_bytes()),
        ];
        assert_eq!(post(&server, "/sync/meta", &parts).await.status, 200);
    }
}

#[tokio::test]
async fn an_empty_key_is_none() {
    let server = start().await;
    let key = log_in(&server).await;
    let login = br#"{"u":"alice","p":"secret"}"#;
    let parts: [Part; 2] = [("k", b""), ("data", login)];
    assert_eq!(post(&server, "/sync/hostKey", &parts).await.status, 200);
    let parts = [("k", &b""[..]), ("data", META), ("sk", key.as_bytes())];
    assert_eq!(post(&server, "/sync/meta", &parts).await.status, 200);
}

#[tokio::test]
async fn missing_or_empty_data_is_an_empty_object() {
    let server = start().await;
    let key = log_in(&server).await;
    let key = ("k", key.as_bytes());
    for parts in [
        &[key][..],
        &[key, ("data", b"")],
        &[("c", b"1"), ("data", b""), key],
    ] {
        // Old clients have no session key here either.
        let download = post(&server, "/sync/download", parts).await;
        assert_eq!(download.status, 200);
        assert!(download.body.starts_with(b"SQLite format 3\0"));
        assert_eq!(post(&server, "/sync/meta", parts).await.status, 400);
        let upload = post(&server, "/sync/upload", parts).await;
        assert_eq!(upload.status, 200);
        assert!(
            String::from_utf8(upload.body)
                .unwrap()
                .contains("was empty")
        );
    }
}

#[tokio::test]
async fn what_is_no_form_is_refused() {
    let server = start().await;
    for (content_type, body) in [
        ("multipart/form-data", "x"),
        ("multipart/form-data; boundary=", "x"),
        ("multipart/form-data; boundary=B", ""),
        ("multipart/form-data; boundary=B", "garbage"),
        (
            "multipart/form-data; boundary=B",
            "--B\r\nno header\r\n\r\nx\r\n--B--",
        ),
        (
            "multipart/form-data; boundary=B",
            "--B\r\ncontent-disposition: form-data; name=\"data\"\r\n\r\ncut off",
        ),
        ("application/json", "{}"),
        ("\u{7f}", "{}"),
    ] {
        let request = format!(
            "POST /sync/meta HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = server.send(&[request.as_bytes()]).await;
        assert_eq!(answer.status, 400, "{content_type} {body}");
    }
}

#[tokio::test]
async fn the_head_of_a_part_does_not_grow_without_end() {
    let server = start().await;
    let endless = [
        b"--",
        BOUNDARY.as_bytes(),
        b"\r\nx: ",
        &vec![b'x'; 2_500_000],
    ]
    .concat();
    for body in [endless, vec![b'x'; 2_500_000]] {
        let head = head("/sync/upload", &format!("Content-Length: {}", body.len()));
        let mut stream = server.connect().await;
        // It may be cut off before everything was sent.
        let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.starts_with(b"HTTP/1.1 400"), "{answer:?}");
    }
}

#[tokio::test]
async fn there_is_no_end_of_parts_but_the_limit() {
    let server = start().await;
    let parts = vec![("k", &b"no.valid.key"[..]); 60_000];
    let form = form(&parts);
    assert!(form.len() > 4_500_000);
    let head = head("/sync/upload", &format!("Content-Length: {}", form.len()));
    let answer = server.send(&[&[head.as_bytes(), &form].concat()]).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn nothing_is_decoded_without_a_valid_key() {
    let server = start().await;
    for data in [&b"no gzip"[..], &noise(500_000)] {
        for key in [None, Some(("k", &b"no.valid.key"[..])), Some(("sk", b""))] {
            let mut parts = vec![("data", data), ("c", b"1")];
            parts.extend(key);
            for _ in 0..2 {
                let answer = post(&server, "/sync/upload", &parts).await;
                assert_eq!(answer.status, 403, "{key:?}");
                parts.reverse();
            }
        }
    }
    assert!(!server.folder.path().join("alice").exists());
}

#[tokio::test]
async fn both_limits_hold_and_an_upload_says_so_in_a_sentence() {
    let server = start().await;
    let key = log_in(&server).await;
    for body in [vec![0; 4_000_000], noise(2_000_000)] {
        assert_eq!(
            call(&server, "/msync/uploadChanges", &key, &body)
                .await
                .status,
            413
        );
        let upload = call(&server, "/sync/upload", &key, &body).await;
        assert_eq!(upload.status, 200);
        let told = String::from_utf8(upload.body).unwrap();
        assert!(told.contains("MAX_SYNC_PAYLOAD_MEGS"), "{told}");
    }
    let login = noise(20_000);
    let answer = post(&server, "/sync/hostKey", &[("data", &login)]).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn a_body_is_read_to_its_end_also_behind_the_form() {
    let server = start().await;
    let key = log_in(&server).await;
    let form = form(&[("data", META), ("k", key.as_bytes())]);
    let chunk = [format!("{:x}\r\n", form.len()).as_bytes(), &form, b"\r\n"].concat();
    let head = head("/sync/meta", "Transfer-Encoding: chunked");
    let answer = server
        .send(&[
            head.as_bytes(),
            &chunk,
            b"5\r\nafter\r\n",
            b"0\r\n",
            b"\r\n",
        ])
        .await;
    assert_eq!(answer.status, 200);
}

/// Eight of them fill the room that there is for bodies whose sender is not known.
#[tokio::test]
async fn strangers_who_stand_still_hold_nobody_up_for_long() {
    let server = start().await;
    let key = log_in(&server).await;
    let head = head("/sync/upload", "Content-Length: 900000");
    let half = form(&[("data", &noise(400_000))]);
    let mut strangers = Vec::new();
    for _ in 0..8 {
        let mut stranger = server.connect().await;
        stranger.write_all(head.as_bytes()).await.unwrap();
        stranger.write_all(&half[..300_000]).await.unwrap();
        strangers.push(stranger);
    }
    // Small requests need no room on the disk, and those who show a key first need not wait.
    assert_eq!(call(&server, "/sync/meta", &key, META).await.status, 200);
    let noise = noise(500_000);
    let known = [("k", key.as_bytes()), ("data", &*noise)];
    assert_eq!(post(&server, "/sync/upload", &known).await.status, 200);
    let behind = [("data", &*noise), ("k", key.as_bytes())];
    assert_eq!(post(&server, "/sync/upload", &behind).await.status, 200);
    for mut stranger in strangers {
        let mut answer = Vec::new();
        stranger.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 408"));
    }
    let leftover = fs::read_dir(server.folder.path().join(".anki-syncd/tmp")).unwrap();
    assert_eq!(leftover.count(), 0);
}

#[tokio::test]
async fn begin_takes_key_and_version_from_the_query_the_parts_or_the_body() {
    let server = start().await;
    let key = log_in(&server).await;
    let version = "anki%2C2.1.56+%2807fd88dd%29%2Clinux";
    let answer = get(&server, &format!("/msync/begin?k={key}&v={version}")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        json_of(&answer),
        json!({"data": {"usn": 0, "sk": key}, "err": ""})
    );
    for (target, status) in [
        (format!("/msync/begin?k={key}"), 400),
        (format!("/msync/begin?v={version}"), 400),
        (format!("/msync/begin?k=no.valid.key&v={version}"), 403),
        ("/msync/begin".to_owned(), 400),
        (format!("/msync/mediaSanity?k={key}"), 405),
    ] {
        assert_eq!(get(&server, &target).await.status, status, "{target}");
    }
    let key = ("k", key.as_bytes());
    for (parts, status) in [
        (&[key, ("v", b"2.1"), ("data", b"{}")][..], 200),
        (&[key, ("v", b"2.1")], 200),
        (&[key, ("data", br#"{"v":"2.1"}"#)], 200),
        (&[key, ("data", b"{}")], 400),
        (&[key], 400),
    ] {
        assert_eq!(
            post(&server, "/msync/begin", parts).await.status,
            status,
            "{parts:?}"
        );
    }
}

/// No such client can be had any more; these are the answers of the reference server.
#[tokio::test]
async fn meta_knows_what_clients_of_versions_8_and_9_lack() {
    let server = start().await;
    let key = log_in(&server).await;
    for (version, expected) in [
        (7, None),
        (8, Some(false)),
        (9, Some(true)),
        (10, Some(true)),
        (11, Some(true)),
        (12, None),
    ] {
        let body = json!({"v": version, "cv": "x"}).to_string();
        let answer = call(&server, "/sync/meta", &key, body.as_bytes()).await;
        match expected {
            None => assert_eq!(answer.status, 501, "{version}"),
            Some(proceed) => {
                assert_eq!(answer.status, 200, "{version}");
                let meta = json_of(&answer);
                assert_eq!(meta["cont"], json!(proceed), "{version}");
                assert_eq!(meta["msg"] == "", proceed, "{version}");
                assert_eq!(meta["hostNum"], json!(0));
            }
        }
    }
}

#[tokio::test]
async fn start_takes_graves_with_ids_as_strings_and_wants_a_session_key() {
    let server = start().await;
    let key = log_in(&server).await;
    let body = br#"{"minUsn":0,"offset":-60,"lnewer":true,"graves":{"cards":["1"],"notes":["2",3],"decks":[]}}"#;
    let answer = call(&server, "/sync/start", &key, body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        json_of(&answer),
        json!({"cards": [], "decks": [], "notes": []})
    );
    let without = [("data", &body[..]), ("k", key.as_bytes())];
    assert_eq!(post(&server, "/sync/start", &without).await.status, 400);
}

/// The clients that are written in Python just begin anew.
#[tokio::test]
async fn meta_ends_the_sync_of_a_client_that_never_aborts() {
    let server = start().await;
    let key = log_in(&server).await;
    let begin = br#"{"minUsn":0,"lnewer":false,"graves":null}"#;
    let graves = br#"{"chunk":{"cards":[],"notes":[],"decks":[]}}"#;
    assert_eq!(call(&server, "/sync/start", &key, begin).await.status, 200);
    assert_eq!(
        call(&server, "/sync/applyGraves", &key, graves)
            .await
            .status,
        200
    );
    assert_eq!(call(&server, "/sync/meta", &key, META).await.status, 200);
    assert_eq!(
        call(&server, "/sync/applyGraves", &key, graves)
            .await
            .status,
        409
    );
    assert_eq!(call(&server, "/sync/start", &key, begin).await.status, 200);
    assert_eq!(call(&server, "/sync/finish", &key, b"{}").await.status, 200);
}

#[tokio::test]
async fn each_generation_uploads_its_schema_and_downloads_its_schema() {
    let server = start().await;
    let (old, new) = (log_in(&server).await, server.log_in().await);
    for file in ["upgrade_in_schema11", "upgrade_out_schema18"] {
        let file = recorded(file);
        assert_eq!(call(&server, "/sync/upload", &old, &file).await.body, b"OK");
        let upload = server.post("/sync/upload", &new, &frame(&file)).await;
        assert_eq!(zstd::decode_all(&*upload.body).unwrap(), b"OK");
        let old = call(&server, "/sync/download", &old, b"{}").await.body;
        assert_eq!(schema(&server, &old), 11);
        assert_eq!(old[18..20], [1, 1]);
        let new = server.post("/sync/download", &new, &frame(b"{}")).await;
        let new = zstd::decode_all(&*new.body).unwrap();
        assert_eq!(schema(&server, &new), 18);
    }
}

#[tokio::test]
async fn an_older_version_in_the_newer_envelope_is_answered_as_an_older_client() {
    let server = start().await;
    let key = server.log_in().await;
    let body = frame(b"{}");
    let head = support::head(
        "/sync/download",
        &key,
        &format!("Content-Length: {}", body.len()),
    )
    .replace("\"v\":11", "\"v\":10");
    let answer = server.send(&[&[head.as_bytes(), &body].concat()]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(schema(&server, &answer.body), 11);
}
