//! Exchanging notetypes, decks, deck configs, tags and settings.

use std::io::{Read, Write};

use rusqlite::Connection;
use serde::Serialize;

use super::{Result, config, deck, deck_config, notetype, pending, tag};
use crate::wire::{
    Usn,
    changes::{self, Change},
    deck::Deck,
    stream::Turn,
};

/// Writes and counts what is new to a client that has seen everything before `min_usn`.
///
/// Call this before [`apply`], so that a client does not get back what it sends. The settings are included when the
/// collection here was changed later than the client's, and count as sent from then on.
/// # Errors
/// When a row cannot be read, or the answer cannot be written.
pub fn send(
    conn: &Connection,
    min_usn: Usn,
    include_config: bool,
    to: &mut impl Write,
) -> Result<usize> {
    let mut turn = Turn::default();
    turn.wait_for(largest_row(conn)?);
    let ids = |table| pending::ids(conn, table, min_usn);
    let mut count = 0;
    to.write_all(br#"{"models":["#)?;
    count += list(to, ids("notetypes")?, |id| notetype::read(conn, id))?;
    to.write_all(br#"],"decks":[["#)?;
    count += list(to, ids("decks")?, |id| deck::read(conn, id).map(Deck::from))?;
    to.write_all(b"],[")?;
    count += list(to, ids("deck_config")?, |id| deck_config::read(conn, id))?;
    to.write_all(br#"]],"tags":["#)?;
    count += list(to, tag::changed(conn, min_usn)?, Ok)?;
    to.write_all(b"]")?;
    if include_config {
        send_config(conn, to)?;
        config::clear_usns(conn)?;
        count += 1;
    }
    to.write_all(b"}")?;
    Ok(count)
}

/// The bytes of the largest row that [`send`] writes, without reading it. An object with parts has several rows, and
/// all of them count.
fn largest_row(conn: &Connection) -> Result<u64> {
    let mut statement = conn.prepare_cached(
        "select max(
            (select ifnull(sum(octet_length(config)), 0) from notetypes),
            (select ifnull(sum(octet_length(config)), 0) from fields),
            (select ifnull(sum(octet_length(config)), 0) from templates),
            (select ifnull(max(octet_length(common) + octet_length(kind)), 0) from decks),
            (select ifnull(max(octet_length(config)), 0) from deck_config),
            (select ifnull(sum(octet_length(tag)), 0) from tags),
            (select ifnull(max(octet_length(val)), 0) from config))",
    )?;
    let largest = statement.query_row([], |row| row.get::<_, i64>(0))?;
    Ok(u64::try_from(largest).unwrap_or(0))
}

fn send_config(conn: &Connection, to: &mut impl Write) -> Result<()> {
    let mut separator = "";
    to.write_all(br#","conf":{"#)?;
    config::each(conn, |key, value| {
        to.write_all(separator.as_bytes())?;
        json(to, &key)?;
        to.write_all(b":")?;
        to.write_all(value.as_str().as_bytes())?;
        separator = ",";
        Ok(())
    })?;
    let mut statement = conn.prepare_cached("select crt from col")?;
    let creation_secs: i64 = statement.query_row([], |row| row.get(0))?;
    Ok(write!(to, "}},\"crt\":{creation_secs}")?)
}

/// Writes one object after the other, so that only one is in memory.
fn list<I, T: Serialize>(
    to: &mut impl Write,
    all: Vec<I>,
    read: impl Fn(I) -> Result<T>,
) -> Result<usize> {
    let count = all.len();
    for (number, one) in all.into_iter().enumerate() {
        if number > 0 {
            to.write_all(b",")?;
        }
        json(to, &read(one)?)?;
    }
    Ok(count)
}

fn json(to: &mut impl Write, value: &impl Serialize) -> Result<()> {
    Ok(serde_json::to_writer(to, value).map_err(std::io::Error::from)?)
}

/// Merges and counts what a client has changed; `usn` is the server's at the start of the sync.
///
/// If both sides have changed an object, the later change counts; within the same second, the client's.
///
/// # Errors
/// When it cannot be read, an object cannot be stored, or a notetype was changed in a way that needs a full sync.
pub fn apply(conn: &Connection, body: impl Read, usn: Usn, now_secs: i64) -> Result<usize> {
    let mut count = 0;
    changes::read(body, |mut change| {
        count += usize::from(change.is_counted());
        change.catch_up(usn);
        merge(conn, change, usn, now_secs)
    })?;
    Ok(count)
}

fn merge(conn: &Connection, change: Change, usn: Usn, now_secs: i64) -> Result<()> {
    match change {
        Change::Notetype(notetype) => notetype::merge(conn, [*notetype], usn, now_secs),
        Change::Deck(deck) => deck::merge(conn, [*deck], usn, now_secs),
        Change::DeckConfig(config) => deck_config::merge(conn, [*config]),
        Change::Tag(tag) => tag::merge(conn, &[tag], usn),
        Change::Settings => config::clear(conn),
        Change::Setting(key, value) => config::set(conn, &key, value.0.as_str(), usn, now_secs),
        Change::Creation(creation_secs) => {
            conn.execute("update col set crt = ?", [creation_secs])?;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::collection::{
        testing::{self, NOW_MS, rows},
        timing,
    };

    const USN: Usn = Usn(5);
    const NOW: i64 = 1_800_000_000;

    fn incoming(changes: Value) -> String {
        let mut body = json!({"models": [], "decks": [[], []], "tags": []});
        let Value::Object(changes) = changes else {
            panic!("no object")
        };
        body.as_object_mut().unwrap().extend(changes);
        json!({ "changes": body }).to_string()
    }

    fn deck(id: i64, name: &str) -> Value {
        json!({
            "id": id, "name": name, "mod": 100, "usn": 5, "collapsed": false, "dyn": 0, "conf": 1,
            "lrnToday": [0, 0], "revToday": [0, 0], "newToday": [0, 0], "timeToday": [0, 0],
        })
    }

    /// What a client would receive.
    fn sent(conn: &Connection, min_usn: i32, include_config: bool) -> Value {
        let mut body = Vec::new();
        send(conn, Usn(min_usn), include_config, &mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    fn collect(conn: &Connection, min_usn: Usn, include_config: bool) -> Result<usize> {
        send(conn, min_usn, include_config, &mut std::io::sink())
    }

    #[test]
    fn a_new_collection_is_sent_as_by_the_reference_server() {
        let mut expected: Value = testing::vector("new_server_applyChanges_reply");
        let conn = testing::collection();
        timing::unbury_if_new_day(&conn, NOW_MS / 1000).unwrap();
        let sent = sent(&conn, 0, true);
        // The only expected differences: fewer and other notetypes, created at another time.
        assert_eq!(sent["models"].as_array().unwrap().len(), 3);
        expected["models"] = sent["models"].clone();
        expected["crt"] = sent["crt"].clone();
        expected["conf"]["curModel"] = json!(NOW_MS);
        assert_eq!(sent, expected);
    }

    #[test]
    fn a_client_that_has_everything_gets_nothing() {
        let sent = sent(&testing::collection(), 1, false);
        assert_eq!(sent, json!({"models": [], "decks": [[], []], "tags": []}));
    }

    #[test]
    fn settings_count_as_sent_only_when_they_are() {
        let conn = testing::collection();
        conn.execute(
            "update config set usn = -1 where KEY in ('curDeck', 'timeLim')",
            [],
        )
        .unwrap();
        let unsent = || rows(&conn, "select KEY from config where usn != 0").len();
        collect(&conn, Usn(0), false).unwrap();
        assert_eq!(unsent(), 2);
        collect(&conn, Usn(0), true).unwrap();
        assert_eq!(unsent(), 0);
    }

    #[test]
    fn sending_changes_no_usn_but_of_settings() {
        let conn = testing::collection();
        let before = rows(
            &conn,
            "select usn from decks union all select usn from notetypes",
        );
        collect(&conn, Usn(0), true).unwrap();
        assert_eq!(
            rows(
                &conn,
                "select usn from decks union all select usn from notetypes"
            ),
            before
        );
    }

    #[test]
    fn every_kind_is_merged() {
        let conn = testing::collection();
        let changes = incoming(json!({
            "models": [{
                "id": 20, "name": "n", "type": 0, "mod": 100, "usn": 5, "sortf": 0, "did": null, "css": "",
                "flds": [], "tmpls": [],
            }],
            "decks": [[deck(21, "d")], [{
                "id": 22, "name": "c", "mod": 100, "usn": 5, "maxTaken": 60, "autoplay": true, "timer": 0,
                "new": {}, "rev": {}, "lapse": {},
            }]],
            "tags": ["t"],
            "crt": 123,
            "conf": {"schedVer": 2, "x": [1.5, null]},
            "unknown": true,
        }));
        apply(&conn, changes.as_bytes(), USN, NOW).unwrap();
        for (table, id, name) in [
            ("notetypes", 20, "n"),
            ("decks", 21, "d"),
            ("deck_config", 22, "c"),
        ] {
            let row = rows(
                &conn,
                &format!("select name, mtime_secs, usn from {table} where id = {id}"),
            );
            assert_eq!(json!(row), json!([[name, 100, 5]]));
        }
        assert_eq!(
            json!(rows(&conn, "select tag, usn from tags")),
            json!([["t", 5]])
        );
        assert_eq!(json!(rows(&conn, "select crt from col")), json!([[123]]));
        let settings = rows(
            &conn,
            "select KEY, usn, mtime_secs, cast(val as text) from config",
        );
        assert_eq!(
            json!(settings),
            json!([["schedVer", 5, NOW, "2"], ["x", 5, NOW, "[1.5,null]"]])
        );
    }

    #[test]
    fn settings_and_creation_time_come_independently() {
        let conn = testing::collection();
        let settings = rows(&conn, "select * from config");
        apply(&conn, incoming(json!({"crt": 123})).as_bytes(), USN, NOW).unwrap();
        assert_eq!(rows(&conn, "select * from config"), settings);
        apply(&conn, incoming(json!({"conf": {}})).as_bytes(), USN, NOW).unwrap();
        assert!(rows(&conn, "select * from config").is_empty());
        assert_eq!(json!(rows(&conn, "select crt from col")), json!([[123]]));
    }

    #[test]
    fn what_was_merged_is_not_sent_to_its_sender_but_to_the_next_client() {
        let conn = testing::collection();
        let before = collect(&conn, USN, false).unwrap();
        apply(
            &conn,
            incoming(json!({"decks": [[deck(21, "d")], []]})).as_bytes(),
            USN,
            NOW,
        )
        .unwrap();
        assert_eq!(before, 0);
        assert_eq!(sent(&conn, 5, false)["decks"][0][0]["name"], json!("d"));
        assert_eq!(sent(&conn, 6, false)["decks"][0], json!([]));
    }

    #[test]
    fn an_undecodable_setting_stops_only_a_sync_that_would_send_it() {
        let conn = testing::collection();
        conn.execute("update config set val = x'00' where KEY = 'curDeck'", [])
            .unwrap();
        assert!(collect(&conn, Usn(0), true).is_err());
        assert!(collect(&conn, Usn(0), false).is_ok());
    }
}
