//! Records of deletions, so that other devices delete the same.

use rusqlite::Connection;

use super::{Result, error::InRow, pending};
use crate::wire::{
    Usn,
    graves::{Grave, Graves},
};

const CARD: i64 = 0;
const NOTE: i64 = 1;
const DECK: i64 = 2;

/// The graves that are new to a peer.
///
/// # Errors
/// When a grave is of a kind that does not exist.
pub fn pending(conn: &Connection, min_usn: Usn) -> Result<Graves> {
    let sql = format!(
        "select oid, type from graves where {}",
        pending::condition(min_usn)
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([min_usn])?;
    let mut graves = Graves::default();
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        match row.get(1).in_row("graves", id)? {
            CARD => graves.cards.push(id),
            NOTE => graves.notes.push(id),
            DECK => graves.decks.push(id),
            kind => return Err(format!("there is no kind {kind}")).in_row("graves", id),
        }
    }
    Ok(graves)
}

/// Deletes what the client has deleted, and records it under the server's USN.
///
/// Nothing else is deleted with it: the client itself names the cards of a note and the decks below a deck.
pub fn bury(conn: &Connection, grave: Grave, usn: Usn) -> Result<()> {
    let (delete, kind, id) = match grave {
        Grave::Card(id) => ("delete from cards where id = ?", CARD, id),
        Grave::Note(id) => ("delete from notes where id = ?", NOTE, id),
        Grave::Deck(id) => ("delete from decks where id = ?", DECK, id),
    };
    conn.prepare_cached(delete)?.execute([id])?;
    conn.prepare_cached("insert or ignore into graves (oid, type, usn) values (?, ?, ?)")?
        .execute((id, kind, usn))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn apply(conn: &Connection, graves: &Graves, usn: Usn) -> Result<()> {
        let cards = graves.cards.iter().copied().map(Grave::Card);
        let notes = graves.notes.iter().copied().map(Grave::Note);
        let decks = graves.decks.iter().copied().map(Grave::Deck);
        cards
            .chain(notes)
            .chain(decks)
            .try_for_each(|grave| bury(conn, grave, usn))
    }

    use crate::collection::testing::{self, rows};

    fn filled() -> Connection {
        let conn = testing::collection();
        conn.execute_batch(
            "insert into notes values (10, 'g', 1, 0, 0, '', '', '', 0, 0, ''), (11, 'h', 1, 0, 0, '', '', '', 0, 0, '');
             insert into cards values (20, 10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '');
             insert into cards values (10, 11, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '');",
        )
        .unwrap();
        conn
    }

    fn ids(conn: &Connection, table: &str) -> serde_json::Value {
        let ids: Vec<_> = rows(conn, &format!("select id from {table} order by id")).concat();
        json!(ids)
    }

    #[test]
    fn only_what_is_named_is_deleted() {
        let conn = filled();
        let graves = Graves {
            notes: vec![10],
            ..Graves::default()
        };
        apply(&conn, &graves, Usn(4)).unwrap();
        assert_eq!(ids(&conn, "notes"), json!([11]));
        assert_eq!(ids(&conn, "cards"), json!([10, 20]));
        assert_eq!(
            json!(rows(&conn, "select * from graves")),
            json!([[10, 1, 4]])
        );
    }

    #[test]
    fn each_kind_has_its_table_and_its_number() {
        let conn = filled();
        let graves = Graves {
            cards: vec![20],
            decks: vec![1],
            notes: vec![11],
        };
        apply(&conn, &graves, Usn(4)).unwrap();
        assert_eq!(ids(&conn, "notes"), json!([10]));
        assert_eq!(ids(&conn, "cards"), json!([10]));
        assert_eq!(ids(&conn, "decks"), json!([]));
        let found = rows(&conn, "select oid, type, usn from graves order by type");
        assert_eq!(json!(found), json!([[20, 0, 4], [11, 1, 4], [1, 2, 4]]));
        assert_eq!(pending(&conn, Usn(4)).unwrap(), graves);
    }

    #[test]
    fn what_was_never_there_is_remembered_too() {
        let conn = filled();
        apply(
            &conn,
            &Graves {
                notes: vec![99],
                ..Graves::default()
            },
            Usn(4),
        )
        .unwrap();
        assert_eq!(
            json!(rows(&conn, "select * from graves")),
            json!([[99, 1, 4]])
        );
    }

    #[test]
    fn an_existing_grave_keeps_its_usn() {
        let conn = filled();
        let graves = Graves {
            notes: vec![10],
            ..Graves::default()
        };
        apply(&conn, &graves, Usn(4)).unwrap();
        apply(&conn, &graves, Usn(5)).unwrap();
        assert_eq!(
            json!(rows(&conn, "select * from graves")),
            json!([[10, 1, 4]])
        );
    }

    #[test]
    fn graves_are_sent_from_the_clients_usn_on() {
        let conn = filled();
        conn.execute_batch("insert into graves values (1, 0, -1), (2, 0, 3), (3, 1, 4), (4, 2, 5)")
            .unwrap();
        let expected = Graves {
            cards: vec![],
            notes: vec![3],
            decks: vec![4],
        };
        assert_eq!(pending(&conn, Usn(4)).unwrap(), expected);
        assert_eq!(
            pending(&conn, Usn::UNSENT).unwrap(),
            Graves {
                cards: vec![1],
                ..Graves::default()
            }
        );
    }

    #[test]
    fn a_grave_of_an_unknown_kind_cannot_be_sent() {
        let conn = filled();
        conn.execute_batch("insert into graves values (7, 3, 4)")
            .unwrap();
        let error = pending(&conn, Usn(0)).unwrap_err().to_string();
        assert_eq!(error, "row 7 of graves cannot be read: there is no kind 3");
    }
}
