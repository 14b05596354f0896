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
    let mut statement = conn.prepare_cached(&sql(table, min_usn))?;
    let ids = statement.query_map([min_usn], |row| row.get(0))?;
    let mut ids: Vec<i64> = ids.collect::<rusqlite::Result<_>>()?;
    ids.sort_unstable();
    Ok(ids)
}

/// Not ordered by SQLite: for an order by id it reads the whole table in that order, and each sync
/// would cost as much as all reviews ever made. A damaged index is what `check` looks for.
fn sql(table: &'static str, min_usn: Usn) -> String {
    format!("select id from {table} where {}", condition(min_usn))
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
    fn what_is_new_is_found_by_an_index_and_in_order() {
        let conn = testing::collection();
        for min_usn in [Usn::UNSENT, Usn(5)] {
            for table in ["notes", "cards", "revlog"] {
                let plan = format!("explain query plan {}", sql(table, min_usn));
                let plan: String = conn
                    .query_row(&plan, [min_usn], |row| row.get("detail"))
                    .unwrap();
                assert!(plan.starts_with("SEARCH"), "{table}: {plan}");
            }
        }
        for (id, usn) in [(1, 9), (2, 5), (3, 4), (4, 7)] {
            conn.execute(
                "insert into revlog values (?, 1, ?, 1, 1, 1, 1, 1, 1)",
                (id, usn),
            )
            .unwrap();
        }
        assert_eq!(ids(&conn, "revlog", Usn(5)).unwrap(), [1, 2, 4]);
    }

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
