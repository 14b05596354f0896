use serde_json::{Value, json};

use super::*;
use crate::{
    collection::{
        pending,
        testing::{self, ObjectCase, rows, without_other},
    },
    wire::{Usn, parse},
};

/// What is new to a client that has seen everything before `min_usn`.
fn changed(conn: &Connection, min_usn: Usn) -> Result<Vec<DeckConfig>> {
    let ids = pending::ids(conn, "deck_config", min_usn)?;
    ids.into_iter().map(|id| read(conn, id)).collect()
}

/// Parses and merges a deck config; either may refuse it.
fn merge_one(
    conn: &Connection,
    json: &Value,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    Ok(merge(conn, vec![parse(json.to_string().as_bytes())?])?)
}

#[test]
fn deck_configs_are_refused_stored_and_sent_as_by_the_reference_server() {
    let cases: Vec<ObjectCase> = testing::vector("deck_config");
    assert_eq!(cases.len(), 90);
    for ObjectCase {
        label,
        input,
        accepted,
        row,
        output,
    } in cases
    {
        let conn = testing::collection();
        let merged = merge_one(&conn, &input);
        assert_eq!(merged.is_ok(), accepted, "{label}: {merged:?}");
        if !accepted {
            continue;
        }
        let row = row.unwrap();
        let found = rows(
            &conn,
            &format!("select * from deck_config where id = {}", row["id"]),
        )
        .concat();
        assert_eq!(found[1], row["name"], "{label}");
        assert_eq!(found[2], row["mtime_secs"], "{label}");
        assert_eq!(found[3], row["usn"], "{label}");
        let blob =
            |hex: &Value| without_other::<proto::DeckConfig>(hex, |config| &mut config.other);
        assert_eq!(blob(&found[4]), blob(&row["config_hex"]), "{label}");
        let sent = changed(&conn, Usn(1)).unwrap();
        assert_eq!(sent.len(), 1, "{label}");
        assert_eq!(testing::as_sent(&sent[0]), output, "{label}");
    }
}

fn simple(id: i64, name: &str, mtime_secs: i64) -> Value {
    json!({
        "id": id, "name": name, "mod": mtime_secs, "usn": 5, "maxTaken": 60, "autoplay": true, "timer": 0,
        "new": {}, "rev": {}, "lapse": {},
    })
}

fn names(conn: &Connection) -> Value {
    json!(rows(
        conn,
        "select name, mtime_secs, usn from deck_config where id > 1 order by id"
    ))
}

#[test]
fn a_deck_config_gives_way_unless_it_was_changed_later() {
    let conn = testing::collection();
    merge_one(&conn, &simple(2, "first", 100)).unwrap();
    merge_one(&conn, &simple(2, "older", 99)).unwrap();
    assert_eq!(names(&conn), json!([["first", 100, 5]]));
    merge_one(&conn, &simple(2, "same second", 100)).unwrap();
    assert_eq!(names(&conn), json!([["same second", 100, 5]]));
    merge_one(&conn, &simple(2, "later", 101)).unwrap();
    assert_eq!(names(&conn), json!([["later", 101, 5]]));
}

#[test]
fn names_may_repeat() {
    let conn = testing::collection();
    merge_one(&conn, &simple(2, "a", 100)).unwrap();
    merge_one(&conn, &simple(3, "a", 100)).unwrap();
    assert_eq!(names(&conn), json!([["a", 100, 5], ["a", 100, 5]]));
}

#[test]
fn id_zero_is_refused() {
    let conn = testing::collection();
    let error = merge_one(&conn, &simple(0, "a", 100)).unwrap_err();
    assert_eq!(error.to_string(), "a deck config has the id 0");
}

#[test]
fn a_blob_that_cannot_be_decoded_cannot_be_sent() {
    let conn = testing::collection();
    conn.execute("update deck_config set config = x'ff'", [])
        .unwrap();
    let error = changed(&conn, Usn(0)).unwrap_err().to_string();
    assert!(
        error.starts_with("row 1 of deck_config cannot be read: failed to decode"),
        "{error}"
    );
}

#[test]
fn numbers_of_newer_clients_are_shown_as_ones_that_all_know() {
    let conn = testing::collection();
    let config = proto::DeckConfig {
        question_action: 2,
        answer_action: 9,
        leech_action: 7,
        new_card_insert_order: 7,
        ..proto::DeckConfig::standard()
    };
    conn.execute(
        "update deck_config set config = ?",
        [config.encode_to_vec()],
    )
    .unwrap();
    let sent = serde_json::to_value(read(&conn, 1).unwrap()).unwrap();
    assert_eq!(
        (&sent["questionAction"], &sent["answerAction"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(
        (&sent["lapse"]["leechAction"], &sent["new"]["order"]),
        (&json!(0), &json!(1))
    );
}

#[test]
fn deck_configs_are_sent_from_the_clients_usn_on() {
    let conn = testing::collection();
    for (id, usn) in [(2, -1), (3, 3), (4, 4), (5, 5)] {
        merge_one(&conn, &simple(id, "a", 100)).unwrap();
        conn.execute("update deck_config set usn = ? where id = ?", (usn, id))
            .unwrap();
    }
    let ids = |min_usn| {
        changed(&conn, Usn(min_usn))
            .unwrap()
            .iter()
            .map(|sent| sent.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(4), [4, 5]);
    assert_eq!(ids(-1), [2]);
}
