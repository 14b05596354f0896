//! Schema 16: the ease of new cards becomes a fraction again, and the effects of a too low ease are repaired.

use prost::Message;
use rusqlite::Connection;

use super::Stamp;
use crate::collection::{
    Result, deck,
    error::InRow,
    pending,
    proto::{DeckConfig, DeckKind},
};

/// With an ease up to this, cards come back so often that it must be a mistake.
const LOWEST_EASE: f32 = 1.3;

pub(super) fn to_fractions(conn: &Connection, stamp: Stamp) -> Result<()> {
    let low = deck_configs(conn)?;
    let mut decks = Vec::new();
    for id in pending::all_ids(conn, "decks")? {
        if let DeckKind::Normal(normal) = deck::read(conn, id)?.kind
            && low.contains(&normal.config_id)
        {
            decks.push(id);
        }
    }
    // One scan for all decks, however many there are.
    conn.execute(
        "with low as (select value from json_each(?1))
         update cards set factor = 2500, usn = ?2
         where factor != 0 and factor <= 2000 and (did in low or odid in low)",
        (serde_json::json!(decks).to_string(), stamp.usn),
    )?;
    Ok(())
}

/// Returns the ids of the deck configs whose ease was too low.
fn deck_configs(conn: &Connection) -> Result<Vec<i64>> {
    let mut rows = conn.prepare("select id, config from deck_config")?;
    let rows: Vec<(i64, Vec<u8>)> = rows
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut update = conn.prepare("update deck_config set config = ? where id = ?")?;
    let mut low = Vec::new();
    for (id, config) in rows {
        let mut config = DeckConfig::decode(&config[..]).in_row("deck_config", id)?;
        config.initial_ease /= 100.0;
        if config.initial_ease <= LOWEST_EASE {
            config.initial_ease = DeckConfig::standard().initial_ease;
            low.push(id);
        }
        update.execute((config.encode_to_vec(), id))?;
    }
    Ok(low)
}
