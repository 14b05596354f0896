//! Rebuilds tables of Anki's that another program has rewritten, with all their rows.
//!
//! Without its key, a table accepts the same note twice, and every sync that changes that note then
//! fails.

use rusqlite::{Connection, OptionalExtension, ffi::ErrorCode, types::Value};

use super::{of_anki, shown};
use crate::collection::{schema, unicase};

/// Why a table could not be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Two rows of the table have this id. Only the user knows which one is right.
    #[error("has the id {id} more than once in the table {table}")]
    Repeated {
        /// The table.
        table: &'static str,
        /// The id.
        id: String,
    },
    /// A row lacks a value that every row must have.
    #[error("has a row in the table {0} that lacks a required value")]
    Incomplete(&'static str),
    /// As SQLite says.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

const NEW: &str = "anki_syncd_new_table";

/// The columns that a rebuild copies. A tag's other columns get the values of a new tag.
pub(super) fn taken(table: &str) -> &'static [&'static str] {
    let declared = schema::TABLES.iter().find(|(name, _)| *name == table);
    match declared {
        Some(("tags", _)) => &["tag", "usn"],
        Some((_, columns)) => columns,
        None => &[],
    }
}

/// Rebuilds these tables in one transaction. Nothing else changes, and no device notices.
///
/// # Errors
/// [`RebuildError`]; nothing has changed then.
pub fn rebuild(conn: &Connection, tables: &[&str]) -> Result<(), RebuildError> {
    let model = Connection::open_in_memory()?;
    unicase::register(&model)?;
    for part in schema::PARTS {
        model.execute_batch(part)?;
    }
    let transaction = conn.unchecked_transaction()?;
    for table in tables.iter().filter_map(|table| of_anki(table)) {
        one(&transaction, &model, table)?;
    }
    Ok(transaction.commit()?)
}

/// The new table gets the name last, so that references by name stay valid.
fn one(conn: &Connection, model: &Connection, table: &'static str) -> Result<(), RebuildError> {
    if let Some(obstacle) = obstacle_in(conn, table)? {
        return Err(obstacle);
    }
    let mut definitions = model.prepare(
        "select sql from sqlite_schema where tbl_name = ? and sql is not null order by type desc",
    )?;
    let mut definitions = definitions.query_map([table], |row| row.get::<_, String>(0))?;
    if let Some(definition) = definitions.next() {
        conn.execute(&definition?.replacen(table, NEW, 1), [])?;
    }
    copy(conn, table)?;
    conn.execute(&format!("drop table {table}"), [])?;
    conn.execute(&format!("alter table {NEW} rename to {table}"), [])?;
    for definition in definitions {
        conn.execute(&definition?, [])?;
    }
    Ok(())
}

fn copy(conn: &Connection, table: &'static str) -> Result<(), RebuildError> {
    let columns = taken(table).join(", ");
    let copied = match table {
        "tags" => {
            let rest = [or(conn, "collapsed", "1")?, or(conn, "config", "null")?].join(", ");
            format!(
                "insert or ignore into {NEW} ({columns}, collapsed, config) select {columns}, {rest} from tags"
            )
        }
        // The same deletion twice counts once.
        "graves" => format!("insert or ignore into {NEW} ({columns}) select {columns} from graves"),
        _ => format!("insert into {NEW} ({columns}) select {columns} from {table}"),
    };
    match conn.execute(&copied, []) {
        Ok(_) => Ok(()),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch) => {
                Err(RebuildError::Incomplete(table))
            }
            _ => Err(error.into()),
        },
    }
}

/// This column of tags, if the file has it.
fn or<'a>(conn: &Connection, column: &'a str, otherwise: &'a str) -> rusqlite::Result<&'a str> {
    let has = "select exists (select 1 from pragma_table_info(?) where name = ? collate nocase)";
    let has: bool = conn.query_row(has, ["tags", column], |row| row.get(0))?;
    Ok(if has { column } else { otherwise })
}

/// Why a table cannot be rebuilt, as the rest of a sentence that begins with "the collection".
pub fn obstacle(conn: &Connection, table: &'static str) -> rusqlite::Result<Option<String>> {
    let obstacle = obstacle_in(conn, table)?;
    Ok(obstacle.map(|obstacle| obstacle.to_string()))
}

fn obstacle_in(conn: &Connection, table: &'static str) -> rusqlite::Result<Option<RebuildError>> {
    // Numbers may be stored as texts.
    let (key, of_number) = match table {
        "tags" | "graves" => return Ok(None),
        "config" => ("KEY", "+KEY collate binary"),
        "fields" | "templates" => ("ntid", "cast(ntid as integer), cast(ord as integer)"),
        _ => ("id", "cast(id as integer)"),
    };
    let is_missing = format!("select exists (select 1 from {table} where {key} is null)");
    if conn.query_row(&is_missing, [], |row| row.get(0))? {
        return Ok(Some(RebuildError::Incomplete(table)));
    }
    let twice =
        format!("select {key} from {table} group by {of_number} having count(*) > 1 limit 1");
    let id = conn
        .query_row(&twice, [], |row| row.get::<_, Value>(0))
        .optional()?;
    Ok(id.map(|id| RebuildError::Repeated {
        table,
        id: match id {
            Value::Integer(id) => id.to_string(),
            Value::Text(text) => shown(&text),
            other => format!("{other:?}"),
        },
    }))
}
