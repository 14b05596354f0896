//! Collections as files: uploaded, and taken from schema 11 to 18 and back.
//!
//! The first byte of an input chooses a collection that real clients and the reference server
//! have made. Then come statements, which change it as anybody can who has SQLite, up to a
//! zero byte; and patches: three bytes for where, one for how much, and as many bytes.

use std::{
    fs,
    path::Path,
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use anki_syncd::collection::{
    downgrade,
    file::{accept_upload, downgrade_copy, summary},
    open::Collection,
    schema, unicase, upgrade,
    upload::CheckError,
};
use anki_syncd::wire::Usn;
use rusqlite::{Connection, backup::Backup};

use super::json::sends_everything;

const NOW_SECS: i64 = 1_800_000_000;
/// How long the statements of an input may take.
const PATIENCE: Duration = Duration::from_millis(200);

const FILES: [(&str, &[u8]); 4] = [
    (
        "upgrade_in_schema11",
        include_bytes!("../../tests/vectors/upgrade_in_schema11.anki2"),
    ),
    (
        "upgrade_out_schema18",
        include_bytes!("../../tests/vectors/upgrade_out_schema18.anki2"),
    ),
    (
        "new_server_schema11",
        include_bytes!("../../tests/vectors/new_server_schema11.anki2"),
    ),
    (
        "new_server_schema18",
        include_bytes!("../../tests/vectors/new_server_schema18.anki2"),
    ),
];

/// A file is uploaded. One that is taken can be served.
pub fn upload(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("collection.anki2");
    // Else the rest is the whole file.
    if let Some((_, file)) = FILES.get(usize::from(first)) {
        let (statements, patches) = split(rest);
        fs::write(&path, file).unwrap();
        if let Ok(conn) = Connection::open(&path) {
            unicase::register(&conn).unwrap();
            execute(&conn, statements);
        }
        patch(&path, patches);
    } else {
        fs::write(&path, rest).unwrap();
    }
    match accept_upload(&path, NOW_SECS) {
        Ok(()) => is_served(&path),
        Err(CheckError::Refused(refusal)) => assert!(refusal.to_string().ends_with('.')),
        Err(error) => panic!("neither taken nor refused: {error}"),
    }
}

fn is_served(path: &Path) {
    summary(path).unwrap();
    let copy = path.with_extension("copy");
    fs::copy(path, &copy).unwrap();
    let collection = Collection::open(path, NOW_SECS * 1000).unwrap();
    collection.stamps().unwrap();
    collection.stamp_download(NOW_SECS * 1000).unwrap();
    // A row that nobody can read is its owner's: the device is told to check the database.
    let read = sends_everything(collection.connection()).and_then(|()| downgrade_copy(&copy));
    match read {
        Ok(()) => accept_upload(&copy, NOW_SECS).unwrap(),
        Err(error) => assert!(!error.is_environment(), "{error}"),
    }
}

/// Up and down and up again keeps the rows that both schemas have.
pub fn schema(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else {
        return;
    };
    let (name, _) = FILES[usize::from(first) % FILES.len()];
    let mut conn = in_memory(name);
    execute(&conn, split(rest).0);
    let before = rows(&conn);
    if upgrade(&mut conn, Usn(3), NOW_SECS).is_err() || !matches!(schema::missing(&conn), Ok(None))
    {
        return;
    }
    let objects = |conn: &Connection| {
        let tables = ["notetypes", "decks", "deck_config", "tags", "config"];
        tables.map(|table| count(conn, table))
    };
    assert_eq!(rows(&conn), before);
    let upgraded = objects(&conn);
    if downgrade(&mut conn).is_err() {
        return;
    }
    assert_eq!(rows(&conn), before);
    upgrade(&mut conn, Usn(3), NOW_SECS).unwrap();
    assert_eq!(rows(&conn), before);
    assert_eq!(objects(&conn), upgraded);
}

fn rows(conn: &Connection) -> [Option<i64>; 3] {
    ["notes", "cards", "revlog"].map(|table| count(conn, table))
}

fn count(conn: &Connection, table: &str) -> Option<i64> {
    let sql = format!("select count() from {table}");
    conn.query_row(&sql, [], |row| row.get(0)).ok()
}

fn split(rest: &[u8]) -> (&[u8], &[u8]) {
    match rest.iter().position(|byte| *byte == 0) {
        Some(end) => (&rest[..end], &rest[end + 1..]),
        None => (rest, &[]),
    }
}

/// Runs as much of it as is right, and nothing that reaches other files.
fn execute(conn: &Connection, statements: &[u8]) {
    let Ok(text) = std::str::from_utf8(statements) else {
        return;
    };
    let lower = text.to_lowercase();
    if [
        "attach",
        "vacuum",
        "pragma",
        "fts",
        "randomblob",
        "zeroblob",
        "printf",
        "format",
    ]
    .iter()
    .any(|word| lower.contains(word))
    {
        return;
    }
    let interrupt = conn.get_interrupt_handle();
    let (done, wait) = channel::<()>();
    let watch = thread::spawn(move || {
        if wait.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            interrupt.interrupt();
        }
    });
    conn.pragma_update(None, "journal_mode", "memory").ok();
    conn.pragma_update(None, "writable_schema", true).ok();
    for statement in text.split(";;") {
        conn.execute_batch(statement).ok();
    }
    conn.execute_batch("rollback").ok();
    conn.pragma_update(None, "writable_schema", "reset").ok();
    drop(done);
    watch.join().unwrap();
}

fn patch(path: &Path, mut patches: &[u8]) {
    let mut file = fs::read(path).unwrap();
    while let [high, middle, low, length, rest @ ..] = patches {
        let at = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        let (new, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        if let Some(old) = file.get_mut(at..at + new.len()) {
            old.copy_from_slice(new);
        } else {
            file.truncate(at);
        }
        patches = rest;
    }
    fs::write(path, file).unwrap();
}

thread_local! {
    static ORIGINALS: [Connection; FILES.len()] = FILES.map(|(_, bytes)| {
        // The journal of some is a write-ahead log, which would lie beside the file.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("original");
        fs::write(&path, bytes).unwrap();
        copy(&Connection::open(&path).unwrap())
    });
}

fn copy(from: &Connection) -> Connection {
    let mut conn = Connection::open_in_memory().unwrap();
    unicase::register(&conn).unwrap();
    let copied = Backup::new(from, &mut conn)
        .and_then(|backup| backup.run_to_completion(10_000, Duration::ZERO, None));
    copied.unwrap();
    conn
}

/// A copy of one of them in memory.
pub fn in_memory(name: &str) -> Connection {
    let at = FILES.iter().position(|(known, _)| *known == name).unwrap();
    ORIGINALS.with(|originals| copy(&originals[at]))
}
