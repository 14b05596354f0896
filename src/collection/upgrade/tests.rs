use serde_json::{Value, json};

use super::*;
use crate::collection::testing::{self, rows};

/// The time and number that the reference server used in the recorded upgrade.
const RECORDED: Stamp = Stamp {
    usn: Usn::UNSENT,
    now_secs: 1_795_215_490,
};

fn recorded() -> Connection {
    testing::file("upgrade_in_schema11")
}

fn upgraded(change: &str) -> Result<Connection> {
    let mut conn = recorded();
    conn.execute_batch(change).unwrap();
    upgrade(&mut conn, Usn(7), 1_800_000_000)?;
    Ok(conn)
}

fn set(column: &str, value: &Value) -> String {
    format!(
        "update col set {column} = '{}'",
        value.to_string().replace('\'', "''")
    )
}

/// An object of the recorded file, as a template.
fn object(column: &str, id: &str) -> Value {
    let text = &rows(&recorded(), &format!("select {column} from col"))[0][0];
    let objects: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    objects[id].clone()
}

fn with(mut object: Value, changes: &Value) -> Value {
    object
        .as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    object
}

#[test]
fn a_file_of_schema_11_becomes_what_the_reference_server_makes_of_it() {
    let mut conn = recorded();
    upgrade(&mut conn, RECORDED.usn, RECORDED.now_secs).unwrap();
    let expected = testing::file("upgrade_out_schema18");
    // It was recorded as a download, which changes the times and the counter.
    expected
        .execute_batch("update col set mod = 1700000000000, usn = 7")
        .unwrap();
    // The reference server takes the key of a notetype; fields and templates belong to the id inside. That mistake is
    // not repeated.
    expected
        .execute_batch("update fields set ntid = 104 where ntid = 103; update templates set ntid = 104 where ntid = 103")
        .unwrap();
    // Of tags that differ only in case, any one may stay.
    expected
        .execute_batch("update tags set tag = 'FOO', usn = 6 where tag = 'foo'")
        .unwrap();

    assert_eq!(testing::schema(&conn), testing::schema(&expected));
    for (table, columns) in schema::TABLES {
        let sql = format!("select {} from {table} order by 1, 2", columns.join(", "));
        assert_eq!(rows(&conn, &sql), rows(&expected, &sql), "{table}");
    }
}

#[test]
fn every_version_on_the_way_can_be_upgraded_further() {
    let mut direct = recorded();
    upgrade(&mut direct, RECORDED.usn, RECORDED.now_secs).unwrap();
    for stop in [14, 15, 16, 17] {
        let mut conn = recorded();
        for (_, step) in STEPS.iter().filter(|(to, _)| *to <= stop) {
            step(&conn, RECORDED).unwrap();
        }
        conn.execute("update col set ver = ?", [stop]).unwrap();
        upgrade(&mut conn, RECORDED.usn, RECORDED.now_secs).unwrap();
        assert_eq!(testing::schema(&conn), testing::schema(&direct), "{stop}");
        for (table, columns) in schema::TABLES {
            let sql = format!("select {} from {table} order by 1, 2", columns.join(", "));
            assert_eq!(rows(&conn, &sql), rows(&direct, &sql), "{stop}: {table}");
        }
    }
}

#[test]
fn schema_18_stays_as_it_is_and_unknown_versions_are_refused() {
    let mut conn = testing::collection();
    conn.execute("drop table notes", []).unwrap();
    upgrade(&mut conn, Usn(7), 0).unwrap();
    for version in [-1, 0, 10, 12, 13, 19] {
        conn.execute("update col set ver = ?", [version]).unwrap();
        let error = upgrade(&mut conn, Usn(7), 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("schema version {version} is not supported")
        );
    }
}

#[test]
fn a_file_that_cannot_be_upgraded_is_left_as_it_was() {
    for column in ["conf", "models", "decks", "dconf", "tags"] {
        for invalid in ["", "[]", "null", "{", "5", "\"x\""] {
            let mut conn = recorded();
            conn.execute(&format!("update col set {column} = ?"), [invalid])
                .unwrap();
            let before = (testing::schema(&conn), rows(&conn, "select * from col"));
            let error = upgrade(&mut conn, Usn(7), 0).unwrap_err();
            assert!(
                matches!(&error, Error::Legacy { column: named, .. } if *named == column),
                "{column} {invalid}: {error}"
            );
            assert_eq!(
                (testing::schema(&conn), rows(&conn, "select * from col")),
                before
            );
        }
    }
}

#[test]
fn what_cannot_be_read_is_named_but_not_quoted() {
    let error = upgraded(&set(
        "decks",
        &json!({"12": with(object("decks", "10"), &json!({"usn": "private"}))}),
    ));
    let expected = "col.decks cannot be read: 12: deck 10: invalid type: string, expected i32";
    assert_eq!(error.unwrap_err().to_string(), expected);
    let error = upgraded(&set("models", &json!({"x": object("models", "100")})))
        .unwrap_err()
        .to_string();
    assert_eq!(error, "col.models cannot be read: a key is no id");
    let error = upgraded(&set("tags", &json!({"private": "x"})))
        .unwrap_err()
        .to_string();
    assert_eq!(error, "col.tags cannot be read: a tag has no USN");
    let mut deck = object("decks", "10");
    deck.as_object_mut().unwrap().remove("dyn");
    assert!(upgraded(&set("decks", &json!({"10": deck}))).is_err());
}

#[test]
fn an_empty_collection_stays_empty() {
    let conn = upgraded(
        "update col set conf = '{}', models = '{}', decks = '{}', dconf = '{}', tags = '{}'",
    )
    .unwrap();
    for table in [
        "config",
        "deck_config",
        "tags",
        "fields",
        "templates",
        "notetypes",
        "decks",
    ] {
        assert!(
            rows(&conn, &format!("select * from {table}")).is_empty(),
            "{table}"
        );
    }
    assert_eq!(
        json!(rows(&conn, "select ver, mod, usn from col")),
        json!([[18, 1_700_000_000_000_i64, 7]])
    );
}

#[test]
fn of_a_key_given_twice_the_last_counts() {
    let config = object("dconf", "1")
        .to_string()
        .replacen('{', r#"{"name": "first", "#, 1);
    let conn = upgraded(&format!(
        "update col set dconf = '{{\"1\": null, \"1\": {config}}}'"
    ))
    .unwrap();
    assert_eq!(
        json!(rows(&conn, "select name from deck_config")),
        json!([["Default"]])
    );
    let model = object("models", "100")
        .to_string()
        .replacen('{', r#"{"name": "first", "#, 1);
    let conn = upgraded(&format!("update col set models = '{{\"100\": {model}}}'")).unwrap();
    assert_eq!(
        json!(rows(&conn, "select name from notetypes")),
        json!([["Basic"]])
    );
}

#[test]
fn names_of_notetypes_and_their_parts_become_unique_and_normal() {
    let field = |name: &str| {
        with(
            object("models", "100")["flds"][0].clone(),
            &json!({"name": name}),
        )
    };
    let changes = json!({"name": "e\u{301}", "flds": [field("a"), field("A"), field("a+"), field("e\u{301}")]});
    let model = with(object("models", "100"), &changes);
    let models =
        json!({"100": model, "101": with(model.clone(), &json!({"id": 101, "name": "É"}))});
    let conn = upgraded(&set("models", &models)).unwrap();
    let names = rows(
        &conn,
        "select name, mtime_secs, usn from notetypes order by id",
    );
    assert_eq!(
        json!(names),
        json!([["é", 1_700_000_000, 4], ["É_", 1_700_000_000, 4]])
    );
    let fields = rows(
        &conn,
        "select name from fields where ntid = 100 order by ord",
    )
    .concat();
    assert_eq!(json!(fields), json!(["a", "A+", "a++", "é"]));
}

#[test]
fn a_notetype_without_an_id_gets_one() {
    let model =
        |id: i64, name: &str| with(object("models", "100"), &json!({"id": id, "name": name}));
    let taken = 1_800_000_000_000_i64;
    let models =
        json!({"0": model(5, "a"), "6": model(0, "b"), taken.to_string(): model(taken, "c")});
    let conn = upgraded(&set("models", &models)).unwrap();
    let found = rows(&conn, "select id, name from notetypes order by id");
    assert_eq!(
        json!(found),
        json!([[taken, "c"], [taken + 1, "a"], [taken + 2, "b"]])
    );
}

#[test]
fn a_deck_is_stamped_only_when_it_was_renamed() {
    let deck = |id: i64, name: &str| with(object("decks", "10"), &json!({"id": id, "name": name}));
    let decks = json!({"20": deck(20, "A"), "21": deck(21, "a"), "22": deck(22, "x:: y"), "23": deck(23, "x::z")});
    let conn = upgraded(&set("decks", &decks)).unwrap();
    let found = rows(&conn, "select name, mtime_secs, usn from decks order by id");
    let now = 1_800_000_000;
    let expected = json!([
        ["A", 1_700_000_000, 4],
        ["a_", now, 7],
        ["x\u{1f}y", now, 7],
        ["x\u{1f}z", 1_700_000_000, 4]
    ]);
    assert_eq!(json!(found), expected);
}

#[test]
fn a_deck_with_id_zero_is_refused_and_of_two_with_one_id_the_last_stays() {
    let deck = |id: i64, name: &str| with(object("decks", "10"), &json!({"id": id, "name": name}));
    let error = upgraded(&set("decks", &json!({"20": deck(0, "A")}))).unwrap_err();
    assert!(matches!(error, Error::ZeroId("deck")));
    let conn = upgraded(&set(
        "decks",
        &json!({"20": deck(9, "A"), "21": deck(9, "a")}),
    ))
    .unwrap();
    assert_eq!(
        json!(rows(&conn, "select id, name, usn from decks")),
        json!([[9, "a", 4]])
    );
}

#[test]
fn an_ease_up_to_130_percent_is_reset_and_a_higher_one_kept() {
    for (factor, expected) in [(1300, 2500), (1301, 1301), (0, 2500), (2175, 2175)] {
        let mut config = object("dconf", "1");
        config["new"]["initialFactor"] = json!(factor);
        let conn = upgraded(&set("dconf", &json!({"3": config}))).unwrap();
        let config = rows(&conn, "select config from deck_config");
        let config = hex::decode(config[0][0].as_str().unwrap()).unwrap();
        let config: super::super::proto::DeckConfig = prost::Message::decode(&config[..]).unwrap();
        #[expect(clippy::cast_precision_loss, reason = "the number is small")]
        let expected_ease = expected as f32 / 1000.0;
        assert!(
            (config.initial_ease - expected_ease).abs() < 0.000_001,
            "{factor}"
        );
        let mended = rows(
            &conn,
            "select id, factor, usn, mod from cards where usn = 7",
        );
        let mended_now = [1, 2, 5, 7].map(|id| json!([id, 2500, 7, 1_700_000_000]));
        let expected = if factor <= 1300 {
            json!(mended_now)
        } else {
            json!([])
        };
        assert_eq!(json!(mended), expected, "{factor}");
    }
}

#[test]
fn settings_are_kept_as_they_are() {
    let conn = upgraded(&set("conf", &json!({"b": {"y": 1, "x": [null]}, "a": 1.5}))).unwrap();
    let found = rows(
        &conn,
        "select KEY, usn, mtime_secs, cast(val as text) from config order by KEY",
    );
    assert_eq!(
        json!(found),
        json!([["a", 0, 0, "1.5"], ["b", 0, 0, r#"{"x":[null],"y":1}"#]])
    );
}

#[test]
fn of_two_graves_the_first_stays() {
    let conn =
        upgraded("insert into graves (usn, oid, type) values (9, 77, 0), (5, 77, 2)").unwrap();
    let found = rows(
        &conn,
        "select oid, type, usn from graves order by oid, type",
    );
    assert_eq!(json!(found), json!([[77, 0, 4], [77, 2, 5], [78, 1, -1]]));
}
