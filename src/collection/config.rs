//! The collection's settings: keys with JSON values.

use rusqlite::{Connection, OptionalExtension};
use serde::de::DeserializeOwned;

use super::{Result, error::InRow};
use crate::wire::{Json, Malformed, Unknown, Usn};

/// A setting, or none if it is absent or of another type.
pub fn get<T: DeserializeOwned>(conn: &Connection, key: &str) -> Result<Option<T>> {
    let mut statement = conn.prepare_cached("select val from config where KEY = ?")?;
    let value = statement
        .query_row([key], |row| {
            Ok(row.get_ref(0)?.as_bytes().map(<[u8]>::to_vec).ok())
        })
        .optional()?;
    Ok(value
        .flatten()
        .and_then(|value| serde_json::from_slice(&value).ok()))
}

/// Changes one setting. If it has this value already, its USN stays.
pub(super) fn set(conn: &Connection, key: &str, json: &str, usn: Usn, now_secs: i64) -> Result<()> {
    let mut statement = conn.prepare_cached(
        "insert into config (KEY, usn, mtime_secs, val) values (?, ?, ?, ?)
         on conflict (KEY) do update set usn = excluded.usn, mtime_secs = excluded.mtime_secs, val = excluded.val
         where val != excluded.val",
    )?;
    statement.execute((key, usn, now_secs, json.as_bytes()))?;
    Ok(())
}

/// All settings, one after the other, sorted by key.
pub(super) fn each(
    conn: &Connection,
    mut each: impl FnMut(String, Json) -> Result<()>,
) -> Result<()> {
    let mut statement = conn.prepare_cached("select KEY, val from config order by KEY")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        let value = row.get_ref(1)?.as_bytes().in_row("config", &key)?;
        let value = serde_json::from_slice(value)
            .map_err(Malformed::from)
            .in_row("config", &key)?;
        each(key, value)?;
    }
    Ok(())
}

/// All settings.
pub(super) fn all(conn: &Connection) -> Result<Unknown> {
    let mut all = Unknown::new();
    each(conn, |key, value| {
        all.insert(key, value);
        Ok(())
    })?;
    Ok(all)
}

/// Marks all settings as sent.
pub(super) fn clear_usns(conn: &Connection) -> Result<()> {
    conn.prepare_cached("update config set usn = 0 where usn != 0")?
        .execute([])?;
    Ok(())
}

/// Removes all settings before others are stored.
pub(super) fn clear(conn: &Connection) -> Result<()> {
    conn.execute("delete from config", [])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::collection::testing::{self, rows};

    fn row(conn: &Connection, key: &str) -> Value {
        let sql =
            format!("select usn, mtime_secs, cast(val as text) from config where KEY = '{key}'");
        json!(rows(conn, &sql))
    }

    #[test]
    fn a_setting_of_another_type_counts_as_absent() {
        let conn = testing::collection();
        assert_eq!(get::<i64>(&conn, "collapseTime").unwrap(), Some(1200));
        assert_eq!(get::<bool>(&conn, "collapseTime").unwrap(), None);
        assert_eq!(get::<i64>(&conn, "missing").unwrap(), None);
        conn.execute(
            "update config set val = cast('1200' as text) where KEY = 'collapseTime'",
            [],
        )
        .unwrap();
        assert_eq!(get::<i64>(&conn, "collapseTime").unwrap(), Some(1200));
        conn.execute(
            "update config set val = x'ff' where KEY = 'collapseTime'",
            [],
        )
        .unwrap();
        assert_eq!(get::<i64>(&conn, "collapseTime").unwrap(), None);
        conn.execute("update config set val = 5.5 where KEY = 'collapseTime'", [])
            .unwrap();
        assert_eq!(get::<i64>(&conn, "collapseTime").unwrap(), None);
    }

    #[test]
    fn a_changed_setting_gets_usn_and_time_and_an_unchanged_one_does_not() {
        let conn = testing::collection();
        set(&conn, "collapseTime", "1200", Usn(7), 99).unwrap();
        assert_eq!(row(&conn, "collapseTime"), json!([[0, 0, "1200"]]));
        set(&conn, "collapseTime", "1201", Usn(7), 99).unwrap();
        assert_eq!(row(&conn, "collapseTime"), json!([[7, 99, "1201"]]));
        set(&conn, "new", r#"{"a":null}"#, Usn(8), 100).unwrap();
        assert_eq!(row(&conn, "new"), json!([[8, 100, r#"{"a":null}"#]]));
    }

    #[test]
    fn what_was_cleared_is_gone_and_all_is_what_is_there() {
        let conn = testing::collection();
        clear(&conn).unwrap();
        set(&conn, "x", "null", Usn(7), 99).unwrap();
        set(&conn, "schedVer", "2", Usn(7), 99).unwrap();
        let found = rows(
            &conn,
            "select KEY, usn, mtime_secs, cast(val as text), typeof(val) from config order by 1",
        );
        assert_eq!(
            json!(found),
            json!([
                ["schedVer", 7, 99, "2", "blob"],
                ["x", 7, 99, "null", "blob"]
            ])
        );
        let all = serde_json::to_string(&all(&conn).unwrap()).unwrap();
        assert_eq!(all, r#"{"schedVer":2,"x":null}"#);
    }

    #[test]
    fn a_setting_that_is_no_json_cannot_be_sent() {
        let conn = testing::collection();
        conn.execute(
            "update config set val = cast('{' as blob) where KEY = 'curDeck'",
            [],
        )
        .unwrap();
        let error = all(&conn).unwrap_err().to_string();
        assert!(
            error.starts_with("row curDeck of config cannot be read: EOF"),
            "{error}"
        );
    }
}
