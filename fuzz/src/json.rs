//! The JSON body of each method, and what it does to a collection.

use anki_syncd::{
    collection::{Error, changes, chunk, chunk::PendingIds, downgrade, grave, sanity, upgrade},
    wire::{
        self, Usn,
        login::LoginRequest,
        media::{BeginRequest, ChangesRequest, DownloadRequest, SanityRequest},
        meta::MetaRequest,
        parse,
        sanity::{Counts, SanityCheck},
        stream::Turn,
    },
};
use rusqlite::Connection;

use super::database::in_memory;

const NOW_SECS: i64 = 1_800_000_000;
const SERVER: Usn = Usn(40);

/// The name of a method, a line break, and its body.
pub fn json(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let body = &data[end + 1..];
    match &data[..end] {
        b"hostKey" => drop(parse::<LoginRequest>(body)),
        b"meta" => drop(parse::<MetaRequest>(body)),
        b"start" => apply(|conn| {
            wire::start::read(body, |grave| grave::bury(conn, grave, SERVER)).map(drop)
        }),
        b"applyGraves" => {
            apply(|conn| wire::graves::read(body, |grave| grave::bury(conn, grave, SERVER)));
        }
        b"applyChanges" => apply(|conn| changes::apply(conn, body, SERVER, NOW_SECS).map(drop)),
        b"applyChunk" => apply(|conn| chunk::apply(conn, body, SERVER, Usn(0)).map(drop)),
        b"sanityCheck2" => drop(parse::<SanityCheck>(body)),
        b"begin" => drop(parse::<BeginRequest>(body)),
        b"mediaChanges" => drop(parse::<ChangesRequest>(body)),
        b"downloadFiles" => drop(parse::<DownloadRequest>(body)),
        b"mediaSanity" => drop(parse::<SanityRequest>(body)),
        _ => {}
    }
}

/// What was taken from one client has to suit the others: it is sent to one that has nothing,
/// and to an old one as a file.
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
    let mut sent = br#"{"changes":"#.to_vec();
    changes::send(conn, Usn(0), true, &mut sent)?;
    sent.push(b'}');
    wire::changes::read::<Error>(&*sent, |_| Ok(())).unwrap();
    let mut pending = PendingIds::collect(conn, Usn(0))?;
    loop {
        let chunk = serde_json::to_string(&pending.next(conn, &mut Turn::default())?).unwrap();
        let sent = format!("{{\"chunk\":{chunk}}}");
        wire::chunk::read::<Error>(sent.as_bytes(), |_| Ok(())).unwrap();
        if chunk.starts_with("{\"done\":true") {
            break;
        }
    }
    sanity::check(conn, Counts::default(), &mut None)?;
    grave::pending(conn, Usn(0)).map(drop)
}
