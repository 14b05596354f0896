//! The tables of schema 18.

use rusqlite::{Connection, OptionalExtension};

use super::Result;

/// The schema version that this module works on.
pub const VERSION: i64 = 18;

/// Tables that schema 11 has too, and that an upgrade does not change.
pub(super) const BASE_TABLES: &str = "
create table col (
    id integer primary key, crt integer not null, mod integer not null, scm integer not null, ver integer not null,
    dty integer not null, usn integer not null, ls integer not null, conf text not null, models text not null,
    decks text not null, dconf text not null, tags text not null
);
create table notes (
    id integer primary key, guid text not null, mid integer not null, mod integer not null, usn integer not null,
    tags text not null, flds text not null, sfld integer not null, csum integer not null, flags integer not null,
    data text not null
);
create table cards (
    id integer primary key, nid integer not null, did integer not null, ord integer not null, mod integer not null,
    usn integer not null, type integer not null, queue integer not null, due integer not null, ivl integer not null,
    factor integer not null, reps integer not null, lapses integer not null, left integer not null,
    odue integer not null, odid integer not null, flags integer not null, data text not null
);
create table revlog (
    id integer primary key, cid integer not null, usn integer not null, ease integer not null, ivl integer not null,
    lastIvl integer not null, factor integer not null, time integer not null, type integer not null
);
create index ix_notes_usn on notes (usn);
create index ix_cards_usn on cards (usn);
create index ix_revlog_usn on revlog (usn);
create index ix_cards_nid on cards (nid);
create index ix_cards_sched on cards (did, queue, due);
create index ix_revlog_cid on revlog (cid);
create index ix_notes_csum on notes (csum);
";

/// Tables that schema 14 added, in the form of schema 18 except for `tags`.
pub(super) const CONFIG_TABLES: &str = "
create table deck_config (
    id integer primary key not null, name text not null collate unicase, mtime_secs integer not null,
    usn integer not null, config blob not null
);
create table config (
    KEY text not null primary key, usn integer not null, mtime_secs integer not null, val blob not null
) without rowid;
";

/// Tables that schema 15 added.
pub(super) const NOTETYPE_AND_DECK_TABLES: &str = "
create table fields (
    ntid integer not null, ord integer not null, name text not null collate unicase, config blob not null,
    primary key (ntid, ord)
) without rowid;
create unique index idx_fields_name_ntid on fields (name, ntid);
create table templates (
    ntid integer not null, ord integer not null, name text not null collate unicase, mtime_secs integer not null,
    usn integer not null, config blob not null, primary key (ntid, ord)
) without rowid;
create unique index idx_templates_name_ntid on templates (name, ntid);
create index idx_templates_usn on templates (usn);
create table notetypes (
    id integer not null primary key, name text not null collate unicase, mtime_secs integer not null,
    usn integer not null, config blob not null
);
create unique index idx_notetypes_name on notetypes (name);
create index idx_notetypes_usn on notetypes (usn);
create table decks (
    id integer primary key not null, name text not null collate unicase, mtime_secs integer not null,
    usn integer not null, common blob not null, kind blob not null
);
create unique index idx_decks_name on decks (name);
create index if not exists idx_notes_mid on notes (mid);
create index if not exists idx_cards_odid on cards (odid) where odid != 0;
";

/// The table of tags since schema 17.
pub(super) const TAG_TABLE: &str = "
create table tags (
    tag text not null primary key collate unicase, usn integer not null, collapsed boolean not null, config blob null
) without rowid;
";

/// The table of graves since schema 18.
pub(super) const GRAVE_TABLE: &str = "
create table graves (
    oid integer not null, type integer not null, usn integer not null, primary key (oid, type)
) without rowid;
create index idx_graves_pending on graves (usn);
";

/// All tables of schema 18 with their columns, in order.
pub const TABLES: [(&str, &[&str]); 12] = [
    (
        "col",
        &[
            "id", "crt", "mod", "scm", "ver", "dty", "usn", "ls", "conf", "models", "decks",
            "dconf", "tags",
        ],
    ),
    (
        "notes",
        &[
            "id", "guid", "mid", "mod", "usn", "tags", "flds", "sfld", "csum", "flags", "data",
        ],
    ),
    (
        "cards",
        &[
            "id", "nid", "did", "ord", "mod", "usn", "type", "queue", "due", "ivl", "factor",
            "reps", "lapses", "left", "odue", "odid", "flags", "data",
        ],
    ),
    (
        "revlog",
        &[
            "id", "cid", "usn", "ease", "ivl", "lastIvl", "factor", "time", "type",
        ],
    ),
    ("graves", &["oid", "type", "usn"]),
    ("config", &["KEY", "usn", "mtime_secs", "val"]),
    ("tags", &["tag", "usn", "collapsed", "config"]),
    (
        "deck_config",
        &["id", "name", "mtime_secs", "usn", "config"],
    ),
    (
        "decks",
        &["id", "name", "mtime_secs", "usn", "common", "kind"],
    ),
    ("notetypes", &["id", "name", "mtime_secs", "usn", "config"]),
    ("fields", &["ntid", "ord", "name", "config"]),
    (
        "templates",
        &["ntid", "ord", "name", "mtime_secs", "usn", "config"],
    ),
];

/// All tables and indexes.
pub(super) const PARTS: [&str; 5] = [
    BASE_TABLES,
    CONFIG_TABLES,
    NOTETYPE_AND_DECK_TABLES,
    TAG_TABLE,
    GRAVE_TABLE,
];

/// Creates all tables and indexes in an empty database.
pub(super) fn create_tables(conn: &Connection) -> Result<()> {
    for part in PARTS {
        conn.execute_batch(part)?;
    }
    Ok(())
}

/// The version that the file claims to have.
///
/// # Errors
/// When it is no collection.
pub fn version(conn: &Connection) -> Result<i64> {
    Ok(conn.query_row("select ver from col", [], |row| row.get(0))?)
}

/// The first table or column of schema 18 that the file lacks, as `table` or `table.column`.
///
/// A file may claim version 18 and lack everything. A view does not count as a table.
pub fn missing(conn: &Connection) -> Result<Option<String>> {
    for (table, columns) in TABLES {
        let is_table = conn
            .query_row(
                "select 1 from sqlite_schema where type = 'table' and name = ? collate nocase",
                [table],
                |_| Ok(()),
            )
            .optional()?
            .is_some();
        if !is_table {
            return Ok(Some(table.to_owned()));
        }
        let mut present = conn.prepare("select name from pragma_table_info(?)")?;
        let present = present
            .query_map([table], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<String>>>()?;
        if let Some(column) = columns
            .iter()
            .find(|column| !present.iter().any(|name| name.eq_ignore_ascii_case(column)))
        {
            return Ok(Some(format!("{table}.{column}")));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::collection::testing;

    #[test]
    fn the_schema_is_the_reference_servers_apart_from_statistics() {
        let conn = testing::database();
        create_tables(&conn).unwrap();
        let expected: Vec<[String; 4]> = testing::vector("schema18_ddl");
        let expected: BTreeMap<_, _> = expected
            .into_iter()
            .filter(|[_, name, ..]| !name.starts_with("sqlite_"))
            .map(|[kind, name, _, sql]| ((kind, name), testing::plain_sql(&sql)))
            .collect();
        assert_eq!(testing::schema(&conn), expected);
    }

    #[test]
    fn the_list_of_tables_is_the_schema() {
        let conn = testing::database();
        create_tables(&conn).unwrap();
        for (table, columns) in TABLES {
            let mut found = conn
                .prepare("select name from pragma_table_info(?)")
                .unwrap();
            let found: Vec<String> = found
                .query_map([table], |row| row.get(0))
                .unwrap()
                .map(|c| c.unwrap())
                .collect();
            assert_eq!(found, columns);
        }
        let tables = testing::schema(&conn)
            .keys()
            .filter(|(kind, _)| kind == "table")
            .count();
        assert_eq!(tables, TABLES.len());
    }

    #[test]
    fn a_complete_file_misses_nothing() {
        let conn = testing::database();
        create_tables(&conn).unwrap();
        assert_eq!(missing(&conn).unwrap(), None);
    }

    #[test]
    fn a_file_of_the_reference_server_misses_nothing() {
        let conn = testing::file("new_server_schema18");
        assert_eq!(missing(&conn).unwrap(), None);
        assert_eq!(version(&conn).unwrap(), VERSION);
        assert_eq!(
            missing(&testing::file("new_server_schema11"))
                .unwrap()
                .as_deref(),
            Some("config")
        );
    }

    #[test]
    fn a_missing_table_or_column_is_named() {
        for (table, columns) in TABLES {
            let conn = testing::database();
            create_tables(&conn).unwrap();
            conn.execute_batch(&format!("drop table {table}")).unwrap();
            assert_eq!(missing(&conn).unwrap().as_deref(), Some(table));
            let (last, rest) = columns.split_last().unwrap();
            conn.execute_batch(&format!("create table {table} ({})", rest.join(",")))
                .unwrap();
            assert_eq!(missing(&conn).unwrap(), Some(format!("{table}.{last}")));
        }
    }

    #[test]
    fn a_view_is_no_table() {
        let conn = testing::database();
        create_tables(&conn).unwrap();
        conn.execute_batch(
            "alter table graves rename to other; create view graves as select * from other",
        )
        .unwrap();
        assert_eq!(missing(&conn).unwrap().as_deref(), Some("graves"));
    }
}
