//! How `SQLite` is kept from running, and from taking much for, what a stranger may have made.

use std::{fmt::Write, os::unix::ffi::OsStrExt, path::Path};

use rusqlite::{Connection, OpenFlags, config::DbConfig, limits::Limit};

use super::unicase;
use crate::work;

/// Half of what the unit allows the daemon. Indexes of five million rows are sorted in less.
const HARD_HEAP_LIMIT: i64 = 256 * 1024 * 1024;

/// What a collection needs at most, so that no single instruction of `SQLite` takes much memory
/// or time.
const LIMITS: [(Limit, i32); 9] = [
    // Bytes of a value or a row. A note of that size is above what a request may carry; Anki
    // itself gets slow with a hundredth of it.
    (Limit::SQLITE_LIMIT_LENGTH, 100 * 1024 * 1024),
    // Of our own statements the longest has some thousand.
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

/// Nothing in a file may run code of its own when it is queried, nor take more than it should.
pub(crate) fn distrust(conn: &mut Connection) -> rusqlite::Result<()> {
    for (option, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        // Anki declares none; those of a stranger would delete rows along with others.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false),
    ] {
        conn.set_db_config(option, on)?;
    }
    // Anki declares none; a stranger's would be computed for every row that is written or checked.
    conn.pragma_update(None, "ignore_check_constraints", true)?;
    // The unit leaves no other place for temporary files than SYNC_BASE.
    conn.pragma_update(None, "temp_store", "memory")?;
    for (limit, value) in LIMITS {
        conn.set_limit(limit, value)?;
    }
    work::watch(conn)?;
    unicase::register(conn)
}

/// Bounds what `SQLite` holds in memory for all connections of this process together: near the
/// lower limit, caches stop growing; beyond the upper one, a query fails, and with it one request
/// instead of the server.
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

/// Opens a file that nobody else has open, and leaves no trace.
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

/// Read-only in earnest: no lock, and no `-wal` or `-shm` beside a file that says it is in WAL mode.
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
