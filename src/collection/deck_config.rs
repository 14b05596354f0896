//! Deck configs; people know them as deck options.

mod convert;
mod range;
#[cfg(test)]
mod tests;

use prost::Message;
use rusqlite::{Connection, OptionalExtension};

pub(super) use convert::to_row;

use super::{Error, Result, error::InRow, proto};
use crate::wire::deck_config::DeckConfig;

/// Stores the deck configs that are not older than the ones here.
pub(super) fn merge(
    conn: &Connection,
    configs: impl IntoIterator<Item = DeckConfig>,
) -> Result<()> {
    for config in configs {
        if config.id == 0 {
            return Err(Error::ZeroId("deck config"));
        }
        if mtime_of(conn, config.id)?.is_none_or(|mtime_secs| mtime_secs <= config.mtime_secs) {
            store(conn, config)?;
        }
    }
    Ok(())
}

fn mtime_of(conn: &Connection, id: i64) -> Result<Option<i64>> {
    let mut statement = conn.prepare_cached("select mtime_secs from deck_config where id = ?")?;
    Ok(statement.query_row([id], |row| row.get(0)).optional()?)
}

/// Replaces the deck config of this id.
pub(super) fn store(conn: &Connection, config: DeckConfig) -> Result<()> {
    let DeckConfig {
        id,
        mtime_secs,
        usn,
        ..
    } = config;
    let (name, config) = to_row(config);
    let mut statement = conn.prepare_cached(
        "insert or replace into deck_config (id, name, mtime_secs, usn, config) values (?, ?, ?, ?, ?)",
    )?;
    statement.execute((id, name, mtime_secs, usn, config.encode_to_vec()))?;
    Ok(())
}

/// One deck config. Values out of range are replaced.
pub(super) fn read(conn: &Connection, id: i64) -> Result<DeckConfig> {
    let mut statement =
        conn.prepare_cached("select name, mtime_secs, usn, config from deck_config where id = ?")?;
    let row = statement.query_row([id], |row| {
        Ok((
            row.get(0)?,
            row.get(1)?,
            row.get(2)?,
            row.get::<_, Vec<u8>>(3)?,
        ))
    });
    let (name, mtime_secs, usn, config) = row.in_row("deck_config", id)?;
    let mut config = proto::DeckConfig::decode(&config[..]).in_row("deck_config", id)?;
    range::restore(&mut config);
    Ok(DeckConfig {
        id,
        mtime_secs,
        name,
        usn,
        ..convert::from_config(config)
    })
}
