use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::{
    collection::testing::{self, NOW_MS, rows},
    wire::parse,
};

const BASIC: i64 = NOW_MS;
const CLOZE: i64 = NOW_MS + 2;

fn note(mid: i64, mtime_secs: i64, usn: i32, fields: &str) -> Note {
    let json = json!([1, "guid", mid, mtime_secs, usn, "", fields, "", "", 0, ""]);
    parse(json.to_string().as_bytes()).unwrap()
}

fn merge_one(conn: &Connection, note: &Note, min_usn: i32) -> Result<()> {
    merge(conn, note, Usn(min_usn), &mut Shapes::default())
}

fn sort_by(conn: &Connection, field: u16) {
    let mut notetype = notetype::read(conn, BASIC).unwrap();
    notetype.sort_field = field;
    notetype::store(conn, notetype).unwrap();
}

#[derive(Deserialize)]
struct Case {
    field0_wire: String,
    field0_stored: String,
    sfld: Value,
    sfld_sqlite_type: String,
    csum: u32,
}

#[test]
fn sort_field_and_checksum_are_the_reference_servers() {
    let cases: Vec<Case> = testing::vector("sfld_csum");
    assert_eq!(cases.len(), 163);
    let conn = testing::collection();
    for case in cases {
        let note = note(BASIC, 100, 5, &format!("{}\u{1f}back", case.field0_wire));
        merge_one(&conn, &note, 9).unwrap();
        let stored = format!("{}\u{1f}back", case.field0_stored);
        let expected = json!([[stored, case.sfld, case.sfld_sqlite_type, case.csum]]);
        let found = json!(rows(
            &conn,
            "select flds, sfld, typeof(sfld), csum from notes"
        ));
        assert_eq!(found, expected, "{:?}", case.field0_wire);
    }
}

#[test]
fn a_note_is_stored_whole_with_its_own_usn() {
    let conn = testing::collection();
    let json = json!([
        7,
        "",
        BASIC,
        100,
        5,
        "a  b\u{3000}a",
        "x\u{1f}y",
        "ignored",
        "1",
        9,
        "ignored"
    ]);
    let note: Note = parse(json.to_string().as_bytes()).unwrap();
    merge_one(&conn, &note, 5).unwrap();
    let csum = checksum("x");
    let expected = json!([[
        7, "", BASIC, 100, 5, " a b a ", "x\u{1f}y", "x", csum, 0, ""
    ]]);
    assert_eq!(json!(rows(&conn, "select * from notes")), expected);
    let sent = serde_json::to_value(read(&conn, 7).unwrap()).unwrap();
    assert_eq!(
        sent,
        json!([7, "", BASIC, 100, 5, " a b a ", "x\u{1f}y", "", "", 0, ""])
    );
}

#[test]
fn the_sort_field_is_the_notetypes_and_empty_if_there_is_none() {
    for (sort_field, expected) in [(0, "front"), (1, "back"), (2, "")] {
        let conn = testing::collection();
        sort_by(&conn, sort_field);
        merge_one(&conn, &note(BASIC, 100, 5, "<b>front\u{1f}back</b>"), 5).unwrap();
        let found = rows(&conn, "select sfld, csum from notes");
        assert_eq!(json!(found), json!([[expected, checksum("front")]]));
    }
}

#[test]
fn a_note_needs_its_notetype() {
    let conn = testing::collection();
    let error = merge_one(&conn, &note(5, 100, 5, "a\u{1f}b"), 5).unwrap_err();
    assert_eq!(
        error.to_string(),
        "note 1 needs notetype 5, which does not exist"
    );
}

#[test]
fn a_note_needs_as_many_fields_as_its_notetype() {
    let conn = testing::collection();
    for (fields, found) in [("a", 1), ("a\u{1f}b\u{1f}c", 3)] {
        let error = merge_one(&conn, &note(CLOZE, 100, 5, fields), 5).unwrap_err();
        let expected = format!("note 1 has {found} fields, but its notetype {CLOZE} has 2");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_notetype_without_fields_takes_one() {
    let conn = testing::collection();
    conn.execute("delete from fields where ntid = ?", [BASIC])
        .unwrap();
    merge_one(&conn, &note(BASIC, 100, 5, ""), 5).unwrap();
    assert!(merge_one(&conn, &note(BASIC, 101, 5, "a\u{1f}b"), 5).is_err());
}

#[test]
fn control_characters_are_removed_but_for_line_ends_and_tabs() {
    let conn = testing::collection();
    merge_one(
        &conn,
        &note(BASIC, 100, 5, "a\r\n\tb\u{0}\u{1e}\u{1f}\u{7f}é\u{85}"),
        5,
    )
    .unwrap();
    assert_eq!(
        json!(rows(&conn, "select flds from notes")),
        json!([["a\n\tb\u{1f}é\u{85}"]])
    );
}

/// Whether a note from a client that has seen everything before `min_usn` is stored.
fn prevails(ours: (i64, i32), theirs: i64, min_usn: i32) -> bool {
    let conn = testing::collection();
    merge_one(&conn, &note(BASIC, ours.0, ours.1, "our\u{1f}s"), 5).unwrap();
    let theirs = note(BASIC, theirs, 7, "their\u{1f}s");
    merge_one(&conn, &theirs, min_usn).unwrap();
    read(&conn, 1).unwrap() == theirs
}

#[test]
fn of_two_changed_notes_the_later_one_prevails() {
    assert!(prevails((100, 5), 101, 5));
    assert!(!prevails((100, 5), 100, 5));
    assert!(!prevails((100, 6), 99, 5));
    assert!(!prevails((100, -1), 100, -1));
}

#[test]
fn a_note_not_changed_here_gives_way_even_to_an_older_one() {
    assert!(prevails((100, 4), 99, 5));
    assert!(prevails((100, -1), 99, 5));
    assert!(prevails((100, 6), 99, -1));
}

#[test]
fn a_note_that_loses_needs_no_notetype() {
    let conn = testing::collection();
    merge_one(&conn, &note(BASIC, 100, 5, "a\u{1f}b"), 5).unwrap();
    merge_one(&conn, &note(5, 99, 7, "x"), 5).unwrap();
    assert_eq!(read(&conn, 1).unwrap().mid, BASIC);
}

#[test]
fn tags_of_notes_do_not_enter_the_list_of_tags() {
    let conn = testing::collection();
    let mut note = note(BASIC, 100, 5, "a\u{1f}b");
    note.tags = "new".to_owned();
    merge_one(&conn, &note, 5).unwrap();
    assert!(rows(&conn, "select * from tags").is_empty());
}

#[test]
fn a_row_of_the_wrong_type_cannot_be_sent() {
    for change in [
        "flds = x'6162'",
        "guid = x'61'",
        "tags = x'ff'",
        "mid = 'x'",
        "mod = 1.5",
        "usn = 5000000000",
    ] {
        let conn = testing::collection();
        merge_one(&conn, &note(BASIC, 100, 5, "a\u{1f}b"), 5).unwrap();
        conn.execute(&format!("update notes set {change}"), [])
            .unwrap();
        let error = read(&conn, 1).unwrap_err().to_string();
        assert!(
            error.starts_with("row 1 of notes cannot be read: "),
            "{change}: {error}"
        );
    }
}
