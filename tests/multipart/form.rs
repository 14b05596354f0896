//! The form: its parts, its limits, and what is refused.

use std::fs;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    BOUNDARY, META, Part, call, form, gzip, head, json_of, log_in, noise, post, support::start,
};

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
