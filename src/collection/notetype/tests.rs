use serde_json::{Value, json};

use super::*;
use crate::{
    collection::{
        pending,
        testing::{self, ObjectCase, rows, without_other},
    },
    wire::{Malformed, parse},
};

/// What is new to a client that has seen everything before `min_usn`.
fn changed(conn: &Connection, min_usn: Usn) -> Result<Vec<Notetype>> {
    let ids = pending::ids(conn, "notetypes", min_usn)?;
    ids.into_iter().map(|id| read(conn, id)).collect()
}

fn notetype(json: &Value) -> std::result::Result<Notetype, Malformed> {
    parse(json.to_string().as_bytes())
}

/// Parses and merges a notetype; either may refuse it.
fn merge_one(
    conn: &Connection,
    json: &Value,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    Ok(merge(conn, vec![notetype(json)?], Usn(9), 1_800_000_000)?)
}

fn assert_stored(conn: &Connection, label: &str, expected: &Value) {
    let id = &expected["id"];
    let one = |sql: String| rows(conn, &sql);
    let found = one(format!(
        "select name, mtime_secs, usn, config from notetypes where id = {id}"
    ));
    assert_eq!(found.len(), 1, "{label}");
    assert_eq!(found[0][0], expected["name"], "{label}");
    assert_eq!(found[0][1], expected["mtime_secs"], "{label}");
    assert_eq!(found[0][2], expected["usn"], "{label}");
    let blob = |hex: &Value| without_other::<NotetypeConfig>(hex, |config| &mut config.other);
    assert_eq!(blob(&found[0][3]), blob(&expected["config_hex"]), "{label}");

    let found = one(format!(
        "select ord, name, config from fields where ntid = {id} order by ord"
    ));
    let fields = expected["fields"].as_array().unwrap();
    assert_eq!(found.len(), fields.len(), "{label}");
    let blob = |hex: &Value| without_other::<FieldConfig>(hex, |config| &mut config.other);
    for (found, field) in found.iter().zip(fields) {
        assert_eq!(
            (&found[0], &found[1]),
            (&field["ord"], &field["name"]),
            "{label}"
        );
        assert_eq!(blob(&found[2]), blob(&field["config_hex"]), "{label}");
    }

    let found = one(format!(
        "select ord, name, mtime_secs, usn, config from templates where ntid = {id} order by ord"
    ));
    let templates = expected["templates"].as_array().unwrap();
    assert_eq!(found.len(), templates.len(), "{label}");
    let blob = |hex: &Value| without_other::<TemplateConfig>(hex, |config| &mut config.other);
    for (found, template) in found.iter().zip(templates) {
        assert_eq!(
            (&found[0], &found[1]),
            (&template["ord"], &template["name"]),
            "{label}"
        );
        assert_eq!(
            (&found[2], &found[3]),
            (&template["mtime_secs"], &template["usn"]),
            "{label}"
        );
        assert_eq!(blob(&found[4]), blob(&template["config_hex"]), "{label}");
    }
}

#[test]
fn notetypes_are_refused_stored_and_sent_as_by_the_reference_server() {
    let cases: Vec<ObjectCase> = testing::vector("notetypes");
    assert_eq!(cases.len(), 79);
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
        assert_stored(&conn, &label, &row);
        let sent = changed(&conn, Usn(1)).unwrap();
        // A row with the USN of an unsent object is not sent.
        assert_eq!(sent.len(), usize::from(row["usn"] != -1), "{label}");
        let sent = sent.first().map_or(Value::Null, testing::as_sent);
        assert_eq!(sent, output, "{label}");
    }
}

#[test]
fn stock_notetypes_of_the_reference_server_survive_the_round_trip() {
    let reply: Value = testing::vector("new_server_applyChanges_reply");
    for all in [
        testing::vector("stock_notetypes_wire"),
        reply["models"].clone(),
    ] {
        let Value::Array(all) = all else {
            panic!("no list")
        };
        assert_eq!(all.len(), 6);
        let conn = testing::collection();
        conn.execute("delete from notetypes", []).unwrap();
        for json in all {
            let parsed = notetype(&json).unwrap();
            let id = parsed.id;
            store(&conn, parsed).unwrap();
            assert_eq!(
                serde_json::to_value(read(&conn, id).unwrap()).unwrap(),
                json
            );
        }
    }
}

fn simple(id: i64, name: &str, mtime_secs: i64, fields: &[&str]) -> Value {
    let fields: Vec<_> = fields
        .iter()
        .map(|name| json!({"name": name, "sticky": false, "rtl": false, "font": "", "size": 20}))
        .collect();
    json!({
        "id": id, "name": name, "type": 0, "mod": mtime_secs, "usn": 5, "sortf": 0, "did": null, "css": "",
        "flds": fields, "tmpls": [{"name": "Card 1", "qfmt": ""}],
    })
}

fn names(conn: &Connection) -> Value {
    json!(rows(
        conn,
        "select name, mtime_secs, usn from notetypes where id < 100 order by id"
    ))
}

#[test]
fn a_notetype_gives_way_unless_it_was_changed_later() {
    let conn = testing::collection();
    merge_one(&conn, &simple(1, "first", 100, &["F"])).unwrap();
    merge_one(&conn, &simple(1, "older", 99, &["F"])).unwrap();
    assert_eq!(names(&conn), json!([["first", 100, 5]]));
    merge_one(&conn, &simple(1, "same second", 100, &["F"])).unwrap();
    assert_eq!(names(&conn), json!([["same second", 100, 5]]));
    merge_one(&conn, &simple(1, "later", 101, &["G"])).unwrap();
    assert_eq!(names(&conn), json!([["later", 101, 5]]));
    assert_eq!(
        json!(rows(&conn, "select name from fields where ntid = 1")),
        json!([["G"]])
    );
}

#[test]
fn another_number_of_fields_or_templates_needs_a_full_sync() {
    let conn = testing::collection();
    merge_one(&conn, &simple(1, "a", 100, &["F"])).unwrap();
    let error = merge_one(&conn, &simple(1, "a", 100, &["F", "G"])).unwrap_err();
    assert!(
        matches!(error.downcast_ref(), Some(Error::NotetypeShape(1))),
        "{error}"
    );
    let mut json = simple(1, "a", 100, &["F"]);
    json["tmpls"] = json!([]);
    assert!(matches!(
        merge_one(&conn, &json).unwrap_err().downcast_ref(),
        Some(Error::NotetypeShape(1))
    ));
    assert!(merge_one(&conn, &json).is_err());
}

#[test]
fn an_older_notetype_may_have_another_shape() {
    let conn = testing::collection();
    merge_one(&conn, &simple(1, "a", 100, &["F"])).unwrap();
    merge_one(&conn, &simple(1, "b", 99, &["F", "G"])).unwrap();
    assert_eq!(names(&conn), json!([["a", 100, 5]]));
}

#[test]
fn a_name_that_is_taken_is_marked_until_it_is_free() {
    let conn = testing::collection();
    merge_one(&conn, &simple(1, "nt", 100, &["F"])).unwrap();
    merge_one(&conn, &simple(2, "NT", 100, &["F"])).unwrap();
    merge_one(&conn, &simple(3, "Nt", 100, &["F"])).unwrap();
    let now = 1_800_000_000;
    assert_eq!(
        names(&conn),
        json!([["nt", 100, 5], ["NT+", now, 9], ["Nt++", now, 9]])
    );
    // Its own name does not count as taken.
    merge_one(&conn, &simple(1, "NT", 101, &["F"])).unwrap();
    assert_eq!(names(&conn)[0], json!(["NT", 101, 5]));
}

#[test]
fn id_zero_is_refused() {
    let conn = testing::collection();
    let error = merge_one(&conn, &simple(0, "a", 100, &["F"])).unwrap_err();
    assert_eq!(error.to_string(), "a notetype has the id 0");
}

#[test]
fn replacing_leaves_notes_cards_and_the_schema_time_alone() {
    let conn = testing::collection();
    merge_one(&conn, &simple(1, "a", 100, &["F"])).unwrap();
    conn.execute_batch(
        "insert into notes values (1, 'g', 1, 0, 0, '', '', '', 0, 0, '');
         insert into cards values (1, 1, 1, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '');",
    )
    .unwrap();
    let before =
        ["notes", "cards", "col"].map(|table| rows(&conn, &format!("select * from {table}")));
    merge_one(&conn, &simple(1, "b", 101, &["F"])).unwrap();
    let after =
        ["notes", "cards", "col"].map(|table| rows(&conn, &format!("select * from {table}")));
    assert_eq!(before, after);
}

#[test]
fn a_blob_that_cannot_be_decoded_cannot_be_sent() {
    for table in ["notetypes", "fields", "templates"] {
        let conn = testing::collection();
        conn.execute(&format!("update {table} set config = x'ff'"), [])
            .unwrap();
        let error = changed(&conn, Usn(0)).unwrap_err().to_string();
        assert!(
            error.starts_with("row ") && error.contains(&format!(" of {table} cannot be read: ")),
            "{error}"
        );
    }
}

#[test]
fn notetypes_are_sent_from_the_clients_usn_on() {
    let conn = testing::collection();
    for (id, usn) in [(1, -1), (2, 3), (3, 4), (4, 5)] {
        merge_one(&conn, &simple(id, &id.to_string(), 100, &["F"])).unwrap();
        conn.execute("update notetypes set usn = ? where id = ?", (usn, id))
            .unwrap();
    }
    let ids = |min_usn| {
        changed(&conn, Usn(min_usn))
            .unwrap()
            .iter()
            .map(|sent| sent.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(4), [3, 4]);
    assert_eq!(ids(-1), [1]);
}

#[test]
fn numbers_too_large_for_clients_are_cut_as_they_do() {
    let conn = testing::collection();
    merge_one(&conn, &simple(1, "a", 100, &["F"])).unwrap();
    let config = NotetypeConfig {
        sort_field_idx: 65_537,
        kind: 5,
        ..NotetypeConfig::default()
    };
    conn.execute(
        "update notetypes set config = ? where id = 1",
        [config.encode_to_vec()],
    )
    .unwrap();
    let config = FieldConfig {
        font_size: 65_540,
        ..FieldConfig::default()
    };
    conn.execute(
        "update fields set config = ? where ntid = 1",
        [config.encode_to_vec()],
    )
    .unwrap();
    let config = TemplateConfig {
        browser_font_size: 300,
        target_deck_id: -5,
        ..TemplateConfig::default()
    };
    conn.execute(
        "update templates set config = ? where ntid = 1",
        [config.encode_to_vec()],
    )
    .unwrap();
    let sent = serde_json::to_value(read(&conn, 1).unwrap()).unwrap();
    assert_eq!((&sent["sortf"], &sent["type"]), (&json!(1), &json!(0)));
    assert_eq!(sent["flds"][0]["size"], json!(4));
    assert_eq!(
        (&sent["tmpls"][0]["bsize"], &sent["tmpls"][0]["did"]),
        (&json!(44), &Value::Null)
    );
}
