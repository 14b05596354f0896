//! Helpers for the tests of this module.

use prost::Message;
use rusqlite::{Connection, types::ValueRef};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::unicase;

/// The recorded cases in `tests/vectors/<name>.json`.
pub fn vector<T: DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A moment in September 2023.
pub const NOW_MS: i64 = 1_695_000_000_123;

/// An empty database with the collation.
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
pub fn rows(conn: &Connection, sql: &str) -> Vec<Vec<Value>> {
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

/// An object that was sent to the reference server: whether it was accepted, stored as what, and sent back as what.
#[derive(Deserialize)]
pub struct ObjectCase {
    pub label: String,
    pub input: Value,
    pub accepted: bool,
    pub row: Option<Value>,
    #[serde(default)]
    pub output: Value,
}

/// A card or review log entry that was sent to the reference server.
#[derive(Deserialize)]
pub struct TupleCase {
    pub label: String,
    pub wire: Value,
    pub accepted: bool,
    pub stored: Value,
    pub out: Value,
}

/// A blob in hex, and the unknown keys apart, since their order may vary.
pub fn without_other<M: Message + Default>(
    hex: &Value,
    other: fn(&mut M) -> &mut Vec<u8>,
) -> (String, Value) {
    let mut message = M::decode(&hex::decode(hex.as_str().unwrap()).unwrap()[..]).unwrap();
    let keys = std::mem::take(other(&mut message));
    let keys = if keys.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&keys).unwrap()
    };
    (hex::encode(message.encode_to_vec()), keys)
}

/// An object as a client sees it. Only the text shows a fraction with its exact digits.
pub fn as_sent(object: &impl serde::Serialize) -> Value {
    serde_json::from_str(&serde_json::to_string(object).unwrap()).unwrap()
}

/// A copy of a recorded file in memory.
pub fn file(name: &str) -> Connection {
    let path = format!("{}/tests/vectors/{name}.anki2", env!("CARGO_MANIFEST_DIR"));
    let mut conn = database();
    // Some files are in WAL mode: SQLite would create the log beside the original.
    let source = tempfile::tempdir().unwrap();
    let copy = source.path().join("collection.anki2");
    std::fs::copy(path, &copy).unwrap();
    let source = Connection::open(&copy).unwrap();
    rusqlite::backup::Backup::new(&source, &mut conn)
        .unwrap()
        .run_to_completion(1000, std::time::Duration::ZERO, None)
        .unwrap();
    conn
}

/// Kind, name and SQL of all tables and indexes, without statistics. The SQL is normalised.
pub fn schema(conn: &Connection) -> std::collections::BTreeMap<(String, String), String> {
    let mut all = conn
        .prepare("select type, name, sql from sqlite_schema where sql is not null and name not like 'sqlite_%'")
        .unwrap();
    all.query_map([], |row| {
        Ok((
            (row.get(0)?, row.get(1)?),
            plain_sql(&row.get::<_, String>(2)?),
        ))
    })
    .unwrap()
    .map(Result::unwrap)
    .collect()
}

/// SQL without upper case, white space and quotes.
pub fn plain_sql(sql: &str) -> String {
    sql.to_lowercase()
        .replace(|char: char| char.is_whitespace() || char == '"', "")
}
