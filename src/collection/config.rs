//! The collection's settings: keys with JSON values.

use rusqlite::{Connection, OptionalExtension};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Result;
use super::error::InRow;
use crate::wire::{Malformed, Unknown, Usn};

/// A setting, or none if it is absent or of another type.
///
/// # Errors
///
/// When the table cannot be read.
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

/// Changes one setting. A value that it has already is left alone, with its USN.
pub(super) fn set(
    conn: &Connection,
    key: &str,
    value: &Value,
    usn: Usn,
    now_secs: i64,
) -> Result<()> {
    let mut statement = conn.prepare_cached(
        "insert into config (KEY, usn, mtime_secs, val) values (?, ?, ?, ?)
         on conflict (KEY) do update set usn = excluded.usn, mtime_secs = excluded.mtime_secs, val = excluded.val
         where val != excluded.val",
    )?;
    statement.execute((key, usn, now_secs, value.to_string().into_bytes()))?;
    Ok(())
}

/// All settings.
pub(super) fn all(conn: &Connection) -> Result<Unknown> {
    let mut statement = conn.prepare("select KEY, val from config")?;
    let mut rows = statement.query([])?;
    let mut all = Unknown::new();
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        let value = row.get_ref(1)?.as_bytes().in_row("config", &key)?;
        let value = serde_json::from_slice(value)
            .map_err(Malformed::from)
            .in_row("config", &key)?;
        all.insert(key, value);
    }
    Ok(all)
}

/// Marks all settings as sent.
pub(super) fn clear_usns(conn: &Connection) -> Result<()> {
    conn.execute("update config set usn = 0 where usn != 0", [])?;
    Ok(())
}

/// Puts these settings in the place of all.
pub(super) fn replace(
    conn: &Connection,
    settings: &Unknown,
    usn: Usn,
    now_secs: i64,
) -> Result<()> {
    conn.execute("delete from config", [])?;
    for (key, value) in settings {
        set(conn, key, value, usn, now_secs)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
        set(&conn, "collapseTime", &json!(1200), Usn(7), 99).unwrap();
        assert_eq!(row(&conn, "collapseTime"), json!([[0, 0, "1200"]]));
        set(&conn, "collapseTime", &json!(1201), Usn(7), 99).unwrap();
        assert_eq!(row(&conn, "collapseTime"), json!([[7, 99, "1201"]]));
        set(&conn, "new", &json!({"a": null}), Usn(8), 100).unwrap();
        assert_eq!(row(&conn, "new"), json!([[8, 100, r#"{"a":null}"#]]));
    }

    #[test]
    fn replacing_removes_what_is_not_named() {
        let conn = testing::collection();
        let Value::Object(settings) = json!({"schedVer": 2, "x": null}) else {
            panic!("no object")
        };
        replace(&conn, &settings, Usn(7), 99).unwrap();
        let found = rows(
            &conn,
            "select KEY, usn, mtime_secs, cast(val as text), typeof(val) from config",
        );
        assert_eq!(
            json!(found),
            json!([
                ["schedVer", 7, 99, "2", "blob"],
                ["x", 7, 99, "null", "blob"]
            ])
        );
        assert_eq!(all(&conn).unwrap(), settings);
    }

    #[test]
    fn a_setting_that_is_no_json_cannot_be_sent() {
        let conn = testing::collection();
        conn.execute(
            "update config set val = cast('{' as blob) where KEY = 'curDeck'",
            [],
        )
        .unwrap();
        let err = all(&conn).unwrap_err().to_string();
        assert!(
            err.starts_with("row curDeck of config cannot be read: EOF"),
            "{err}"
        );
    }
}
