//! Schema 14: deck configs, tags and settings get tables.

use rusqlite::Connection;

use crate::{
    collection::{Result, config, legacy, schema},
    wire::{Usn, deck_config::DeckConfig},
};

const TAG_TABLE: &str = "
create table tags (
    tag text not null primary key collate unicase, usn integer not null
) without rowid;
";

pub(super) fn to_tables(conn: &Connection) -> Result<()> {
    conn.execute_batch(schema::CONFIG_TABLES)?;
    conn.execute_batch(TAG_TABLE)?;
    deck_configs(conn)?;
    tags(conn)?;
    settings(conn)
}

/// In this schema, the deck configs are still JSON.
fn deck_configs(conn: &Connection) -> Result<()> {
    let mut insert = conn.prepare(
        "insert into deck_config (id, name, mtime_secs, usn, config) values (?, ?, ?, ?, ?)",
    )?;
    for (id, mut config) in legacy::objects::<DeckConfig>(conn, "dconf")? {
        // Some clients wrote another id inside; decks refer to the key.
        config.id = id;
        let json =
            serde_json::to_vec(&config).map_err(|error| legacy::unreadable("dconf", error))?;
        insert.execute((id, config.name, config.mtime_secs, config.usn, json))?;
    }
    legacy::clear(conn, "dconf")
}

/// Tags that differ only in case become one.
fn tags(conn: &Connection) -> Result<()> {
    let mut insert = conn.prepare("insert or ignore into tags (tag, usn) values (?, ?)")?;
    for (tag, usn) in legacy::object(conn, "tags")? {
        let usn: Usn = serde_json::from_str(usn.as_str())
            .map_err(|_| legacy::unreadable("tags", "a tag has no USN"))?;
        insert.execute((tag, usn))?;
    }
    legacy::clear(conn, "tags")
}

fn settings(conn: &Connection) -> Result<()> {
    config::clear(conn)?;
    for (key, value) in legacy::object(conn, "conf")? {
        config::set(conn, &key, value.as_str(), Usn(0), 0)?;
    }
    legacy::clear(conn, "conf")
}
