//! Exchanging notetypes, decks, deck configs, tags and settings.

use rusqlite::Connection;

use super::{Result, config, deck, deck_config, notetype, tag};
use crate::wire::Usn;
use crate::wire::changes::Changes;

/// Collects what is new to a client that has seen everything before `min_usn`.
///
/// This comes before [`apply`], so that a client does not get back what it sends. The settings go along when the
/// collection here was changed later than the client's, and count as sent from then on.
///
/// # Errors
///
/// When a row cannot be read.
pub fn collect(conn: &Connection, min_usn: Usn, include_config: bool) -> Result<Changes> {
    let mut changes = Changes {
        notetypes: notetype::changed(conn, min_usn)?,
        decks: (
            deck::changed(conn, min_usn)?,
            deck_config::changed(conn, min_usn)?,
        ),
        tags: tag::changed(conn, min_usn)?,
        config: None,
        creation_secs: None,
    };
    if include_config {
        changes.config = Some(config::all(conn)?);
        changes.creation_secs = Some(conn.query_row("select crt from col", [], |row| row.get(0))?);
        config::clear_usns(conn)?;
    }
    Ok(changes)
}

/// Merges what a client has changed; `usn` is the server's at the start of the sync.
///
/// Of an object that both have changed, the later one prevails, and of two from the same second the client's.
///
/// # Errors
///
/// When an object cannot be stored, or a notetype was changed in a way that needs a full sync.
pub fn apply(conn: &Connection, changes: Changes, usn: Usn, now_secs: i64) -> Result<()> {
    let (decks, deck_configs) = changes.decks;
    notetype::merge(conn, changes.notetypes, usn, now_secs)?;
    deck::merge(conn, decks, usn, now_secs)?;
    deck_config::merge(conn, deck_configs)?;
    tag::merge(conn, &changes.tags, usn)?;
    if let Some(creation_secs) = changes.creation_secs {
        conn.execute("update col set crt = ?", [creation_secs])?;
    }
    if let Some(settings) = changes.config {
        config::replace(conn, &settings, usn, now_secs)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::collection::testing::{self, NOW_MS, rows};
    use crate::collection::timing;
    use crate::wire::parse;

    const USN: Usn = Usn(5);
    const NOW: i64 = 1_800_000_000;

    fn incoming(changes: Value) -> Changes {
        let mut body = json!({"models": [], "decks": [[], []], "tags": []});
        let Value::Object(changes) = changes else {
            panic!("no object")
        };
        body.as_object_mut().unwrap().extend(changes);
        parse(body.to_string().as_bytes()).unwrap()
    }

    fn deck(id: i64, name: &str) -> Value {
        json!({
            "id": id, "name": name, "mod": 100, "usn": 5, "collapsed": false, "dyn": 0, "conf": 1,
            "lrnToday": [0, 0], "revToday": [0, 0], "newToday": [0, 0], "timeToday": [0, 0],
        })
    }

    /// What a client would get, as it arrives there.
    fn sent(conn: &Connection, min_usn: i32, include_config: bool) -> Value {
        testing::as_sent(&collect(conn, Usn(min_usn), include_config).unwrap())
    }

    #[test]
    fn a_new_collection_is_sent_as_by_the_reference_server() {
        let mut expected: Value = testing::vector("new_server_applyChanges_reply");
        let conn = testing::collection();
        timing::unbury_if_new_day(&conn, NOW_MS / 1000).unwrap();
        let sent = sent(&conn, 0, true);
        // Fewer and other notetypes, created at another time, are the only differences that are meant to be.
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
        apply(&conn, changes, USN, NOW).unwrap();
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
        apply(&conn, incoming(json!({"crt": 123})), USN, NOW).unwrap();
        assert_eq!(rows(&conn, "select * from config"), settings);
        apply(&conn, incoming(json!({"conf": {}})), USN, NOW).unwrap();
        assert!(rows(&conn, "select * from config").is_empty());
        assert_eq!(json!(rows(&conn, "select crt from col")), json!([[123]]));
    }

    #[test]
    fn what_was_merged_is_not_sent_to_its_sender_but_to_the_next_client() {
        let conn = testing::collection();
        let before = collect(&conn, USN, false).unwrap();
        apply(
            &conn,
            incoming(json!({"decks": [[deck(21, "d")], []]})),
            USN,
            NOW,
        )
        .unwrap();
        assert_eq!(before, Changes::default());
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
