//! The JSON of schema 11, in the one row of `col`. It holds everything but notes, cards and the review log.

use std::{collections::BTreeMap, fmt::Display};

use rusqlite::Connection;
use serde::{Serialize, de::DeserializeOwned};

use super::{Error, Result};
use crate::wire::{Json, Malformed, Unknown};

/// Each value takes some 40 bytes in memory, even if it is short in the file. A deck has about 25, so this allows
/// 80,000 decks.
const MOST_VALUES: usize = 2_000_000;

/// The object in a column. If a key is repeated, the last value counts.
pub(super) fn object(conn: &Connection, column: &'static str) -> Result<Unknown> {
    let json: String =
        conn.query_row(&format!("select {column} from col"), [], |row| row.get(0))?;
    let values = json.bytes().filter(|byte| b",[{".contains(byte)).count();
    if values > MOST_VALUES {
        return Err(unreadable(
            column,
            "it has more values than any client writes",
        ));
    }
    serde_json::from_str(&json).map_err(|error| unreadable(column, Malformed::from(error)))
}

/// The objects in a column, by id.
pub(super) fn objects<T: DeserializeOwned>(
    conn: &Connection,
    column: &'static str,
) -> Result<BTreeMap<i64, T>> {
    let read = |(key, value): (String, Json)| {
        let id = key
            .parse()
            .map_err(|_| unreadable(column, "a key is no id"))?;
        let read = serde_json::from_str(value.as_str()).map_err(Malformed::from);
        Ok((
            id,
            read.map_err(|error| unreadable(column, format!("{key}: {error}")))?,
        ))
    };
    object(conn, column)?.into_iter().map(read).collect()
}

pub(super) fn unreadable(column: &'static str, reason: impl Display) -> Error {
    Error::Legacy {
        column,
        reason: reason.to_string(),
    }
}

/// Writes a column.
pub(super) fn write(conn: &Connection, column: &'static str, value: &impl Serialize) -> Result<()> {
    let json = serde_json::to_string(value).map_err(|error| unreadable(column, error))?;
    conn.execute(&format!("update col set {column} = ?"), [json])?;
    Ok(())
}

/// Empties a column whose content now has its own tables.
pub(super) fn clear(conn: &Connection, column: &'static str) -> Result<()> {
    conn.execute(&format!("update col set {column} = ''"), [])?;
    Ok(())
}
