//! Decks.

mod convert;
#[cfg(test)]
mod tests;

use prost::Message;
use rusqlite::{Connection, OptionalExtension};

use super::{
    Error, Result,
    error::InRow,
    proto::{DeckCommon, DeckKind, DeckKindContainer},
};
use crate::{
    wire::{Usn, deck::Deck},
    work,
};

/// A deck, as its row stores it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DeckRow {
    pub(super) id: i64,
    /// The form of its name in the file.
    pub(super) name: String,
    pub(super) mtime_secs: i64,
    pub(super) usn: Usn,
    pub(super) common: DeckCommon,
    pub(super) kind: DeckKind,
}

/// Stores the decks that are not older than the ones here.
pub(super) fn merge(
    conn: &Connection,
    decks: impl IntoIterator<Item = Deck>,
    usn: Usn,
    now_secs: i64,
) -> Result<()> {
    for deck in decks {
        let mut deck = DeckRow::from(deck);
        if deck.id == 0 {
            return Err(Error::ZeroId("deck"));
        }
        if mtime_of(conn, deck.id)?.is_some_and(|mtime_secs| mtime_secs > deck.mtime_secs) {
            continue;
        }
        while name_is_taken(conn, &deck)? {
            work::step()?;
            deck.name.push('+');
            deck.mtime_secs = now_secs;
            deck.usn = usn;
        }
        store(conn, deck)?;
    }
    Ok(())
}

fn mtime_of(conn: &Connection, id: i64) -> Result<Option<i64>> {
    let mut statement = conn.prepare_cached("select mtime_secs from decks where id = ?")?;
    Ok(statement.query_row([id], |row| row.get(0)).optional()?)
}

/// Whether another deck has this name, in any case.
pub(super) fn name_is_taken(conn: &Connection, deck: &DeckRow) -> Result<bool> {
    let mut statement =
        conn.prepare_cached("select exists (select 1 from decks where name = ? and id != ?)")?;
    Ok(statement.query_row((&deck.name, deck.id), |row| row.get(0))?)
}

/// Replaces the deck of this id.
pub(super) fn store(conn: &Connection, deck: DeckRow) -> Result<()> {
    let kind = DeckKindContainer {
        kind: Some(deck.kind),
    };
    let mut statement = conn.prepare_cached(
        "insert or replace into decks (id, name, mtime_secs, usn, common, kind) values (?, ?, ?, ?, ?, ?)",
    )?;
    let common = deck.common.encode_to_vec();
    statement.execute((
        deck.id,
        deck.name,
        deck.mtime_secs,
        deck.usn,
        common,
        kind.encode_to_vec(),
    ))?;
    Ok(())
}

pub(super) fn read(conn: &Connection, id: i64) -> Result<DeckRow> {
    let mut statement =
        conn.prepare_cached("select name, mtime_secs, usn, common, kind from decks where id = ?")?;
    let row = statement.query_row([id], |row| {
        let blobs: (Vec<u8>, Vec<u8>) = (row.get(3)?, row.get(4)?);
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, blobs))
    });
    let (name, mtime_secs, usn, (common, kind)) = row.in_row("decks", id)?;
    let common = DeckCommon::decode(&common[..]).in_row("decks", id)?;
    let kind = DeckKindContainer::decode(&kind[..])
        .in_row("decks", id)?
        .kind;
    let kind = kind
        .ok_or("it is neither a normal nor a filtered deck")
        .in_row("decks", id)?;
    Ok(DeckRow {
        id,
        name,
        mtime_secs,
        usn,
        common,
        kind,
    })
}
