//! Limits what `SQLite` may run and use, since a stranger may have made the file.

use std::{fmt::Write, os::unix::ffi::OsStrExt, path::Path};

use rusqlite::{Connection, OpenFlags, config::DbConfig, limits::Limit};

use super::unicase;
use crate::work;

/// Half of what the unit allows the daemon. Sorting the indexes of five million rows needs less.
const HARD_HEAP_LIMIT: i64 = 256 * 1024 * 1024;

/// The most that a collection needs. The limits keep a single instruction of `SQLite` from taking
/// much memory or time.
const LIMITS: [(Limit, i32); 9] = [
    // Bytes of a value or a row. A note of that size does not fit into a request, and Anki is slow
    // with a hundredth of it.
    (Limit::SQLITE_LIMIT_LENGTH, 100 * 1024 * 1024),
    // Our own longest statement has some thousand.
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 1024 * 1024),
    // Anki's widest table has 18; add-ons have tables of their own.
    (Limit::SQLITE_LIMIT_COLUMN, 500),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 20),
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 20),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// Keeps a file from running code when it is queried, and limits what a query may use.
pub(crate) fn distrust(conn: &mut Connection) -> rusqlite::Result<()> {
    for (option, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        // Plans do not depend on values. Otherwise SQLite makes a plan anew for each value.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
        // Anki declares none. A stranger's foreign keys would delete rows together with others.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false),
    ] {
        conn.set_db_config(option, on)?;
    }
    // Anki declares none. A stranger's checks would be computed for every row that is written.
    conn.pragma_update(None, "ignore_check_constraints", true)?;
    // The unit allows temporary files in SYNC_BASE only.
    conn.pragma_update(None, "temp_store", "memory")?;
    for (limit, value) in LIMITS {
        conn.set_limit(limit, value)?;
    }
    work::watch(conn)?;
    unicase::register(conn)
}

/// Limits the memory of `SQLite` for all connections of this process together. Near the lower
/// limit, caches stop growing. Beyond the upper one a query fails: one request is lost instead of
/// the server.
pub fn bound_memory() -> rusqlite::Result<()> {
    let conn = Connection::open_in_memory()?;
    for (limit, bytes) in [
        ("hard_heap_limit", HARD_HEAP_LIMIT),
        ("soft_heap_limit", HARD_HEAP_LIMIT / 2),
    ] {
        conn.query_row(&format!("pragma {limit} = {bytes}"), [], |_| Ok(()))?;
    }
    Ok(())
}

/// Opens a file that nobody else has open, without creating files beside it.
pub(super) fn open_untouched(path: &Path) -> rusqlite::Result<Connection> {
    let mut conn = Connection::open_with_flags(
        immutable_uri(path),
        OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    distrust(&mut conn)?;
    Ok(conn)
}

/// Read-only without locks, so that a file in WAL mode gets no `-wal` and `-shm` beside it.
pub(crate) fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri + "?immutable=1"
}
