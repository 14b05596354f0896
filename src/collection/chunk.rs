//! Sending and receiving notes, cards and review log entries in chunks.

use std::io::Read;

use rusqlite::Connection;

use super::{
    Result, card,
    note::{self, Shapes},
    pending, revlog,
};
use crate::wire::{
    Usn,
    chunk::{self, Chunk, Item},
    stream::Turn,
};

/// The most objects of a chunk.
const CHUNK_SIZE: usize = 250;

/// The most bytes of text in a chunk, since notes may be large.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;

/// The objects that are still to be sent to a client.
///
/// They are collected once, so that objects that the client sends in the same sync are not sent
/// back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PendingIds {
    revlog: Vec<i64>,
    cards: Vec<i64>,
    notes: Vec<i64>,
}

impl PendingIds {
    /// Collects everything that is new to a client.
    pub fn collect(conn: &Connection, min_usn: Usn) -> Result<Self> {
        Ok(Self {
            revlog: pending::ids(conn, "revlog", min_usn)?,
            cards: pending::ids(conn, "cards", min_usn)?,
            notes: pending::ids(conn, "notes", min_usn)?,
        })
    }

    /// Takes the next chunk: one object of each kind in turn, the newest first.
    ///
    /// Large notes are held in the `turn` for them. It must live as long as the chunk.
    ///
    /// A chunk that is full is never the last one, even if nothing is left.
    pub fn next(&mut self, conn: &Connection, turn: &mut Turn) -> Result<Chunk> {
        let mut chunk = Chunk::default();
        let (mut size, mut bytes) = (0, 0);
        while size < CHUNK_SIZE && bytes < CHUNK_BYTES {
            let before = size;
            if let Some(id) = self.revlog.pop() {
                chunk.revlog.push(revlog::read(conn, id)?);
                size += 1;
            }
            if let Some(id) = self.notes.pop() {
                turn.wait_for(note::size(conn, id)?);
                let note = note::read(conn, id)?;
                bytes += note.fields.len() + note.tags.len();
                chunk.notes.push(note);
                size += 1;
            }
            if let Some(id) = self.cards.pop() {
                turn.wait_for(card::size(conn, id)?);
                let card = card::read(conn, id)?;
                bytes += card.data.len();
                chunk.cards.push(card);
                size += 1;
            }
            if size == before {
                chunk.done = true;
                break;
            }
        }
        Ok(chunk)
    }
}

/// What a chunk contained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Objects of all kinds.
    pub objects: usize,
    /// Reviews that were not here before.
    pub new_reviews: u32,
}

/// Merges and counts what a client has sent that has seen everything before `min_usn`; `usn` is the
/// server's at the start of the sync.
///
/// # Errors
/// When it cannot be read, a note does not fit its notetype, or a table cannot be written.
pub fn apply(conn: &Connection, body: impl Read, usn: Usn, min_usn: Usn) -> Result<Applied> {
    let mut shapes = Shapes::default();
    let mut applied = Applied::default();
    chunk::read(body, |mut item| {
        applied.objects += 1;
        item.catch_up(usn);
        match item {
            Item::Revlog(entry) => {
                applied.new_reviews += u32::from(revlog::add(conn, &entry)?);
                Ok(())
            }
            Item::Card(card) => card::merge(conn, &card, min_usn),
            Item::Note(note) => note::merge(conn, &note, min_usn, &mut shapes),
        }
    })?;
    Ok(applied)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::collection::testing::{self, NOW_MS, rows};

    fn filled(revlog: i64, cards: i64, notes: i64) -> Connection {
        let conn = testing::collection();
        for id in 1..=revlog {
            conn.execute(
                "insert into revlog values (?, 1, 5, 1, 1, 1, 1, 1, 1)",
                [id],
            )
            .unwrap();
        }
        for id in 1..=cards {
            let sql =
                "insert into cards values (?, 1, 1, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '')";
            conn.execute(sql, [id]).unwrap();
        }
        for id in 1..=notes {
            conn.execute(
                "insert into notes values (?, 'g', 1, 0, 5, '', '', '', 0, 0, '')",
                [id],
            )
            .unwrap();
        }
        conn
    }

    /// Sizes of all chunks (revlog, cards, notes), and which of them is the last.
    fn sizes(conn: &Connection, min_usn: Usn) -> Vec<(usize, usize, usize, bool)> {
        let mut ids = PendingIds::collect(conn, min_usn).unwrap();
        let mut sizes = Vec::new();
        loop {
            let chunk = ids.next(conn, &mut Turn::default()).unwrap();
            sizes.push((
                chunk.revlog.len(),
                chunk.cards.len(),
                chunk.notes.len(),
                chunk.done,
            ));
            if chunk.done {
                return sizes;
            }
        }
    }

    #[test]
    fn nothing_to_send_is_one_empty_last_chunk() {
        assert_eq!(sizes(&filled(0, 0, 0), Usn(0)), [(0, 0, 0, true)]);
        assert_eq!(sizes(&filled(3, 2, 1), Usn(6)), [(0, 0, 0, true)]);
    }

    #[test]
    fn kinds_take_turns_until_at_least_250() {
        let conn = filled(300, 100, 200);
        // 84 rounds of three, then two of the kinds, then what is left of one.
        let expected = [(84, 84, 84, false), (117, 16, 116, false), (99, 0, 0, true)];
        let found = sizes(&conn, Usn(5));
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], expected[0]);
        assert_eq!(found.iter().map(|size| size.0).sum::<usize>(), 300);
        assert_eq!(found.iter().map(|size| size.1).sum::<usize>(), 100);
        assert_eq!(found.iter().map(|size| size.2).sum::<usize>(), 200);
        assert_eq!(found[1].1, 16);
        assert!(found[1].0 + found[1].1 + found[1].2 >= 250);
    }

    #[test]
    fn exactly_250_are_followed_by_an_empty_chunk() {
        assert_eq!(
            sizes(&filled(250, 0, 0), Usn(5)),
            [(250, 0, 0, false), (0, 0, 0, true)]
        );
        assert_eq!(sizes(&filled(0, 249, 0), Usn(5)), [(0, 249, 0, true)]);
        assert_eq!(
            sizes(&filled(0, 126, 126), Usn(5)),
            [(0, 125, 125, false), (0, 1, 1, true)]
        );
    }

    #[test]
    fn large_notes_end_a_chunk_early() {
        let conn = filled(0, 0, 3);
        conn.execute(
            "update notes set flds = hex(zeroblob(?))",
            [CHUNK_BYTES / 2],
        )
        .unwrap();
        assert_eq!(
            sizes(&conn, Usn(5)),
            [
                (0, 0, 1, false),
                (0, 0, 1, false),
                (0, 0, 1, false),
                (0, 0, 0, true)
            ]
        );
    }

    #[test]
    fn the_newest_come_first_with_the_usn_they_have_here() {
        let conn = filled(2, 0, 0);
        let chunk = PendingIds::collect(&conn, Usn(3))
            .unwrap()
            .next(&conn, &mut Turn::default())
            .unwrap();
        let sent: Vec<_> = chunk
            .revlog
            .iter()
            .map(|entry| (entry.id, entry.usn))
            .collect();
        assert_eq!(sent, [(2, Usn(5)), (1, Usn(5))]);
    }

    #[test]
    fn what_arrives_after_collecting_is_not_sent_back() {
        let conn = filled(1, 0, 0);
        let mut ids = PendingIds::collect(&conn, Usn(5)).unwrap();
        let body = br#"{"chunk": {"done": true, "revlog": [[9, 1, 5, 1, 1, 1, 1, 1, 1]]}}"#;
        apply(&conn, &body[..], Usn(5), Usn(5)).unwrap();
        assert_eq!(
            ids.next(&conn, &mut Turn::default()).unwrap().revlog.len(),
            1
        );
        assert_eq!(rows(&conn, "select * from revlog").len(), 2);
    }

    #[test]
    fn all_three_kinds_are_merged() {
        let conn = testing::collection();
        let chunk = json!({
            "revlog": [[1, 2, 5, 1, 1, 1, 1, 1, 1]],
            "cards": [[2, 3, 1, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ""]],
            "notes": [[3, "g", NOW_MS, 0, 5, "", "a\u{1f}b", "", "", 0, ""]],
        });
        let body = json!({ "chunk": chunk }).to_string();
        // What comes again is no new review.
        for new_reviews in [1, 0] {
            let applied = apply(&conn, body.as_bytes(), Usn(5), Usn(5)).unwrap();
            let objects = 3;
            assert_eq!(
                applied,
                Applied {
                    objects,
                    new_reviews
                }
            );
        }
        for (table, id) in [("revlog", 1), ("cards", 2), ("notes", 3)] {
            assert_eq!(
                json!(rows(&conn, &format!("select id, usn from {table}"))),
                json!([[id, 5]])
            );
        }
    }

    #[test]
    fn a_row_that_vanished_or_cannot_be_read_is_an_error() {
        let conn = filled(0, 1, 0);
        let ids = PendingIds::collect(&conn, Usn(5)).unwrap();
        conn.execute("update cards set ivl = -1", []).unwrap();
        let error = ids
            .clone()
            .next(&conn, &mut Turn::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("row 1 of cards cannot be read: "),
            "{error}"
        );
        conn.execute("delete from cards", []).unwrap();
        assert!(ids.clone().next(&conn, &mut Turn::default()).is_err());
    }
}
