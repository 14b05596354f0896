//! Objects that SQLite reads or computes while it loads a schema.

use super::*;

#[test]
fn what_sqlite_reads_while_it_loads_a_schema_is_refused_before() {
    let long = "length(hex(zeroblob(400000000)))";
    let stat1 =
        |sql: &str| format!("update sqlite_schema set sql = '{sql}' where name = 'sqlite_stat1'");
    for (change, sentence) in [
        (stat1(&format!("CREATE TABLE sqlite_stat1(tbl, idx as ({long}), stat)")), "definition"),
        (stat1(&format!("CREATE TABLE \"SQLITE_stat1\"(tbl, idx as ({long}), stat)")), "definition"),
        (stat1(&format!("CREATE TABLE/**/sqlite_stat4(tbl, idx as ({long}), neq)")), "definition"),
        (
            "update sqlite_schema set sql = 'CREATE/**/VIEW v AS SELECT 1' where name = 'idx_decks_name'".into(),
            "definition",
        ),
        ("update sqlite_schema set sql = x'00' || sql where name = 'notes'".into(), "damaged"),
        ("update sqlite_schema set sql = cast(sql as blob) where name = 'notes'".into(), "damaged"),
        (
            "insert into sqlite_stat1 select 'notes', 'ix_notes_usn', hex(zeroblob(10000000))".into(),
            "more tables than any",
        ),
        (
            "update sqlite_schema set sql = sql || '/*' || hex(zeroblob(1000000)) || '*/' where name = 'notes'".into(),
            "more tables than any",
        ),
    ] {
        let (_folder, path) = copy("upgrade_out_schema18");
        let conn = open(&path);
        conn.execute_batch("analyze; pragma writable_schema = on").unwrap();
        conn.execute_batch(&change).unwrap();
        drop(conn);
        let refusal = refusal(&path);
        assert!(refusal.contains(sentence), "{change}: {refusal}");
    }
}

#[test]
fn statistics_listed_twice_are_read_once_at_most() {
    let again = "insert into sqlite_schema select * from sqlite_schema where name = 'sqlite_stat1'";
    let (_folder, path) = changed("new_server_schema18", &format!("analyze; {again}"));
    let told = refusal(&path);
    assert!(told.contains("a manipulated table definition"), "{told}");
}

#[test]
fn a_hundred_thousand_tables_are_refused_unseen() {
    let (_folder, path) = copy("upgrade_out_schema18");
    let conn = open(&path);
    conn.execute_batch(
        "pragma writable_schema = on;
         with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000)
         insert into sqlite_schema select 'view', 'v' || i, 'v' || i, 0, 'CREATE VIEW v' || i || ' AS SELECT 1' from n",
    )
    .unwrap();
    drop(conn);
    assert!(refusal(&path).contains("more tables than any"));
}
