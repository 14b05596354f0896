//! The JSON body of each method, and what it does to a collection.

use anki_syncd::{
    collection::{Error, changes, chunk, chunk::PendingIds, downgrade, grave, sanity, upgrade},
    wire::{
        Usn,
        changes::{ApplyChanges, Changes},
        chunk::{ApplyChunk, Chunk},
        graves::{ApplyGraves, Graves},
        login::LoginRequest,
        media::{BeginRequest, ChangesRequest, DownloadRequest, SanityRequest},
        meta::MetaRequest,
        parse,
        sanity::{Counts, SanityCheck},
        start::Start,
    },
};
use rusqlite::Connection;
use serde::{Serialize, de::DeserializeOwned};

use super::database::in_memory;

const NOW_SECS: i64 = 1_800_000_000;
const SERVER: Usn = Usn(40);

/// The name of a method, a line break, and its body; of those that have one part, only that.
pub fn json(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let body = &data[end + 1..];
    match &data[..end] {
        b"hostKey" => drop(parse::<LoginRequest>(body)),
        b"meta" => drop(parse::<MetaRequest>(body)),
        b"start" => start(body),
        b"applyGraves" => apply_graves(body),
        b"applyChanges" => apply_changes(body),
        b"applyChunk" => apply_chunk(body),
        b"sanityCheck2" => sanity_check(body),
        b"begin" => drop(parse::<BeginRequest>(body)),
        b"mediaChanges" => drop(parse::<ChangesRequest>(body)),
        b"downloadFiles" => drop(parse::<DownloadRequest>(body)),
        b"mediaSanity" => drop(parse::<SanityRequest>(body)),
        _ => {}
    }
}

fn start(body: &[u8]) {
    drop(parse::<Start>(body));
    let request = [br#"{"minUsn":0,"lnewer":true,"graves":"#, body, b"}"].concat();
    let graves = parse::<Option<Graves>>(body);
    assert_eq!(parse::<Start>(&request).is_ok(), graves.is_ok());
    if let Ok(Some(graves)) = graves {
        apply(|conn| grave::apply(conn, &graves, SERVER));
    }
}

fn apply_graves(body: &[u8]) {
    let graves = parse::<Graves>(body);
    assert_eq!(
        parse::<ApplyGraves>(&within("chunk", body)).is_ok(),
        graves.is_ok()
    );
    if let Ok(graves) = graves {
        assert_eq!(there_and_back(&graves), graves);
        apply(|conn| grave::apply(conn, &graves, SERVER));
    }
}

fn apply_changes(body: &[u8]) {
    let changes = parse::<Changes>(body);
    assert_eq!(
        parse::<ApplyChanges>(&within("changes", body)).is_ok(),
        changes.is_ok()
    );
    if let Ok(mut changes) = changes {
        assert_eq!(there_and_back(&changes), changes);
        changes.catch_up(SERVER);
        apply(|conn| changes::apply(conn, changes, SERVER, NOW_SECS));
    }
}

fn apply_chunk(body: &[u8]) {
    let chunk = parse::<Chunk>(body);
    assert_eq!(
        parse::<ApplyChunk>(&within("chunk", body)).is_ok(),
        chunk.is_ok()
    );
    if let Ok(mut chunk) = chunk {
        assert_eq!(there_and_back(&chunk), chunk);
        chunk.catch_up(SERVER);
        apply(|conn| chunk::apply(conn, &chunk, Usn(0)));
    }
}

fn sanity_check(body: &[u8]) {
    let counts = parse::<Counts>(body);
    assert_eq!(
        parse::<SanityCheck>(&within("client", body)).is_ok(),
        counts.is_ok()
    );
    if let Ok(counts) = counts {
        sanity::check(&in_memory("upgrade_out_schema18"), counts).unwrap();
    }
}

fn within(key: &str, value: &[u8]) -> Vec<u8> {
    [b"{\"", key.as_bytes(), b"\":", value, b"}"].concat()
}

fn there_and_back<T: Serialize + DeserializeOwned>(sent: &T) -> T {
    parse(&serde_json::to_vec(sent).unwrap()).unwrap()
}

/// What was taken from one client has to suit the others: it is sent to one that has nothing,
/// and to an old one as a file. What was refused leaves no trace.
fn apply(change: impl FnOnce(&Connection) -> Result<(), Error>) {
    let mut conn = in_memory("upgrade_out_schema18");
    let transaction = conn.transaction().unwrap();
    match change(&transaction) {
        Ok(()) => transaction.commit().unwrap(),
        Err(error) => {
            assert!(!error.is_environment(), "{error}");
            return;
        }
    }
    sends_everything(&conn).unwrap();
    downgrade(&mut conn).unwrap();
    upgrade(&mut conn, SERVER, NOW_SECS).unwrap();
    sends_everything(&conn).unwrap();
}

/// To a client that has nothing, which can read all of it.
pub fn sends_everything(conn: &Connection) -> Result<(), Error> {
    there_and_back(&changes::collect(conn, Usn(0), true)?);
    let mut pending = PendingIds::collect(conn, Usn(0))?;
    loop {
        let chunk = pending.next(conn)?;
        there_and_back(&chunk);
        if serde_json::to_string(&chunk)
            .unwrap()
            .starts_with("{\"done\":true")
        {
            break;
        }
    }
    sanity::check(conn, Counts::default())?;
    grave::pending(conn, Usn(0)).map(drop)
}
