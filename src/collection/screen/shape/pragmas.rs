//! Tables and indexes, as SQLite's pragmas describe them.

use rusqlite::Connection;

pub(super) struct Table {
    pub name: String,
    pub is_without_rowid: bool,
    pub is_strict: bool,
    pub columns: Vec<Column>,
    pub indexes: Vec<Index>,
}

pub(super) struct Column {
    pub name: String,
    pub kind: String,
    pub is_required: bool,
    pub default: Option<String>,
    /// The position in the primary key, from 1.
    pub key: usize,
    pub is_generated: bool,
}

pub(super) struct Index {
    pub name: String,
    pub table: String,
    pub is_unique: bool,
    pub origin: Origin,
    pub is_partial: bool,
    /// None for an expression.
    pub columns: Vec<Option<String>>,
    pub collations: Vec<String>,
    pub sql: Option<String>,
}

/// Why an index exists.
#[derive(PartialEq, Eq)]
pub(super) enum Origin {
    Statement,
    Key,
    Constraint,
}

pub(super) fn columns(conn: &Connection, table: &str) -> rusqlite::Result<Vec<Column>> {
    let mut statement = conn.prepare_cached(
        "select name, type, \"notnull\", dflt_value, pk, hidden from pragma_table_xinfo(?)",
    )?;
    let columns = statement.query_map([table], |row| {
        Ok(Column {
            name: row.get(0)?,
            kind: row.get(1)?,
            is_required: row.get(2)?,
            default: row.get(3)?,
            key: row.get(4)?,
            is_generated: row.get::<_, i64>(5)? > 1,
        })
    })?;
    columns.collect()
}

pub(super) fn indexes(conn: &Connection, table: &str) -> rusqlite::Result<Vec<Index>> {
    let mut statement = conn.prepare_cached(
        "select name, \"unique\", origin, partial, (select sql from sqlite_schema where name = list.name) \
         from pragma_index_list(?) list",
    )?;
    let indexes = statement.query_map([table], |row| {
        let origin = match row.get_ref(2)?.as_str()? {
            "c" => Origin::Statement,
            "pk" => Origin::Key,
            _ => Origin::Constraint,
        };
        Ok(Index {
            name: row.get(0)?,
            table: table.to_owned(),
            is_unique: row.get(1)?,
            origin,
            is_partial: row.get(3)?,
            sql: row.get(4)?,
            columns: Vec::new(),
            collations: Vec::new(),
        })
    })?;
    let mut indexes = indexes.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut statement =
        conn.prepare_cached("select cid, name, coll from pragma_index_xinfo(?) where key")?;
    for index in &mut indexes {
        let mut rows = statement.query([&index.name])?;
        while let Some(row) = rows.next()? {
            let is_expression = row.get::<_, i64>(0)? == -2;
            // The rowid has no name.
            let name = row.get::<_, Option<String>>(1)?.unwrap_or_default();
            index.columns.push((!is_expression).then_some(name));
            index.collations.push(
                row.get::<_, Option<String>>(2)?
                    .unwrap_or_else(|| "binary".to_owned()),
            );
        }
    }
    Ok(indexes)
}
