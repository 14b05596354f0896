//! Problems of a collection that nobody is changing.

use rusqlite::{Connection, OptionalExtension, ffi::ErrorCode};

use super::{
    is_upgradable,
    open::version,
    sanity::TABLES_WITH_USN,
    schema,
    screen::{self, Foreign},
};
use crate::wire::Usn;

/// The problems of a collection; everything is empty if there are none.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Examined {
    /// What kind of file it is.
    pub kind: Kind,
    /// How many rows of each table were never sent to any device.
    pub unsent: Vec<(&'static str, i64)>,
    /// Tables, views and triggers that are not Anki's.
    pub foreign: Vec<String>,
    /// Objects that compute. They are removed when the collection is next opened.
    pub computing: Vec<String>,
    /// Tables of Anki's that lack some of Anki's declaration.
    pub maimed: Vec<Maimed>,
    /// A value that makes every sync fail, as the rest of a sentence.
    pub wrong_value: Option<String>,
    /// Last modification, milliseconds.
    pub modified: i64,
}

/// A table of Anki's that another program has rewritten.
#[derive(Debug, PartialEq, Eq)]
pub struct Maimed {
    /// Its name.
    pub table: &'static str,
    /// Why it cannot be rebuilt, if it cannot.
    pub why_not: Option<String>,
}

/// The kind of a file that should be a collection.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A collection that can be served.
    #[default]
    Whole,
    /// A collection of an older schema, which is upgraded when it is opened.
    Older(i64),
    /// A collection of a schema that this server does not know.
    Unknown(i64),
    /// Part of the schema is missing: this table or column.
    Incomplete(String),
    /// Damaged; the message of `SQLite`.
    Damaged(String),
    /// It contains an object that Anki never makes and that cannot be removed: the rest of a
    /// sentence.
    Objection(String),
    /// Another database, or no database.
    Foreign,
}

/// Examines a whole collection. The connection needs the collation `unicase`.
///
/// # Errors
/// As `SQLite` says, where disk or memory is to blame and not the file.
pub fn examine(conn: &Connection) -> rusqlite::Result<Examined> {
    look(conn).or_else(|error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => Ok(of_kind(Kind::Foreign)),
        Some(
            ErrorCode::OutOfMemory
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull
            | ErrorCode::PermissionDenied
            | ErrorCode::CannotOpen,
        ) => Err(error),
        _ => Ok(of_kind(Kind::Damaged(error.to_string()))),
    })
}

fn look(conn: &Connection) -> rusqlite::Result<Examined> {
    let has_col =
        "select exists (select 1 from sqlite_schema where type = 'table' and name = 'col')";
    if !conn.query_row(has_col, [], |row| row.get::<_, bool>(0))? {
        return Ok(of_kind(Kind::Foreign));
    }
    let computing = |foreign: &[Foreign]| foreign.iter().map(Foreign::to_string).collect();
    let rowless = screen::rowless(conn)?;
    if !rowless.is_empty() {
        return Ok(Examined {
            computing: computing(&rowless),
            ..Examined::default()
        });
    }
    let shape = match screen::shape(conn)? {
        Ok(shape) if shape.foreign.is_empty() => shape,
        Ok(shape) => {
            return Ok(Examined {
                computing: computing(&shape.foreign),
                ..Examined::default()
            });
        }
        Err(objection) => return Ok(of_kind(Kind::Objection(objection.to_string()))),
    };
    // Nothing may be evaluated before this.
    let Some(version) = version(conn)? else {
        return Ok(of_kind(Kind::Foreign));
    };
    if let Some(damage) = screen::damage(conn, &shape)? {
        // The first line names the place; the others repeat it.
        let line = damage.lines().next().unwrap_or_default();
        return Ok(of_kind(Kind::Damaged(line.to_owned())));
    }
    let maimed = shape.maimed(version);
    let kind = match version {
        schema::VERSION => match missing(conn)? {
            Some(missing) if !(missing.starts_with("tags.") && maimed.contains(&"tags")) => {
                Kind::Incomplete(missing)
            }
            _ => Kind::Whole,
        },
        older if is_upgradable(older) => Kind::Older(older),
        other => return Ok(of_kind(Kind::Unknown(other))),
    };
    let wrong_value = match kind {
        Kind::Whole => screen::wrong_value(conn)?,
        _ => screen::wrong_value_in_col(conn)?,
    };
    let maimed = maimed.into_iter().map(|table| {
        let why_not = screen::obstacle(conn, table)?;
        Ok(Maimed { table, why_not })
    });
    Ok(Examined {
        unsent: unsent(conn)?,
        foreign: foreign(conn)?,
        computing: Vec::new(),
        maimed: maimed.collect::<rusqlite::Result<_>>()?,
        // A value of the wrong type was reported above.
        modified: conn.query_row(
            "select iif(typeof(mod) = 'integer', mod, 0) from col",
            [],
            |row| row.get(0),
        )?,
        wrong_value,
        kind,
    })
}

fn of_kind(kind: Kind) -> Examined {
    Examined {
        kind,
        ..Examined::default()
    }
}

fn missing(conn: &Connection) -> rusqlite::Result<Option<String>> {
    match schema::missing(conn) {
        Ok(missing) => Ok(missing),
        Err(super::Error::Sql(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

fn unsent(conn: &Connection) -> rusqlite::Result<Vec<(&'static str, i64)>> {
    let mut found = Vec::new();
    for table in TABLES_WITH_USN {
        // Older schemas have only some of them.
        let exists = "select 1 from pragma_table_info(?) where name = 'usn' collate nocase limit 1";
        if conn
            .query_row(exists, [table], |_| Ok(()))
            .optional()?
            .is_none()
        {
            continue;
        }
        let count = format!("select count(*) from {table} where usn = ?");
        let count: i64 = conn.query_row(&count, [Usn::UNSENT], |row| row.get(0))?;
        if count > 0 {
            found.push((table, count));
        }
    }
    Ok(found)
}

fn foreign(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare(
        "select type, name from sqlite_schema
         where type in ('table', 'view', 'trigger') and name not like 'sqlite\\_%' escape '\\'
         order by name",
    )?;
    let objects = statement.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    let ours = |kind: &str, name: &str| {
        kind == "table"
            && schema::TABLES
                .iter()
                .any(|(table, _)| table.eq_ignore_ascii_case(name))
    };
    let mut found = Vec::new();
    for object in objects {
        let (kind, name) = object?;
        if !ours(&kind, &name) {
            found.push(format!("{kind} {name}"));
        }
    }
    Ok(found)
}

/// Gives rows that were never sent the collection's own number, as if a device had just sent them,
/// so that all devices get them at the next sync. Deletions among them stay unsent: they would
/// delete cards on other devices. Returns the number of rows.
///
/// # Errors
/// As `SQLite` says; nothing has changed then.
pub fn number_unsent(conn: &Connection, now_ms: i64) -> rusqlite::Result<usize> {
    let transaction = conn.unchecked_transaction()?;
    let mut changed = 0;
    for table in TABLES_WITH_USN
        .into_iter()
        .filter(|table| *table != "graves")
    {
        let sql = format!("update {table} set usn = (select usn from col) where usn = ?");
        changed += transaction.execute(&sql, [Usn::UNSENT])?;
    }
    if changed > 0 {
        // Like the end of a sync, since devices only sync with a modified collection.
        transaction.execute(
            "update col set usn = usn + 1, mod = max(mod + 1, ?1)",
            [now_ms],
        )?;
    }
    transaction.commit()?;
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::testing;

    #[test]
    fn nothing_is_the_matter_with_what_the_reference_server_made() {
        let found = examine(&testing::file("new_server_schema18")).unwrap();
        assert_eq!(
            (found.kind, found.unsent, found.foreign),
            (Kind::Whole, vec![], vec![])
        );
        let older = examine(&testing::file("new_server_schema11")).unwrap();
        assert_eq!(older.kind, Kind::Older(11));
    }

    #[test]
    fn what_is_the_matter_is_named() {
        let conn = testing::collection();
        conn.execute_batch(
            "insert into tags values ('a', -1, 1, null);
             create table addon (id);",
        )
        .unwrap();
        let found = examine(&conn).unwrap();
        assert_eq!(found.unsent, [("tags", 1)]);
        assert_eq!(found.foreign, ["table addon"]);
        conn.execute_batch("create view v as select 1").unwrap();
        assert_eq!(examine(&conn).unwrap().computing, ["view v"]);
        conn.execute_batch("drop view v; create index i on notes (abs(id))")
            .unwrap();
        assert_eq!(examine(&conn).unwrap().computing, ["index i"]);
        conn.execute_batch("drop index i").unwrap();
        for (change, kind) in [
            ("drop table graves", Kind::Incomplete("graves".into())),
            ("update col set ver = 99", Kind::Unknown(99)),
            ("drop table col", Kind::Foreign),
        ] {
            conn.execute_batch(change).unwrap();
            assert_eq!(examine(&conn).unwrap().kind, kind, "{change}");
        }
    }

    #[test]
    fn what_was_unsent_is_numbered_like_a_sync_and_deletions_are_left() {
        let conn = testing::collection();
        conn.execute_batch(
            "insert into tags values ('a', -1, 1, null), ('b', 3, 1, null);
             insert into graves values (5, 0, -1);
             update col set usn = 7, mod = 100;",
        )
        .unwrap();
        assert_eq!(number_unsent(&conn, 50).unwrap(), 1);
        let numbers: (i64, i64, i64, i64, i64) = conn
            .query_row(
                "select usn, mod, (select usn from tags where tag = 'a'),
                 (select usn from tags where tag = 'b'), (select usn from graves) from col",
                [],
                |row| {
                    Ok((
                        row.get(0)?,
                        row.get(1)?,
                        row.get(2)?,
                        row.get(3)?,
                        row.get(4)?,
                    ))
                },
            )
            .unwrap();
        assert_eq!(numbers, (8, 101, 7, 3, -1));
        assert_eq!(number_unsent(&conn, 1000).unwrap(), 0);
        let modified: i64 = conn
            .query_row("select mod from col", [], |row| row.get(0))
            .unwrap();
        assert_eq!(modified, 101);
    }
}
