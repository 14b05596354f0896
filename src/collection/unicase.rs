//! The collation `unicase`, which orders all indexed names.
//!
//! It is part of the file format: clients check the indexes with their own copy. So the version of the crate is pinned:
//! a newer one knows more letters, and clients would report the file as corrupt.

use ::unicase::UniCase;
use rusqlite::Connection;

/// Registers the collation, which every connection to a collection needs before its first statement.
pub fn register(conn: &Connection) -> rusqlite::Result<()> {
    conn.create_collation("unicase", compare)
}

/// The order of two names.
pub(crate) fn compare(left: &str, right: &str) -> std::cmp::Ordering {
    UniCase::new(left).cmp(&UniCase::new(right))
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;
    use crate::collection::testing;

    fn groups() -> Vec<Vec<String>> {
        let file: serde_json::Value = testing::vector("unicase_order");
        serde_json::from_value(file["groups"].clone()).unwrap()
    }

    #[test]
    fn names_of_one_group_are_equal_and_groups_ascend() {
        let groups = groups();
        assert!(groups.len() > 40);
        for (i, lower) in groups.iter().enumerate() {
            for (j, upper) in groups.iter().enumerate() {
                for a in lower {
                    for b in upper {
                        assert_eq!(compare(a, b), i.cmp(&j), "{a:?} against {b:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn sqlite_sorts_and_looks_up_with_it() {
        let conn = Connection::open_in_memory().unwrap();
        register(&conn).unwrap();
        conn.execute_batch("create table t (name text primary key collate unicase) without rowid")
            .unwrap();
        let groups = groups();
        for group in groups.iter().rev() {
            conn.execute("insert into t values (?)", [&group[0]])
                .unwrap();
        }
        let mut sorted = conn.prepare("select name from t order by name").unwrap();
        let sorted: Vec<String> = sorted
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let expected: Vec<&str> = groups.iter().map(|group| group[0].as_str()).collect();
        assert_eq!(sorted, expected);
        for group in &groups {
            for name in group {
                let found: String = conn
                    .query_row("select name from t where name = ?", [name], |row| {
                        row.get(0)
                    })
                    .unwrap();
                assert_eq!(compare(&found, name), Ordering::Equal);
            }
        }
    }
}
