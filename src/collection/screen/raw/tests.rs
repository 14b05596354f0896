use rusqlite::Connection;

use super::*;

fn of_sqlite(path: &Path) -> Vec<Row> {
    let conn = Connection::open(path).unwrap();
    let mut rows = conn
        .prepare("select name, rootpage, sql from sqlite_schema order by rowid")
        .unwrap();
    let rows = rows.query_map([], |row| {
        Ok(Row {
            name: row.get(0)?,
            root: row.get(1)?,
            sql: row.get(2)?,
        })
    });
    rows.unwrap().map(std::result::Result::unwrap).collect()
}

#[test]
fn the_list_is_the_one_that_sqlite_sees_for_every_page_size_and_length() {
    for page_size in [512, 1024, 4096, 65_536] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let conn = Connection::open(&path).unwrap();
        conn.pragma_update(None, "page_size", page_size).unwrap();
        conn.execute_batch("begin").unwrap();
        for number in 0..150 {
            let comment = "é".repeat(number * number / 3);
            conn.execute_batch(&format!(
                "create table t{number} (a unique /*{comment}*/); create index i{number} on t{number} (a); \
                 create view v{number} as select 1"
            ))
            .unwrap();
        }
        conn.execute_batch("commit").unwrap();
        drop(conn);
        let rows = Raw::open(&path).unwrap().schema().unwrap();
        assert_eq!(rows, of_sqlite(&path), "{page_size}");
        assert_eq!(rows.len(), 600);
    }
}

#[test]
fn recorded_collections_are_read() {
    for name in ["new_server_schema18", "upgrade_in_schema11"] {
        let path = format!("{}/tests/vectors/{name}.anki2", env!("CARGO_MANIFEST_DIR"));
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy");
        std::fs::copy(path, &copy).unwrap();
        let rows = Raw::open(&copy).unwrap().schema().unwrap();
        assert_eq!(rows, of_sqlite(&copy));
    }
}

#[test]
fn no_damage_is_a_panic_or_takes_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::copy("tests/vectors/new_server_schema18.anki2", &path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let mut state = 7_u64;
    let mut next = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..3_000 {
        let mut damaged = whole.clone();
        for _ in 0..=next(4) {
            let at = next(5_000);
            damaged[at] = u8::try_from(next(256)).unwrap();
        }
        damaged.truncate(damaged.len() - next(2) * next(damaged.len()));
        std::fs::write(&path, damaged).unwrap();
        let _ = Raw::open(&path).and_then(|raw| raw.schema());
    }
}

#[test]
fn a_list_that_refers_to_itself_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::copy("tests/vectors/new_server_schema18.anki2", &path).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[HEADER] = INTERIOR;
    bytes[HEADER + 8..HEADER + 12].copy_from_slice(&[0, 0, 0, 1]);
    std::fs::write(&path, bytes).unwrap();
    assert!(Raw::open(&path).unwrap().schema().is_err());
}

#[test]
fn what_is_too_much_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("begin").unwrap();
    for number in 0..=SCHEMA.rows {
        conn.execute_batch(&format!("create table t{number} (a)"))
            .unwrap();
    }
    conn.execute_batch("commit").unwrap();
    let refused = Raw::open(&path).unwrap().schema();
    assert!(matches!(refused, Err(RawError::TooMuch)), "{refused:?}");
}

#[test]
fn a_length_that_sqlite_would_read_otherwise_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::copy("tests/vectors/new_server_schema18.anki2", &path).unwrap();
    let raw = Raw::open(&path).unwrap();
    // This reads 256 where SQLite reads 128, and would look for the rest elsewhere.
    let mut page = vec![0; 4096];
    page[..9].copy_from_slice(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x81, 0]);
    let read = raw.record(&page, 0, &mut Budget { ..SCHEMA });
    assert!(matches!(read, Err(RawError::Damaged)), "{read:?}");
}

#[test]
fn a_definition_far_behind_the_beginning_of_its_row_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let conn = Connection::open(&path).unwrap();
    let create = |letters| {
        let name = "a".repeat(letters);
        conn.execute(&format!("create table {name} (a)"), [])
            .unwrap();
    };
    create(200);
    assert!(Raw::open(&path).unwrap().schema().is_ok());
    create(300);
    let refused = Raw::open(&path).unwrap().schema();
    assert!(matches!(refused, Err(RawError::TooMuch)), "{refused:?}");
}

#[test]
fn statistics_of_many_short_rows_are_refused() {
    let (_folder, path) = with_statistics();
    let conn = Connection::open(&path).unwrap();
    let root = root(&conn);
    assert!(Raw::open(&path).unwrap().limit_statistics(root).is_ok());
    conn.execute_batch(
        "with recursive n (i) as (select 1 union all select i + 1 from n limit 6000)
         insert into sqlite_stat1 select null, null, null from n",
    )
    .unwrap();
    drop(conn);
    let refused = Raw::open(&path).unwrap().limit_statistics(root);
    assert!(matches!(refused, Err(RawError::TooMuch)), "{refused:?}");
}

#[test]
fn a_page_referred_to_again_and_again_is_not_read_each_time() {
    let (_folder, path) = with_statistics();
    let root = root(&Connection::open(&path).unwrap());
    let mut bytes = std::fs::read(&path).unwrap();
    let pages = u32::try_from(bytes.len() / 65_536).unwrap();
    let at = (root as usize - 1) * 65_536;
    // An empty leaf. All cells of the new root refer to it.
    let mut leaf = vec![0; 65_536];
    leaf[0] = LEAF;
    bytes.extend(leaf);
    bytes[at] = INTERIOR;
    bytes[at + 3..at + 5].copy_from_slice(&19_000_u16.to_be_bytes());
    bytes[at + 8..at + 12].copy_from_slice(&(pages + 1).to_be_bytes());
    for cell in 0..19_000 {
        let pointer = at + 12 + 2 * cell;
        bytes[pointer..pointer + 2].copy_from_slice(&60_000_u16.to_be_bytes());
    }
    bytes[at + 60_000..at + 60_004].copy_from_slice(&(pages + 1).to_be_bytes());
    std::fs::write(&path, bytes).unwrap();
    let refused = Raw::open(&path).unwrap().limit_statistics(root);
    assert!(matches!(refused, Err(RawError::TooMuch)), "{refused:?}");
}

/// A file of large pages, with statistics.
fn with_statistics() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        "pragma page_size = 65536; create table t (a); create index i on t (a);
         insert into t values (1); analyze",
    )
    .unwrap();
    (folder, path)
}

fn root(conn: &Connection) -> u32 {
    let root = "select rootpage from sqlite_schema where name = 'sqlite_stat1'";
    conn.query_row(root, [], |row| row.get(0)).unwrap()
}
