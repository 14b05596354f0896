//! Tables that another program has written without their keys.

use super::*;

/// The result of a program that writes tables from data frames.
fn without_keys(conn: &Connection) {
    for table in ["notes", "cards", "revlog"] {
        conn.execute_batch(&format!(
            "create table zz as select * from {table}; drop table {table}; alter table zz rename to {table}"
        ))
        .unwrap();
    }
}

fn declared(conn: &Connection) -> Vec<Vec<serde_json::Value>> {
    rows(
        conn,
        "select t.name, wr, strict, c.name, c.pk from pragma_table_list t, pragma_table_xinfo(t.name) c
         where t.schema = 'main' and t.name not like 'sqlite%' order by 1, c.cid",
    )
}

#[test]
fn tables_without_keys_get_them_back_and_nothing_else_changes() {
    for vector in ["upgrade_out_schema18", "upgrade_in_schema11"] {
        let (_whole_folder, whole) = copy(vector);
        accept(&whole).unwrap();
        let (_folder, path) = copy(vector);
        let conn = open(&path);
        without_keys(&conn);
        conn.execute_batch("create table mine (note references notes (id) on delete cascade)")
            .unwrap();
        drop(conn);
        accept(&path).unwrap();
        let (whole, mended) = (open(&whole), open(&path));
        let parent = "select \"table\" from pragma_foreign_key_list('mine')";
        assert_eq!(rows(&mended, parent), [["notes"]]);
        mended.execute_batch("drop table mine").unwrap();
        assert_eq!(declared(&mended), declared(&whole));
        for (table, columns) in schema::TABLES {
            let all = format!("select {} from {table} order by 1, 2", columns.join(", "));
            // The upgrade stamps what it renames.
            assert_eq!(rows(&mended, &all), rows(&whole, &all), "{table}");
        }
        let indexes =
            "select name from sqlite_schema where type = 'index' and sql is not null order by 1";
        assert_eq!(rows(&mended, indexes), rows(&whole, indexes));
    }
}

#[test]
fn other_declarations_of_ankis_tables_are_brought_back_as_well() {
    for change in [
        "drop table tags; create table tags (tag text primary key not null collate unicase, usn integer not null); insert into tags values ('a', 0)",
        "drop table tags; create table tags (tag text primary key, usn integer, collapsed, config); insert into tags values ('a', 0, 1, null), ('A', 0, 1, null)",
        "alter table graves rename to g; create table graves (oid, type, usn); drop table g",
        "alter table notes rename to n; create table notes (id integer primary key, guid text unique, mid, mod, usn, tags, flds, sfld, csum, flags, data); insert into notes select * from n; drop table n",
        "alter table notes rename to n; create table notes (id integer primary key, guid text, mid int, mod int, usn int, tags text, flds text, sfld text, csum int, flags int, data text) strict; insert into notes select * from n; drop table n",
        "alter table revlog rename to r; create table revlog (id integer primary key, cid, usn, ease, ivl, lastIvl, factor, time, type) without rowid; insert into revlog select * from r; drop table r",
        "alter table decks rename to d; create table decks (id integer primary key, name text collate nocase, mtime_secs, usn, common, kind); insert into decks select * from d; drop table d",
        "alter table decks rename to d; create table decks (id integer primary key, name, mtime_secs, usn, common, kind, x default (random())); insert into decks select *, 1 from d; drop table d",
        "alter table config rename to c; create table config (KEY, usn, mtime_secs, val); insert into config select * from c; drop table c",
    ] {
        let (_folder, path) = changed("upgrade_out_schema18", "select 1");
        open(&path)
            .execute_batch(change)
            .unwrap_or_else(|error| panic!("{change}: {error}"));
        open(&path)
            .execute_batch("pragma writable_schema = on; update sqlite_schema set sql = replace(sql, 'nocase', 'secret')")
            .unwrap();
        accept(&path).unwrap_or_else(|error| panic!("{change}: {error}"));
        let (_whole_folder, whole) = copy("upgrade_out_schema18");
        assert_eq!(declared(&open(&path)), declared(&open(&whole)), "{change}");
    }
}

#[test]
fn an_id_that_is_there_twice_is_refused_by_name() {
    for (change, sentence) in [
        (
            "insert into cards select * from cards limit 1",
            "more than once in the table cards",
        ),
        (
            "insert into notes select * from notes limit 1",
            "more than once in the table notes",
        ),
        (
            "update revlog set id = null",
            "in the table revlog that lacks a required value",
        ),
        (
            "update cards set nid = null",
            "in the table cards that lacks a required value",
        ),
        (
            "update notes set id = 'x'",
            "in the table notes that lacks a required value",
        ),
    ] {
        let (_folder, path) = changed("upgrade_out_schema18", "select 1");
        let conn = open(&path);
        without_keys(&conn);
        if change.contains("'x'") {
            conn.execute_batch("delete from notes where id != (select min(id) from notes)")
                .unwrap();
        }
        conn.execute_batch(change).unwrap();
        drop(conn);
        let refusal = refusal(&path);
        assert!(refusal.contains(sentence), "{change}: {refusal}");
    }
}
