//! Values that every sync needs. A wrong one is found when the file arrives; otherwise each later sync would fail.

use rusqlite::{Connection, OptionalExtension};

use crate::collection::sanity::TABLES_WITH_USN;

/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;
/// Far below the largest number, since each sync adds one.
const MAX_COUNTER: i64 = 2_000_000_000;

/// The first value that this server or Anki could not work with, as the rest of a sentence that begins with "the
/// collection". Columns that are read tolerantly are not checked, nor are rows that would fail alone.
pub fn wrong_value(conn: &Connection) -> rusqlite::Result<Option<String>> {
    if let Some(wrong) = wrong_value_in_col(conn)? {
        return Ok(Some(wrong));
    }
    for table in TABLES_WITH_USN {
        // `usn` decides which rows a sync reads; the other columns are read with each of these rows.
        let condition = match table {
            "graves" => "or typeof(oid) != 'integer' or type not in (0, 1, 2)",
            "tags" => "or typeof(tag) != 'text'",
            // Read at the start of every sync.
            "cards" => "or queue in (-2, -3) and typeof(type) != 'integer'",
            _ => "",
        };
        let (min, max) = (i32::MIN, i32::MAX);
        let of_usn = format!("(typeof(usn) != 'integer' or usn not between {min} and {max})");
        let wrong = format!("select {of_usn} from {table} where {of_usn} {condition} limit 1");
        let of_usn = conn
            .query_row(&wrong, [], |row| row.get::<_, bool>(0))
            .optional()?;
        if let Some(of_usn) = of_usn {
            let column = if of_usn { "usn" } else { other_column(table) };
            return Ok(Some(format!(
                "has a value of the wrong type or size in {table}.{column}"
            )));
        }
    }
    Ok(None)
}

fn other_column(table: &str) -> &'static str {
    if table == "tags" { "tag" } else { "type" }
}

/// The same for the one row of `col`, whose columns are the same in all schemas.
pub fn wrong_value_in_col(conn: &Connection) -> rusqlite::Result<Option<String>> {
    let count: i64 = conn.query_row("select count(*) from col", [], |row| row.get(0))?;
    if count != 1 {
        return Ok(Some(format!(
            "has {count} rows in the table col instead of one"
        )));
    }
    let (seconds, millis) = (LAST_SECOND, LAST_SECOND * 1000);
    let any = i64::MIN..=i64::MAX;
    for (column, range) in [
        ("crt", -seconds..=seconds),
        ("mod", -millis..=millis),
        ("scm", -millis..=millis),
        ("ver", any.clone()),
        ("dty", any.clone()),
        ("usn", 0..=MAX_COUNTER),
        ("ls", any),
    ] {
        let value = format!("select iif(typeof({column}) = 'integer', {column}, null) from col");
        let value: Option<i64> = conn.query_row(&value, [], |row| row.get(0))?;
        if !value.is_some_and(|value| range.contains(&value)) {
            return Ok(Some(format!(
                "has a value of the wrong type or size in col.{column}"
            )));
        }
    }
    Ok(None)
}
