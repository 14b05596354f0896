//! Cards.

use rusqlite::{
    Connection, OptionalExtension, Row,
    types::{FromSql, ValueRef},
};

use super::{Error, Result, card_data::normalized, error::InRow};
use crate::wire::{Usn, card::Card};

/// Stores a card, unless the one here was also changed, and not earlier.
pub(super) fn merge(conn: &Connection, card: &Card, min_usn: Usn) -> Result<()> {
    let mut statement =
        conn.prepare_cached("select usn, cast(mod as integer) from cards where id = ?")?;
    let ours: Option<(Usn, i64)> = statement
        .query_row([card.id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .in_row("cards", card.id)?;
    match ours {
        Some((usn, mtime_secs)) if min_usn.is_new(usn) && mtime_secs >= card.mtime_secs => Ok(()),
        Some(_) if execute(conn, CHANGE, card)? => Ok(()),
        _ => store(conn, card),
    }
}

/// Replaces a card of the same note. Unlike [`STORE`], it leaves the index by notes alone, and add-ons' columns.
const CHANGE: &str = "update or replace cards set did = ?3, ord = ?4, mod = ?5, usn = ?6, type = ?7, queue = ?8, due = ?9,
        ivl = ?10, factor = ?11, reps = ?12, lapses = ?13, left = ?14, odue = ?15, odid = ?16, flags = ?17, data = ?18
    where id = ?1 and nid = ?2";
const STORE: &str = "insert or replace into cards (id, nid, did, ord, mod, usn, type, queue, due, ivl, factor, reps,
        lapses, left, odue, odid, flags, data)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";

fn store(conn: &Connection, card: &Card) -> Result<()> {
    execute(conn, STORE, card).map(drop)
}

/// Returns whether a row was written.
fn execute(conn: &Connection, sql: &'static str, card: &Card) -> Result<bool> {
    let rows = conn.prepare_cached(sql)?.execute(rusqlite::params![
        card.id,
        card.nid,
        card.did,
        card.ord,
        card.mtime_secs,
        card.usn,
        card.kind,
        card.queue,
        card.due,
        card.ivl,
        card.factor,
        card.reps,
        card.lapses,
        card.left,
        card.odue,
        card.odid,
        card.flags,
        normalized(&card.data),
    ])?;
    Ok(rows > 0)
}

/// The bytes of a card's text, without reading it.
pub(super) fn size(conn: &Connection, id: i64) -> Result<u64> {
    let mut statement = conn.prepare_cached("select octet_length(data) from cards where id = ?")?;
    let size: Option<i64> = statement
        .query_row([id], |row| row.get(0))
        .in_row("cards", id)?;
    Ok(size.map_or(0, i64::unsigned_abs))
}

pub(super) fn read(conn: &Connection, id: i64) -> Result<Card> {
    let mut statement = conn.prepare_cached(
        "select id, nid, did, ord, cast(mod as integer), usn, type, queue, due, cast(ivl as integer), factor, reps,
                lapses, left, odue, odid, flags, data
         from cards where id = ?",
    )?;
    let card = statement.query_row([id], from_row).in_row("cards", id)?;
    if !Card::is_kind(card.kind) {
        return Err(undecodable(id, format!("there is no type {}", card.kind)));
    }
    if !Card::is_queue(card.queue) {
        return Err(undecodable(id, format!("there is no queue {}", card.queue)));
    }
    Ok(card)
}

fn undecodable(id: i64, reason: String) -> Error {
    Error::Undecodable {
        table: "cards",
        id: id.to_string(),
        reason,
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Card> {
    Ok(Card {
        id: row.get(0)?,
        nid: row.get(1)?,
        did: row.get(2)?,
        ord: row.get(3)?,
        mtime_secs: row.get(4)?,
        usn: row.get(5)?,
        kind: row.get(6)?,
        queue: row.get(7)?,
        due: lenient_due(row.get_ref(8)?),
        ivl: row.get(9)?,
        factor: row.get(10)?,
        reps: row.get(11)?,
        lapses: row.get(12)?,
        left: row.get(13)?,
        odue: lenient_due(row.get_ref(14)?),
        odid: row.get(15)?,
        flags: row.get(16)?,
        data: match row.get_ref(17)? {
            ValueRef::Text(_) => normalized(row.get_ref(17)?.as_str()?).into_owned(),
            _ => normalized("").into_owned(),
        },
    })
}

/// Old add-ons left all kinds of values there, which clients read as 0.
pub(super) fn lenient_due(value: ValueRef<'_>) -> i32 {
    i32::column_result(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        collection::testing::{self, TupleCase, rows},
        wire::parse,
    };

    #[test]
    fn cards_are_refused_stored_and_sent_as_by_the_reference_server() {
        let cases: Vec<TupleCase> = testing::vector("card_tolerance");
        assert_eq!(cases.len(), 44);
        let conn = testing::collection();
        for TupleCase {
            label,
            wire,
            accepted,
            stored,
            out,
        } in cases
        {
            let card = parse::<Card>(wire.to_string().as_bytes());
            assert_eq!(card.is_ok(), accepted, "{label}");
            let Ok(card) = card else { continue };
            merge(&conn, &card, Usn(5)).unwrap();
            let row = rows(
                &conn,
                &format!("select * from cards where id = {}", card.id),
            );
            assert_eq!(json!(row), json!([stored]), "{label}");
            let sent = card.usn != Usn::UNSENT;
            let sent = sent.then(|| serde_json::to_value(read(&conn, card.id).unwrap()).unwrap());
            assert_eq!(json!(sent), out, "{label}");
        }
    }

    fn card(mtime_secs: i64, usn: i32) -> Card {
        let json = json!([
            1, 2, 3, 0, mtime_secs, usn, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ""
        ]);
        parse(json.to_string().as_bytes()).unwrap()
    }

    /// Whether a card from a client that has seen everything before USN 5 is stored.
    fn prevails(ours: &Card, theirs: &Card, min_usn: i32) -> bool {
        let conn = testing::collection();
        store(&conn, ours).unwrap();
        merge(&conn, theirs, Usn(min_usn)).unwrap();
        read(&conn, 1).unwrap()
            == Card {
                data: "{}".to_owned(),
                ..theirs.clone()
            }
    }

    #[test]
    fn of_two_changed_cards_the_later_one_prevails() {
        assert!(prevails(&card(100, 5), &card(101, 7), 5));
        assert!(!prevails(&card(100, 5), &card(100, 7), 5));
        assert!(!prevails(&card(100, 6), &card(99, 7), 5));
        assert!(!prevails(&card(100, -1), &card(100, 7), -1));
    }

    #[test]
    fn a_card_not_changed_here_gives_way_even_to_an_older_one() {
        assert!(prevails(&card(100, 4), &card(99, 7), 5));
        assert!(prevails(&card(100, -1), &card(99, 7), 5));
        assert!(prevails(&card(100, 6), &card(99, 7), -1));
    }

    #[test]
    fn a_changed_card_is_stored_whole_also_if_its_note_is_another_one() {
        for nid in [2, 9] {
            let conn = testing::collection();
            let ours = [1, 2, 3, 4, 100, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
            let theirs = [1, nid, 5, 6, 101, 7, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2];
            for numbers in [ours, theirs] {
                let mut tuple = numbers.map(Value::from).to_vec();
                tuple.push(json!(""));
                let card = parse(json!(tuple).to_string().as_bytes()).unwrap();
                merge(&conn, &card, Usn(5)).unwrap();
            }
            let row = rows(&conn, "select * from cards").concat();
            let mut stored = theirs.map(Value::from).to_vec();
            stored.push(json!("{}"));
            assert_eq!(json!(row), json!(stored));
        }
    }

    #[test]
    fn cards_may_exchange_what_another_programs_index_wants_to_be_unique() {
        let conn = testing::collection();
        conn.execute_batch("create unique index foreign_index on cards (nid, ord)")
            .unwrap();
        let card = |id: i64, ord: i64, usn: i64| {
            let tuple = json!([id, 5, 1, ord, 100, usn, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ""]);
            parse::<Card>(tuple.to_string().as_bytes()).unwrap()
        };
        for card in [card(1, 0, 4), card(2, 1, 4), card(1, 1, 7), card(2, 0, 7)] {
            merge(&conn, &card, Usn(5)).unwrap();
        }
        assert_eq!(
            json!(rows(&conn, "select id, ord from cards order by id")),
            json!([[1, 1], [2, 0]])
        );
    }

    #[test]
    fn a_deleted_card_may_come_back_and_its_grave_stays() {
        let conn = testing::collection();
        conn.execute_batch("insert into graves values (1, 0, 3)")
            .unwrap();
        merge(&conn, &card(100, 7), Usn(5)).unwrap();
        assert_eq!(
            json!(rows(&conn, "select id, usn from cards")),
            json!([[1, 7]])
        );
        assert_eq!(
            json!(rows(&conn, "select * from graves")),
            json!([[1, 0, 3]])
        );
    }

    fn sent(changes: &str) -> Result<Value> {
        let conn = testing::collection();
        store(&conn, &card(100, 7)).unwrap();
        conn.execute_batch(&format!("update cards set {changes}"))
            .unwrap();
        read(&conn, 1).map(|card| serde_json::to_value(card).unwrap())
    }

    #[test]
    fn odd_values_in_some_columns_are_mended_when_sent() {
        for (changes, column, expected) in [
            ("due = 5000000000", 8, json!(0)),
            ("due = 1.5", 8, json!(0)),
            ("due = 'x'", 8, json!(0)),
            ("odue = -5000000000", 14, json!(0)),
            ("ivl = 2.9", 9, json!(2)),
            ("mod = 100.9", 4, json!(100)),
            ("data = x'7b7d'", 17, json!("{}")),
            ("data = 5", 17, json!("{}")),
            ("data = '{\"pos\":5,\"x\":1}'", 17, json!("{\"pos\":5}")),
        ] {
            assert_eq!(sent(changes).unwrap()[column], expected, "{changes}");
        }
    }

    #[test]
    fn odd_values_in_other_columns_cannot_be_sent() {
        for changes in [
            "ivl = -1",
            "ord = 70000",
            "queue = 9",
            "type = 4",
            "factor = 1.5",
            "nid = 'x'",
            "flags = 256",
            "reps = -1",
        ] {
            let error = sent(changes).unwrap_err().to_string();
            assert!(
                error.starts_with("row 1 of cards cannot be read: "),
                "{changes}: {error}"
            );
        }
    }
}
