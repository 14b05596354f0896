use rusqlite::{
    Connection,
    types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef},
};

use super::Result;
use crate::wire::Usn;

impl ToSql for Usn {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for Usn {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i32::column_result(value).map(Self)
    }
}

/// The condition on `usn` that [`Usn::is_new`] expresses. Its parameter is the peer's number.
pub(super) fn condition(min_usn: Usn) -> &'static str {
    if min_usn == Usn::UNSENT {
        "usn = ?"
    } else {
        "usn >= ?"
    }
}

/// The ids of all rows that are new to a peer, in ascending order.
pub(super) fn ids(conn: &Connection, table: &'static str, min_usn: Usn) -> Result<Vec<i64>> {
    let sql = format!(
        "select id from {table} where {} order by id",
        condition(min_usn)
    );
    let mut statement = conn.prepare(&sql)?;
    let ids = statement.query_map([min_usn], |row| row.get(0))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

/// The ids of all rows, in ascending order.
pub(super) fn all_ids(conn: &Connection, table: &'static str) -> Result<Vec<i64>> {
    let mut statement = conn.prepare(&format!("select id from {table} order by id"))?;
    let ids = statement.query_map([], |row| row.get(0))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::testing;

    #[test]
    fn the_condition_selects_what_is_new() {
        let conn = testing::collection();
        for usn in -1..=6 {
            conn.execute(
                "insert into tags values (?, ?, 1, null)",
                (usn.to_string(), usn),
            )
            .unwrap();
        }
        for min_usn in (-1..=6).map(Usn) {
            let sql = format!("select usn from tags where {}", condition(min_usn));
            let mut selected = conn.prepare(&sql).unwrap();
            let selected: Vec<Usn> = selected
                .query_map([min_usn], |row| row.get(0))
                .unwrap()
                .map(std::result::Result::unwrap)
                .collect();
            let expected: Vec<Usn> = (-1..=6)
                .map(Usn)
                .filter(|usn| min_usn.is_new(*usn))
                .collect();
            assert_eq!(selected, expected);
        }
    }
}
