use serde_json::{Value, json};

use super::*;
use crate::{
    collection::{
        pending,
        testing::{self, ObjectCase, rows, without_other},
    },
    wire::parse,
};

/// Parses and merges a deck; either may refuse it.
fn merge_one(
    conn: &Connection,
    json: &Value,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let deck = parse(json.to_string().as_bytes())?;
    Ok(merge(conn, vec![deck], Usn(9), 1_800_000_000)?)
}

/// The decks that are new to a peer.
fn changed(conn: &Connection, min_usn: Usn) -> Result<Vec<Deck>> {
    let ids = pending::ids(conn, "decks", min_usn)?;
    ids.into_iter()
        .map(|id| read(conn, id).map(Deck::from))
        .collect()
}

#[test]
fn decks_are_refused_stored_and_sent_as_by_the_reference_server() {
    let cases: Vec<ObjectCase> = testing::vector("decks");
    assert_eq!(cases.len(), 71);
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
            &format!("select * from decks where id = {}", row["id"]),
        )
        .concat();
        assert_eq!(found[1], row["name"], "{label}");
        assert_eq!(found[2], row["mtime_secs"], "{label}");
        assert_eq!(found[3], row["usn"], "{label}");
        let blob = |hex: &Value| without_other::<DeckCommon>(hex, |common| &mut common.other);
        assert_eq!(blob(&found[4]), blob(&row["common_hex"]), "{label}");
        assert_eq!(found[5], row["kind_hex"], "{label}");
        let sent = changed(&conn, Usn(1)).unwrap();
        // A row with the USN of an unsent object is not sent.
        assert_eq!(sent.len(), usize::from(row["usn"] != -1), "{label}");
        let sent = sent.first().map_or(Value::Null, testing::as_sent);
        assert_eq!(sent, output, "{label}");
    }
}

fn simple(id: i64, name: &str, mtime_secs: i64) -> Value {
    json!({
        "id": id, "name": name, "mod": mtime_secs, "usn": 5, "collapsed": false, "dyn": 0, "conf": 1,
        "lrnToday": [0, 0], "revToday": [0, 0], "newToday": [0, 0], "timeToday": [0, 0],
    })
}

fn names(conn: &Connection) -> Value {
    json!(rows(
        conn,
        "select name, mtime_secs, usn from decks where id > 1 order by id"
    ))
}

#[test]
fn a_deck_gives_way_unless_it_was_changed_later() {
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
fn a_name_that_is_taken_is_marked_until_it_is_free() {
    let conn = testing::collection();
    merge_one(&conn, &simple(2, "Alpha", 100)).unwrap();
    merge_one(&conn, &simple(3, "alpha+", 100)).unwrap();
    merge_one(&conn, &simple(4, "ALPHA", 100)).unwrap();
    let now = 1_800_000_000;
    assert_eq!(
        names(&conn),
        json!([["Alpha", 100, 5], ["alpha+", 100, 5], ["ALPHA++", now, 9]])
    );
    // Its own name does not count as taken.
    merge_one(&conn, &simple(2, "ALPHA", 101)).unwrap();
    assert_eq!(names(&conn)[0], json!(["ALPHA", 101, 5]));
}

#[test]
fn children_keep_their_names_and_parents_are_not_made() {
    let conn = testing::collection();
    merge_one(&conn, &simple(2, "a::x", 100)).unwrap();
    merge_one(&conn, &simple(3, "A::X::y", 100)).unwrap();
    merge_one(&conn, &simple(4, "A::x", 100)).unwrap();
    let now = 1_800_000_000;
    let expected = json!([
        ["a\u{1f}x", 100, 5],
        ["A\u{1f}X\u{1f}y", 100, 5],
        ["A\u{1f}x+", now, 9]
    ]);
    assert_eq!(names(&conn), expected);
}

#[test]
fn id_zero_is_refused() {
    let conn = testing::collection();
    let error = merge_one(&conn, &simple(0, "a", 100)).unwrap_err();
    assert_eq!(error.to_string(), "a deck has the id 0");
}

#[test]
fn a_deck_that_cannot_be_decoded_cannot_be_sent() {
    for (change, reason) in [
        ("kind = x''", "it is neither a normal nor a filtered deck"),
        ("kind = x'ff'", "failed to decode"),
        ("common = x'ff'", "failed to decode"),
        (
            "common = 'text'",
            "Invalid column type Text at index: 3, name: common",
        ),
    ] {
        let conn = testing::collection();
        conn.execute(&format!("update decks set {change}"), [])
            .unwrap();
        let error = changed(&conn, Usn(0)).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("row 1 of decks cannot be read: {reason}")),
            "{change}: {error}"
        );
    }
}

#[test]
fn decks_are_sent_from_the_clients_usn_on() {
    let conn = testing::collection();
    for (id, usn) in [(2, -1), (3, 3), (4, 4), (5, 5)] {
        merge_one(&conn, &simple(id, &id.to_string(), 100)).unwrap();
        conn.execute("update decks set usn = ? where id = ?", (usn, id))
            .unwrap();
    }
    let ids = |min_usn| {
        let sent = changed(&conn, Usn(min_usn)).unwrap();
        sent.into_iter()
            .map(|sent| DeckRow::from(sent).id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(4), [4, 5]);
    assert_eq!(ids(-1), [2]);
}
