//! Whether `media.db` is in order by itself, whatever is in the folder.

use rusqlite::Connection;

use super::database;

/// What is wrong with the database itself; none when nothing is.
///
/// # Errors
/// As `SQLite` says.
pub fn database_fault(conn: &Connection) -> rusqlite::Result<Option<Fault>> {
    let verdict: String = conn.query_row("pragma integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Ok(Some(Fault::Damaged));
    }
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        database::VERSION => {}
        // Upgraded when it is opened, and counted anew then.
        3 => return Ok(Some(Fault::Older)),
        other => return Ok(Some(Fault::Unknown(other))),
    }
    let sums: bool = conn.query_row(SUMS_AGREE, [], |row| row.get(0))?;
    Ok((!sums).then_some(Fault::Sums))
}

const SUMS_AGREE: &str = "select (select count(*) from meta) = 1
    and (select total_bytes from meta) = (select coalesce(sum(size), 0) from media)
    and (select total_nonempty_files from meta) = (select count(*) from media where size > 0)
    and (select last_usn from meta) >= (select coalesce(max(usn), 0) from media)";

/// What can be wrong with `media.db` itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not whole.
    Damaged,
    /// Of the older layout, which is upgraded when it is opened.
    Older,
    /// Of a layout that this server does not know.
    Unknown(i64),
    /// Its sums or its last number do not fit its entries.
    Sums,
}
