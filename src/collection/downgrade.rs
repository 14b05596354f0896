//! Downgrades a collection for clients up to sync version 10.

use std::collections::BTreeMap;

use rusqlite::{Connection, TransactionBehavior};
use serde::Serialize;

use super::{Error, Result, config, deck, deck_config, legacy, notetype, pending, schema};
use crate::wire::{Usn, deck::Deck};

/// Graves without a key, as old clients create and expect them.
const GRAVE_TABLE: &str = "
alter table graves rename to new_graves;
create table graves (usn integer not null, oid integer not null, type integer not null);
insert into graves (usn, oid, type) select usn, oid, type from new_graves;
drop table new_graves;
";

const DROP_TABLES: &str = "
drop table config;
drop table deck_config;
drop table tags;
drop table fields;
drop table templates;
drop table notetypes;
drop table decks;
drop index if exists idx_cards_odid;
drop index if exists idx_notes_mid;
update col set ver = 11;
";

/// Downgrades a collection from schema 18 to 11, with a journal mode that old clients know.
///
/// Data that schema 11 cannot store are lost, so use it on a copy. Times and counters of the collection stay.
///
/// # Errors
/// When the schema is not 18, or a row cannot be read.
pub fn downgrade(conn: &mut Connection) -> Result<()> {
    let version = schema::version(conn)?;
    if version != schema::VERSION {
        return Err(Error::Version(version));
    }
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    legacy::write(
        &transaction,
        "dconf",
        &by_id(&transaction, "deck_config", deck_config::read)?,
    )?;
    legacy::write(
        &transaction,
        "models",
        &by_id(&transaction, "notetypes", notetype::read)?,
    )?;
    let deck = |conn: &Connection, id| deck::read(conn, id).map(Deck::from);
    legacy::write(&transaction, "decks", &by_id(&transaction, "decks", deck)?)?;
    legacy::write(&transaction, "tags", &tags(&transaction)?)?;
    legacy::write(&transaction, "conf", &config::all(&transaction)?)?;
    transaction.execute_batch(GRAVE_TABLE)?;
    transaction.execute_batch(DROP_TABLES)?;
    transaction.commit()?;
    conn.query_row("pragma journal_mode = delete", [], |_| Ok(()))?;
    Ok(())
}

fn by_id<T: Serialize>(
    conn: &Connection,
    table: &'static str,
    read: impl Fn(&Connection, i64) -> Result<T>,
) -> Result<BTreeMap<i64, T>> {
    let ids = pending::all_ids(conn, table)?;
    ids.into_iter()
        .map(|id| Ok((id, read(conn, id)?)))
        .collect()
}

fn tags(conn: &Connection) -> Result<BTreeMap<String, Usn>> {
    let mut statement = conn.prepare("select tag, usn from tags")?;
    let tags = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(tags.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::collection::{
        testing::{self, rows},
        upgrade,
    };

    /// A row of `col` with its JSON parsed, without the values that a download changes.
    fn col(conn: &Connection) -> Value {
        let json = |text: &Value| serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap();
        let row = rows(conn, "select conf, models, decks, dconf, tags from col").concat();
        let numbers = rows(conn, "select id, crt, scm, ver, dty, ls from col");
        json!([numbers, row.iter().map(json).collect::<Vec<_>>()])
    }

    fn assert_downgrades(from: &str, to: &str) {
        let mut conn = testing::file(from);
        let before = rows(&conn, "select mod, usn from col");
        downgrade(&mut conn).unwrap();
        assert_eq!(rows(&conn, "select mod, usn from col"), before);
        let expected = testing::file(to);
        assert_eq!(testing::schema(&conn), testing::schema(&expected));
        assert_eq!(col(&conn), col(&expected));
        for table in ["notes", "cards", "revlog", "graves"] {
            let sql = format!("select * from {table} order by 1, 2");
            assert_eq!(rows(&conn, &sql), rows(&expected, &sql), "{table}");
        }
    }

    #[test]
    fn an_upgraded_file_becomes_what_the_reference_server_makes_of_it() {
        assert_downgrades("upgrade_out_schema18", "downgrade_out_schema11");
    }

    #[test]
    fn a_new_file_becomes_what_the_reference_server_makes_of_it() {
        assert_downgrades("new_server_schema18", "new_server_schema11");
    }

    #[test]
    fn down_and_up_again_loses_only_what_schema_11_has_no_place_for() {
        let mut conn = testing::collection();
        conn.execute_batch(
            "insert into tags values ('a', 3, 0, null);
             insert into graves values (5, 1, 4);
             insert into notes values (1, 'g', 1, 2, 3, ' t ', 'a', 'a', 5, 0, '');",
        )
        .unwrap();
        let tables = |conn: &Connection| {
            schema::TABLES.map(|(table, columns)| {
                let columns = columns.join(", ");
                (
                    table,
                    rows(
                        conn,
                        &format!("select {columns} from {table} order by 1, 2"),
                    ),
                )
            })
        };
        let before = tables(&conn);
        downgrade(&mut conn).unwrap();
        assert_eq!(schema::version(&conn).unwrap(), 11);
        upgrade(&mut conn, Usn(9), 1_800_000_000).unwrap();
        for (before, after) in before.into_iter().zip(tables(&conn)) {
            match after.0 {
                "tags" => assert_eq!(json!(after.1), json!([["a", 3, 1, null]])),
                table => assert_eq!(after, before, "{table}"),
            }
        }
    }

    #[test]
    fn the_journal_becomes_one_that_old_clients_know() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("collection.anki2");
        let mut conn = Connection::open(&path).unwrap();
        crate::collection::unicase::register(&conn).unwrap();
        conn.query_row("pragma journal_mode = wal", [], |_| Ok(()))
            .unwrap();
        crate::collection::create(&mut conn, testing::NOW_MS).unwrap();
        downgrade(&mut conn).unwrap();
        drop(conn);
        assert_eq!(std::fs::read(&path).unwrap()[18..20], [1, 1]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_schema_18_is_downgraded_and_a_failure_changes_nothing() {
        let mut conn = testing::file("upgrade_in_schema11");
        assert!(matches!(downgrade(&mut conn), Err(Error::Version(11))));
        for damage in [
            "decks set kind = x''",
            "config set val = x'00'",
            "fields set config = x'ff'",
        ] {
            let mut conn = testing::collection();
            conn.execute_batch(&format!("update {damage}")).unwrap();
            let before = (testing::schema(&conn), rows(&conn, "select * from col"));
            assert!(
                matches!(downgrade(&mut conn), Err(Error::Undecodable { .. })),
                "{damage}"
            );
            assert_eq!(
                (testing::schema(&conn), rows(&conn, "select * from col")),
                before
            );
        }
    }
}
