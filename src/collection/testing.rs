//! What the tests of this module share.

use rusqlite::Connection;
use serde::de::DeserializeOwned;

use super::unicase;

/// The recorded cases in `tests/vectors/<name>.json`.
pub fn vector<T: DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A moment in September 2023.
pub const NOW_MS: i64 = 1_695_000_000_123;

/// An empty database that knows the collation.
pub fn database() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    unicase::register(&conn).unwrap();
    conn
}

/// A new collection in memory.
pub fn collection() -> Connection {
    let mut conn = database();
    super::create(&mut conn, NOW_MS).unwrap();
    conn
}

/// All rows of a query, each column as JSON, blobs in hex.
pub fn rows(conn: &Connection, sql: &str) -> Vec<Vec<serde_json::Value>> {
    use rusqlite::types::ValueRef;
    use serde_json::Value;
    let mut statement = conn.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let value = |i| {
            Ok(match row.get_ref(i)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(int) => int.into(),
                ValueRef::Real(real) => real.into(),
                ValueRef::Text(text) => String::from_utf8(text.to_vec()).unwrap().into(),
                ValueRef::Blob(blob) => hex::encode(blob).into(),
            })
        };
        (0..columns).map(value).collect()
    });
    rows.unwrap().map(Result::unwrap).collect()
}
