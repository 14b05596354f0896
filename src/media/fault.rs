//! Whether `media.db` is valid in itself, independent of the folder.

use rusqlite::Connection;

use super::database;

/// The problem of the database itself, if any.
pub fn database_fault(conn: &Connection) -> rusqlite::Result<Option<Fault>> {
    let verdict: String = conn.query_row("pragma integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Ok(Some(Fault::Damaged));
    }
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        database::VERSION => {}
        // Opening upgrades it and recomputes the totals.
        3 => return Ok(Some(Fault::Older)),
        0 if is_empty(conn)? => return Ok(Some(Fault::Empty)),
        other => return Ok(Some(Fault::Unknown(other))),
    }
    let sums: bool = conn.query_row(SUMS_AGREE, [], |row| row.get(0))?;
    Ok((!sums).then_some(Fault::Sums))
}

fn is_empty(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row("select count(*) = 0 from sqlite_master", [], |row| {
        row.get(0)
    })
}

const SUMS_AGREE: &str = "select (select count(*) from meta) = 1
    and (select total_bytes from meta) = (select coalesce(sum(size), 0) from media)
    and (select total_nonempty_files from meta) = (select count(*) from media where size > 0)
    and (select last_usn from meta) >= (select coalesce(max(usn), 0) from media)";

/// Problems of `media.db` itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Damaged.
    Damaged,
    /// It has the older layout; opening upgrades it.
    Older,
    /// It has no table, as after a full disk interrupted its creation; opening creates them.
    Empty,
    /// It has a layout that this server does not know.
    Unknown(i64),
    /// Its totals or its last number do not fit its entries.
    Sums,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_full_disk_leaves_of_a_new_database_is_no_unknown_one() {
        let conn = Connection::open_in_memory().unwrap();
        assert_eq!(database_fault(&conn).unwrap(), Some(Fault::Empty));
        conn.pragma_update(None, "user_version", 9).unwrap();
        assert_eq!(database_fault(&conn).unwrap(), Some(Fault::Unknown(9)));
    }
}
