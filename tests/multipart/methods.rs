//! What methods do otherwise for clients of these versions.

use serde_json::json;

use crate::{
    META, call, get, json_of, log_in, post, recorded, schema,
    support::{self, frame, start},
};

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
