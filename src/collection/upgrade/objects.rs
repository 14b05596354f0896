//! Schema 15: notetypes and decks get tables, and deck configs become protobuf.

use std::collections::HashSet;

use ::unicase::UniCase;
use prost::Message;
use rusqlite::Connection;
use unicode_normalization::UnicodeNormalization;

use super::Stamp;
use crate::{
    collection::{
        Error, Result,
        deck::{self, DeckRow},
        deck_config,
        deck_name::to_human,
        error::InRow,
        legacy, notetype, schema,
    },
    wire::{Json, Malformed, deck::Deck, deck_config::DeckConfig, notetype::Notetype},
    work,
};

pub(super) fn to_tables(conn: &Connection, stamp: Stamp) -> Result<()> {
    conn.execute_batch(schema::NOTETYPE_AND_DECK_TABLES)?;
    notetypes(conn, stamp)?;
    decks(conn, stamp)?;
    deck_configs(conn)
}

fn notetypes(conn: &Connection, stamp: Stamp) -> Result<()> {
    let notetypes = legacy::objects::<Notetype>(conn, "models")?;
    let mut free_ids = stamp.now_secs * 1000..;
    let taken: HashSet<i64> = notetypes
        .iter()
        .flat_map(|(key, notetype)| [*key, notetype.id])
        .collect();
    for (key, mut notetype) in notetypes {
        if key == 0 || notetype.id == 0 {
            notetype.id = free_ids.find(|id| !taken.contains(id)).unwrap_or_default();
        }
        normalize_names(&mut notetype)?;
        while notetype::name_is_taken(conn, &notetype)? {
            work::step()?;
            notetype.name.push('_');
        }
        notetype::store(conn, notetype)?;
    }
    legacy::clear(conn, "models")
}

fn normalize_names(notetype: &mut Notetype) -> Result<()> {
    notetype.name = notetype.name.nfc().collect();
    make_unique(notetype.fields.iter_mut().map(|field| &mut field.name))?;
    make_unique(
        notetype
            .templates
            .iter_mut()
            .map(|template| &mut template.name),
    )
}

fn make_unique<'n>(names: impl Iterator<Item = &'n mut String>) -> Result<()> {
    let mut seen = HashSet::new();
    for name in names {
        *name = name.nfc().collect();
        while !seen.insert(UniCase::new(name.clone())) {
            work::step()?;
            name.push('+');
        }
    }
    Ok(())
}

/// Clients use the id inside a deck, even if its key differs.
fn decks(conn: &Connection, stamp: Stamp) -> Result<()> {
    for deck in legacy::objects::<Deck>(conn, "decks")?.into_values() {
        let name = deck.common().name.clone();
        let mut deck = DeckRow::from(deck);
        if deck.id == 0 {
            return Err(Error::ZeroId("deck"));
        }
        let mut renamed = to_human(&deck.name) != name;
        while deck::name_is_taken(conn, &deck)? {
            work::step()?;
            deck.name.push('_');
            renamed = true;
        }
        if renamed {
            deck.mtime_secs = stamp.now_secs;
            deck.usn = stamp.usn;
        }
        deck::store(conn, deck)?;
    }
    legacy::clear(conn, "decks")
}

fn deck_configs(conn: &Connection) -> Result<()> {
    let mut rows = conn.prepare("select id, config from deck_config")?;
    let rows: Vec<(i64, Vec<u8>)> = rows
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut update = conn.prepare("update deck_config set config = ? where id = ?")?;
    for (id, json) in rows {
        let config = deck_config(&json)
            .map_err(Malformed::from)
            .in_row("deck_config", id)?;
        let (_, mut config) = deck_config::to_row(config);
        // The first schema with this table stored it wrong by this factor; the next one corrects
        // it.
        config.initial_ease *= 100.0;
        update.execute((config.encode_to_vec(), id))?;
    }
    Ok(())
}

/// If a key is repeated, the last value counts.
fn deck_config(json: &[u8]) -> serde_json::Result<DeckConfig> {
    let json: Json = serde_json::from_slice(json)?;
    serde_json::from_str(json.as_str())
}
