//! A new collection for a user who has never synced.

use prost::Message;
use rusqlite::{Connection, TransactionBehavior};
use serde_json::{Value, json};

use super::{
    Result,
    proto::{DeckCommon, DeckConfig, DeckKind, DeckKindContainer, NormalDeck},
    schema, stock,
};

const DAY: i64 = 86_400;
const ROLLOVER: i64 = 4 * 3600;

/// Fills an empty database with a new collection, in one transaction.
///
/// A client never merges with it: to a new client it looks unchanged, and the first upload replaces it.
pub fn create(conn: &mut Connection, now_ms: i64) -> Result<()> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    schema::create_tables(&transaction)?;
    transaction.execute(
        "insert into col (id, crt, mod, scm, ver, dty, usn, ls, conf, models, decks, dconf, tags)
         values (1, ?, 0, ?, ?, 0, 0, 0, '', '', '', '', '')",
        (
            latest_rollover(now_ms.div_euclid(1000)),
            now_ms,
            schema::VERSION,
        ),
    )?;
    add_config(&transaction, now_ms)?;
    add_default_deck(&transaction)?;
    stock::add(&transaction, now_ms)?;
    transaction.commit()?;
    Ok(())
}

/// The last 04:00 UTC at or before `now`. The scheduler counts days from it.
fn latest_rollover(now: i64) -> i64 {
    (now - ROLLOVER).div_euclid(DAY) * DAY + ROLLOVER
}

fn add_config(conn: &Connection, first_notetype: i64) -> Result<()> {
    let rows = [
        ("activeDecks", json!([1])),
        ("addToCur", json!(true)),
        ("collapseTime", json!(1200)),
        ("creationOffset", Value::Null),
        ("curDeck", json!(1)),
        ("curModel", json!(first_notetype)),
        ("dayLearnFirst", json!(false)),
        ("dueCounts", json!(true)),
        ("estTimes", json!(true)),
        ("newSpread", json!(0)),
        ("nextPos", json!(1)),
        ("sched2021", json!(true)),
        ("schedVer", json!(2)),
        ("sortBackwards", json!(false)),
        ("sortType", json!("noteFld")),
        ("timeLim", json!(0)),
    ];
    for (key, value) in rows {
        conn.execute(
            "insert into config (KEY, usn, mtime_secs, val) values (?, 0, 0, ?)",
            (key, value.to_string().into_bytes()),
        )?;
    }
    Ok(())
}

fn add_default_deck(conn: &Connection) -> Result<()> {
    let common = DeckCommon {
        study_collapsed: true,
        browser_collapsed: true,
        ..DeckCommon::default()
    };
    let normal = NormalDeck {
        config_id: 1,
        ..NormalDeck::default()
    };
    let kind = DeckKindContainer {
        kind: Some(DeckKind::Normal(normal)),
    };
    conn.execute(
        "insert into decks (id, name, mtime_secs, usn, common, kind) values (1, 'Default', 0, 0, ?, ?)",
        (common.encode_to_vec(), kind.encode_to_vec()),
    )?;
    conn.execute(
        "insert into deck_config (id, name, mtime_secs, usn, config) values (1, 'Default', 0, 0, ?)",
        [DeckConfig::standard().encode_to_vec()],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::testing::{self, NOW_MS, rows};

    fn reference() -> Value {
        testing::vector("new_server_rows")
    }

    #[test]
    fn the_single_col_row_holds_the_times_and_nothing_else() {
        let col = rows(&testing::collection(), "select * from col");
        let crt = 1_694_908_800 + 4 * 3600;
        assert_eq!(
            json!(col),
            json!([[1, crt, 0, NOW_MS, 18, 0, 0, 0, "", "", "", "", ""]])
        );
    }

    #[test]
    fn days_begin_at_four_in_the_morning() {
        let midnight = 1_694_995_200;
        assert_eq!(latest_rollover(midnight), midnight - 20 * 3600);
        assert_eq!(
            latest_rollover(midnight + 4 * 3600 - 1),
            midnight - 20 * 3600
        );
        assert_eq!(latest_rollover(midnight + 4 * 3600), midnight + 4 * 3600);
    }

    #[test]
    fn config_is_the_reference_servers_and_the_current_notetype_exists() {
        let conn = testing::collection();
        let found = rows(
            &conn,
            "select KEY, usn, mtime_secs, cast(val as text) from config order by KEY",
        );
        let reference = reference();
        let expected: Vec<Value> = reference["config"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| match row["key"].as_str().unwrap() {
                "curModel" => json!(["curModel", 0, 0, NOW_MS.to_string()]),
                key => json!([key, row["usn"], row["mtime_secs"], row["val"]]),
            })
            .collect();
        assert_eq!(json!(found), json!(expected));
        let current = format!("select name from notetypes where id = {NOW_MS}");
        assert_eq!(json!(rows(&conn, &current)), json!([["Basic"]]));
    }

    #[test]
    fn deck_and_deck_config_are_the_reference_servers() {
        let conn = testing::collection();
        let reference = reference();
        for table in ["decks", "deck_config"] {
            assert_eq!(
                json!(rows(&conn, &format!("select * from {table}"))),
                reference[table]
            );
        }
    }

    #[test]
    fn three_notetypes_have_fields_and_templates_in_the_reference_shape() {
        let conn = testing::collection();
        let id = NOW_MS;
        let found = rows(
            &conn,
            "select id, name, mtime_secs, usn from notetypes order by id",
        );
        let expected = json!([
            [id, "Basic", 0, 0],
            [id + 1, "Basic (and reversed card)", 0, 0],
            [id + 2, "Cloze", 0, 0],
        ]);
        assert_eq!(json!(found), expected);
        for part in ["fields", "templates"] {
            let found = rows(
                &conn,
                &format!("select ntid, ord, name from {part} order by ntid, ord"),
            );
            let names = |id: i64| {
                let of_it = found.iter().filter(|row| row[0] == id);
                of_it
                    .map(|row| (row[1].clone(), row[2].clone()))
                    .collect::<Vec<_>>()
            };
            let reference = reference();
            let all = reference["notetypes"].as_array().unwrap();
            for (id, name) in [
                (id, "Basic"),
                (id + 1, "Basic (and reversed card)"),
                (id + 2, "Cloze"),
            ] {
                let reference_id = &all.iter().find(|row| row[1] == name).unwrap()[0];
                let of_it = reference[part]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|row| row[0] == *reference_id);
                let expected: Vec<_> = of_it.map(|row| (row[1].clone(), row[2].clone())).collect();
                assert_eq!(names(id), expected, "{part} of {name}");
            }
        }
    }

    #[test]
    fn everything_else_is_empty() {
        let conn = testing::collection();
        for table in ["tags", "graves", "notes", "cards", "revlog"] {
            assert!(
                rows(&conn, &format!("select * from {table}")).is_empty(),
                "{table}"
            );
        }
    }

    #[test]
    fn an_existing_collection_is_left_alone() {
        let mut conn = testing::collection();
        assert!(create(&mut conn, NOW_MS + 1).is_err());
        assert_eq!(json!(rows(&conn, "select scm from col")), json!([[NOW_MS]]));
    }
}
