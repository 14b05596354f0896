//! The review log.

use rusqlite::{Connection, Row};

use super::{Result, error::InRow};
use crate::wire::revlog::RevlogEntry;

/// Adds an entry, and returns whether it is new. If an entry of the same millisecond exists, it stays: entries never
/// change.
pub(super) fn add(conn: &Connection, entry: &RevlogEntry) -> Result<bool> {
    let mut statement = conn.prepare_cached(
        "insert or ignore into revlog (id, cid, usn, ease, ivl, lastIvl, factor, time, type)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let rows = statement.execute((
        entry.id,
        entry.card_id,
        entry.usn,
        entry.ease,
        entry.interval,
        entry.last_interval,
        entry.factor,
        entry.millis,
        entry.kind,
    ))?;
    Ok(rows > 0)
}

pub(super) fn read(conn: &Connection, id: i64) -> Result<RevlogEntry> {
    let mut statement = conn.prepare_cached(
        "select id, cid, usn, ease, cast(ivl as integer), cast(lastIvl as integer), factor, time, type
         from revlog where id = ?",
    )?;
    statement.query_row([id], from_row).in_row("revlog", id)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<RevlogEntry> {
    Ok(RevlogEntry {
        id: row.get(0)?,
        card_id: row.get(1)?,
        usn: row.get(2)?,
        ease: row.get(3)?,
        interval: row.get(4)?,
        last_interval: row.get(5)?,
        factor: row.get(6)?,
        millis: row.get(7).unwrap_or(0),
        kind: row
            .get(8)
            .ok()
            .filter(|kind| *kind <= RevlogEntry::LAST_KIND)
            .unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        collection::testing::{self, TupleCase, rows},
        wire::{Usn, parse},
    };

    #[test]
    fn entries_are_refused_stored_and_sent_as_by_the_reference_server() {
        let cases: Vec<TupleCase> = testing::vector("revlog_tolerance");
        assert_eq!(cases.len(), 19);
        let conn = testing::collection();
        for TupleCase {
            label,
            wire,
            accepted,
            stored,
            out,
        } in cases
        {
            let read_entry = parse::<RevlogEntry>(wire.to_string().as_bytes());
            assert_eq!(read_entry.is_ok(), accepted, "{label}");
            let Ok(entry) = read_entry else { continue };
            add(&conn, &entry).unwrap();
            let row = rows(
                &conn,
                &format!("select * from revlog where id = {}", entry.id),
            );
            assert_eq!(json!(row), json!([stored]), "{label}");
            let sent = entry.usn != Usn::UNSENT;
            let sent = sent.then(|| serde_json::to_value(read(&conn, entry.id).unwrap()).unwrap());
            assert_eq!(json!(sent), out, "{label}");
        }
    }

    #[test]
    fn an_existing_entry_is_left_alone() {
        let conn = testing::collection();
        let entry = |usn: i32| {
            parse::<RevlogEntry>(format!("[1, {usn}, {usn}, 1, 1, 1, 1, 1, 1]").as_bytes()).unwrap()
        };
        assert!(add(&conn, &entry(4)).unwrap());
        assert!(!add(&conn, &entry(5)).unwrap());
        assert_eq!(
            json!(rows(&conn, "select id, cid, usn from revlog")),
            json!([[1, 4, 4]])
        );
    }

    #[test]
    fn odd_rows_are_mended_or_refused_when_sent() {
        let sent = |values: &str| {
            let conn = testing::collection();
            conn.execute_batch(&format!("insert into revlog values (1, 2, 3, {values})"))
                .unwrap();
            read(&conn, 1).map(|entry| serde_json::to_value(entry).unwrap())
        };
        assert_eq!(
            sent("4, 5.9, '6', 7, 8, 1").unwrap(),
            json!([1, 2, 3, 4, 5, 6, 7, 8, 1])
        );
        assert_eq!(
            sent("4, 5, 6, 7, -8, 6").unwrap(),
            json!([1, 2, 3, 4, 5, 6, 7, 0, 0])
        );
        assert_eq!(
            sent("4, 5, 6, 7, 8, -1").unwrap(),
            json!([1, 2, 3, 4, 5, 6, 7, 8, 0])
        );
        for refused in [
            "4, 5, 6, -7, 8, 1",
            "256, 5, 6, 7, 8, 1",
            "'x', 5, 6, 7, 8, 1",
        ] {
            let error = sent(refused).unwrap_err().to_string();
            assert!(
                error.starts_with("row 1 of revlog cannot be read: "),
                "{error}"
            );
        }
    }
}
