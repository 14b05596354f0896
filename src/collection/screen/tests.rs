//! Files that a stranger might make, and files that add-ons and other programs do make.

mod loading;
mod rebuilt;

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::collection::{
    distrust::distrust,
    file::accept_upload,
    open::{Collection, OpenError},
    schema,
    testing::rows,
    unicase,
    upload::{CheckError, Refusal},
};

const NOW: i64 = 1_800_000_000;
/// The test replaces it with an expression that computes for hours and takes a gigabyte.
const LONG: &str = "instr(hex(zeroblob(4)), 'x')";
const LENGTHEN: &str =
    "update sqlite_schema set sql = replace(sql, 'zeroblob(4)', 'zeroblob(400000000)')";

fn copy(name: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upload");
    let recorded = format!("{}/tests/vectors/{name}.anki2", env!("CARGO_MANIFEST_DIR"));
    std::fs::copy(recorded, &path).unwrap();
    (folder, path)
}

/// Opens the file as a stranger would: everything is allowed.
fn open(path: &Path) -> Connection {
    let conn = Connection::open(path).unwrap();
    unicase::register(&conn).unwrap();
    conn
}

fn changed(name: &str, change: &str) -> (TempDir, PathBuf) {
    let (folder, path) = copy(name);
    let conn = open(&path);
    conn.execute_batch("pragma journal_mode = delete; pragma writable_schema = on")
        .unwrap();
    conn.execute_batch("insert or ignore into revlog values (5, 6, 0, 1, 1, 1, 1, 1, 1)")
        .unwrap();
    conn.execute_batch(change).unwrap();
    conn.execute_batch(LENGTHEN).unwrap();
    (folder, path)
}

/// Fails instead of hanging if a file is evaluated.
fn accept(path: &Path) -> Result<(), CheckError> {
    let (send, receive) = mpsc::channel();
    let path = path.to_owned();
    std::thread::spawn(move || send.send(accept_upload(&path, NOW)));
    receive
        .recv_timeout(Duration::from_mins(1))
        .expect("nothing is evaluated")
}

fn refusal(path: &Path) -> String {
    match accept(path) {
        Err(CheckError::Refused(refusal)) => refusal.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Replaces the table with another definition and the same rows.
fn redefined(table: &str, from: &str, to: &str) -> String {
    format!(
        "update sqlite_schema set sql = replace(sql, '{}', '{}') where type = 'table' and name = '{table}'",
        from.replace('\'', "''"),
        to.replace('\'', "''")
    )
}

#[test]
fn what_computes_and_holds_no_rows_is_left_behind() {
    for (change, left) in [
        (format!("create index evil on notes ({LONG})"), "evil"),
        (format!("create index evil on notes (usn, {LONG})"), "evil"),
        (format!("create index evil on cards (id) where {LONG} > 0"), "evil"),
        ("create index evil on cards (id) where id > 0".into(), "evil"),
(
            format!("drop index idx_cards_odid; create index idx_cards_odid on cards (odid) where {LONG}"),
            "idx_cards_odid",
        ),
        ("create unique index evil on cards (nid, id)".into(), "evil"),
        ("drop index idx_decks_name; create unique index idx_decks_name on decks (id)".into(), "idx_decks_name"),
        (
            format!("create trigger evil after update on col begin select {LONG}; end"),
            "evil",
        ),
        (format!("create view evil as select {LONG} from col"), "evil"),
        ("create view \"e%'\"\"\n\" as select 1".into(), "e%'\"\n"),
        ("create virtual table evil using fts5 (a)".into(), "evil"),
        ("create virtual table evil using rtree (a, b, c)".into(), "evil"),
        (
            "insert into sqlite_schema values ('table', 'evil', 'evil', 0, 'CREATE VIRTUAL TABLE evil USING no_such_module(x)')".into(),
            "evil",
        ),
        (
            "create index evil on notes (guid collate nocase);
             update sqlite_schema set sql = replace(sql, 'nocase', 'secret') where name = 'evil'".into(),
            "evil",
        ),
    ] {
        for vector in ["upgrade_out_schema18", "upgrade_in_schema11"] {
            if vector.ends_with("11") && (change.contains("decks") || change.contains("odid") || change.contains("stat1")) {
                continue;
            }
            let (_folder, path) = changed(vector, &change);
            let expected = rows(&open(&path), "select * from notes order by id");
            accept(&path).unwrap_or_else(|error| panic!("{change}: {error}"));
            let conn = open(&path);
            let found = "select count(*) from sqlite_schema where name = ?";
            let found: i64 = conn.query_row(found, [left], |row| row.get(0)).unwrap();
            assert_eq!(found, 0, "{change}");
            assert_eq!(rows(&conn, "pragma integrity_check"), [["ok"]], "{change}");
            assert_eq!(rows(&conn, "select * from notes order by id"), expected);
        }
    }
}

/// Each view doubles the columns and tables of the one before, and SQLite would have to expand all of it.
#[test]
fn views_upon_views_are_left_behind_before_an_upgrade_renames_tables() {
    let views = (1..40).map(|number| {
        let below = number - 1;
        format!("create view v{number} as select * from v{below}, v{below};")
    });
    let change =
        "create view v0 as select * from notes, notes;".to_owned() + &views.collect::<String>();
    let (_folder, path) = changed("upgrade_in_schema11", &change);
    accept(&path).unwrap();
    assert!(
        rows(
            &open(&path),
            "select 1 from sqlite_schema where type = 'view'"
        )
        .is_empty()
    );
}

#[test]
fn what_computes_in_ankis_own_tables_is_refused_by_name() {
    for (table, from, to) in [
        ("notes", "data text NOT NULL", "data text as ('x')"),
        (
            "notes",
            "csum integer NOT NULL",
            "csum integer as (length(hex(zeroblob(400000000)))) stored",
        ),
        (
            "col",
            "ver integer NOT NULL",
            "ver as (length(hex(zeroblob(400000000))))",
        ),
    ] {
        let (_folder, path) = copy("upgrade_out_schema18");
        let conn = open(&path);
        let sql: String = conn
            .query_row(
                "select sql from sqlite_schema where name = ?",
                [table],
                |row| row.get(0),
            )
            .unwrap();
        let lower = sql.to_lowercase();
        let at = lower
            .find(&from.to_lowercase())
            .unwrap_or_else(|| panic!("{sql}"));
        let evil = format!("{}{to}{}", &sql[..at], &sql[at + from.len()..]);
        conn.execute_batch("pragma writable_schema = on").unwrap();
        conn.execute(
            "update sqlite_schema set sql = ? where name = ?",
            (evil, table),
        )
        .unwrap();
        drop(conn);
        let refusal = refusal(&path);
        assert!(
            refusal.contains(&format!("generated column in the table {table}")),
            "{refusal}"
        );
        assert!(matches!(
            Collection::open(&path, 0),
            Err(OpenError::Objection(_))
        ));
    }
}

#[test]
fn rules_of_tables_are_never_in_force() {
    for (table, from, to) in [
        (
            "notes",
            "primary key",
            &format!("primary key check ({LONG})")[..],
        ),
        ("cards", "primary key", "primary key default (random())"),
        (
            "revlog",
            "cid integer",
            "cid integer references cards (id) on delete cascade",
        ),
    ] {
        for case in [str::to_lowercase, str::to_uppercase] {
            let (_folder, path) =
                changed("upgrade_out_schema18", &redefined(table, &case(from), to));
            accept(&path).unwrap();
            let mut conn = open(&path);
            distrust(&mut conn).unwrap();
            // This would take hours, or delete rows of another table.
            conn.execute_batch("insert into notes select id + 1, guid, mid, mod, usn, tags, flds, sfld, csum, flags, data from notes limit 1; delete from cards").unwrap();
            assert!(table != "revlog" || !rows(&conn, "select * from revlog").is_empty());
        }
    }
}

#[test]
fn what_add_ons_and_other_programs_make_costs_nothing() {
    for (vector, change) in [
        (
            "upgrade_out_schema18",
            "create table heatmap (day integer primary key, count); insert into heatmap values (1, 2)",
        ),
        (
            "upgrade_out_schema18",
            "create table android_metadata (locale text); insert into android_metadata values ('en_GB')",
        ),
        (
            "upgrade_out_schema18",
            "create index mine on notes (mod desc, guid collate nocase)",
        ),
        (
            "upgrade_out_schema18",
            "create table log (at integer primary key autoincrement, t text default current_timestamp, n check (n > 0)); insert into log (n) values (5)",
        ),
        (
            "upgrade_out_schema18",
            "create table c (a, b as (length(hex(zeroblob(400000000)))), unique (a)); create index ci on c (a)",
        ),
        (
            "upgrade_out_schema18",
            "create table k (a text primary key, b references k) without rowid; create unique index ki on k (b)",
        ),
        (
            "upgrade_out_schema18",
            "alter table cards add column mine integer not null default 0; alter table notes add column yours",
        ),
        (
            "upgrade_out_schema18",
            "drop index ix_notes_usn; drop index idx_cards_odid; create index idx_cards_odid on cards(\"odid\") WHERE odid!=0",
        ),
        ("upgrade_out_schema18", "analyze"),
        (
            "upgrade_out_schema18",
            "update col set crt = -5, dty = 77, conf = 'x'",
        ),
        (
            "upgrade_out_schema18",
            "update cards set ivl = 1.5, due = 2.5, flags = 'a', mod = 0.5; update revlog set ivl = 0.5, time = 9e18; update notes set mod = 'x'",
        ),
        ("new_server_schema18", "select 1"),
    ] {
        let (_folder, path) = changed(vector, change);
        let before = std::fs::read(&path).unwrap();
        accept(&path).unwrap_or_else(|error| panic!("{change}: {error}"));
        assert!(std::fs::read(&path).unwrap() == before, "{change}: changed");
        Collection::open(&path, 0).unwrap_or_else(|error| panic!("{change}: {error}"));
    }
}

#[test]
fn values_that_would_fail_every_sync_are_refused_by_table() {
    for (change, place) in [
        ("update col set usn = 'x'", "col.usn"),
        ("update col set usn = -1", "col.usn"),
        ("update col set usn = 3000000000", "col.usn"),
        ("update col set mod = 'x'", "col.mod"),
        ("update col set mod = 9e18", "col.mod"),
        ("update col set scm = x'00'", "col.scm"),
        ("update col set crt = 1.5", "col.crt"),
        ("update col set crt = -9223372036854775808", "col.crt"),
        ("update col set ls = 'x'", "col.ls"),
        (
            "insert into col select 2, crt, mod, scm, ver, dty, usn, ls, conf, models, decks, dconf, tags from col",
            "2 rows",
        ),
        ("update cards set usn = 'x'", "cards.usn"),
        ("update notes set usn = 3000000000", "notes.usn"),
        ("update revlog set usn = 0.5", "revlog.usn"),
        ("update decks set usn = x'01'", "decks.usn"),
        ("insert into tags values (x'ff', 0, 1, null)", "tags.tag"),
        ("insert into graves values (5, 9, 0)", "graves"),
        ("insert into graves values ('x', 0, 0)", "graves"),
        ("update cards set queue = -2, type = 'x'", "cards.type"),
    ] {
        let (_folder, path) = changed("upgrade_out_schema18", change);
        let refusal = refusal(&path);
        assert!(refusal.contains(place), "{change}: {refusal}");
    }
    let (_folder, path) = changed("upgrade_in_schema11", "update col set scm = 'x'");
    assert!(refusal(&path).contains("col.scm"));
}

#[test]
fn what_is_in_place_already_is_cleaned_when_it_is_opened() {
    let (_folder, path) = changed(
        "upgrade_out_schema18",
        &format!(
            "create index evil on notes ({LONG}) where 0;
             create trigger t after insert on notes begin select 1; end;
             create view v as select 1;
             create table heatmap (a)"
        ),
    );
    let collection = Collection::open(&path, 0).unwrap();
    let conn = collection.connection();
    conn.execute_batch("update notes set usn = 3; insert into notes select id + 1, guid, mid, mod, usn, tags, flds, sfld, csum, flags, data from notes limit 1")
        .unwrap();
    let foreign = rows(
        conn,
        "select name from sqlite_schema where name in ('evil', 't', 'v', 'heatmap')",
    );
    assert_eq!(json!(foreign), json!([["heatmap"]]));
}

#[test]
fn names_in_sentences_are_short_and_plain() {
    assert_eq!(super::shown("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    assert_eq!(super::shown(&"é".repeat(50)), "é".repeat(40) + "…");
    let refusal = Refusal::Unlike("has the view x".into()).to_string();
    assert!(refusal.starts_with("The uploaded collection has the view x, so it was refused."));
}
