//! What a file brings along besides rows: read, before anything in it is evaluated.
//!
//! SQLite computes what a file's schema says: an index over an expression during the integrity check, a generated
//! column whenever it is read, statistics and views even earlier. A stranger can write an expression that takes hours
//! or gigabytes. Anki writes none but one harmless condition of an index. So, in this order:
//!
//! 1. [`listed`] reads the list of tables without SQLite, and refuses what SQLite could not even load in peace.
//! 2. [`Foreign`] are the objects that hold no rows and may compute: they are left behind, for the user loses nothing.
//! 3. [`shape`] finds, in what is left, tables that compute, and tables of Anki's that lost their keys.
//!
//! Everything else that an add-on may have put there stays. Checks and foreign keys of tables are never in force
//! (`distrust`), and tables with generated columns that are not Anki's are never read.

mod raw;
mod rebuild;
mod shape;
#[cfg(test)]
mod tests;
mod values;

use std::{fmt, path::Path};

use rusqlite::{Connection, config::DbConfig};

use super::schema;
use raw::{Raw, RawError, Row};

pub use rebuild::{RebuildError, obstacle, rebuild};
pub use shape::{Shape, shape};
pub use values::{wrong_value, wrong_value_in_col};

/// What cannot be taken, as the rest of a sentence that begins with "the collection".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// Far more tables than any collection has, or longer definitions.
    #[error("has more tables than any Anki collection")]
    TooMuch,
    /// A definition that SQLite itself never writes.
    #[error("has a manipulated table definition: {0}")]
    Forged(String),
    /// A column of Anki's that is computed.
    #[error("has a generated column in the table {0}, which Anki never makes")]
    Generated(String),
    /// An order that nobody here knows, and that cannot be taken away.
    #[error("has a collation in the table {0} that Anki does not use")]
    Collation(String),
}

/// Why the list of tables could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// As the file system says.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is something else.
    #[error("is not a database")]
    NotADatabase,
    /// It ends in the middle, or refers to what is not there.
    #[error("is damaged")]
    Damaged,
    /// It is whole, and nothing to be opened.
    #[error(transparent)]
    Objection(#[from] Objection),
}

impl From<RawError> for ListError {
    fn from(error: RawError) -> Self {
        match error {
            RawError::Io(error) => Self::Io(error),
            RawError::NotADatabase => Self::NotADatabase,
            RawError::Damaged => Self::Damaged,
            RawError::TooMuch => Self::Objection(Objection::TooMuch),
        }
    }
}

/// The names of the tables in a file that nobody is writing to, once it is certain that SQLite can load its schema.
///
/// # Errors
/// [`ListError`]; SQLite should not be given the file then.
pub fn listed(path: &Path) -> Result<Vec<String>, ListError> {
    let raw = Raw::open(path)?;
    let mut tables = Vec::new();
    let mut statistics = Vec::new();
    for row in raw.schema()? {
        if let Some(name) = judge_definition(&row)? {
            // Each costs something to read.
            if statistics.contains(&name) {
                return Err(Objection::Forged(shown(&row.name)).into());
            }
            statistics.push(name);
            raw.limit_statistics(row.root)?;
        }
        if row.sql.is_some_and(|sql| begins(&sql, TABLE)) {
            tables.push(row.name);
        }
    }
    Ok(tables)
}

const TABLE: &str = "CREATE TABLE ";
const INDEXES: [&str; 2] = ["CREATE INDEX ", "CREATE UNIQUE INDEX "];
/// What holds no rows, or rows that are other tables' rows.
const ROWLESS: [(&str, &str); 3] = [
    ("trigger", "CREATE TRIGGER "),
    ("view", "CREATE VIEW "),
    ("virtual table", "CREATE VIRTUAL TABLE "),
];
/// SQLite reads these while it loads the schema.
const STATISTICS: [(&str, &str); 2] = [
    ("sqlite_stat1", "CREATE TABLE sqlite_stat1(tbl,idx,stat)"),
    (
        "sqlite_stat4",
        "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)",
    ),
];

/// Which of the tables of statistics it is, if it is one. SQLite always begins a definition with the same words, whatever
/// was typed, so that nothing has to be parsed to know what it defines.
fn judge_definition(row: &Row) -> Result<Option<&'static str>, Objection> {
    let Some(sql) = &row.sql else {
        return Ok(None);
    };
    let lower = sql.to_ascii_lowercase();
    for (name, definition) in STATISTICS {
        if lower.contains(name) {
            return if sql == definition {
                Ok(Some(name))
            } else {
                Err(Objection::Forged(shown(&row.name)))
            };
        }
    }
    let mut known = ROWLESS.iter().map(|(_, words)| *words).chain(INDEXES);
    if begins(sql, TABLE) || known.any(|words| begins(sql, words)) {
        Ok(None)
    } else {
        Err(Objection::Forged(shown(&row.name)))
    }
}

fn begins(sql: &str, words: &str) -> bool {
    sql.get(..words.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(words))
}

/// An object that is not Anki's and computes, but can be left behind: no row is lost with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    kind: &'static str,
    name: String,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, shown(&self.name))
    }
}

/// Which triggers, views and virtual tables there are.
pub fn rowless(conn: &Connection) -> rusqlite::Result<Vec<Foreign>> {
    let mut found = Vec::new();
    let mut statement =
        conn.prepare_cached("select name, sql from sqlite_schema where sql is not null")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, sql): (String, String) = (row.get(0)?, row.get(1)?);
        if let Some((kind, _)) = ROWLESS.iter().find(|(_, words)| begins(&sql, words)) {
            found.push(Foreign { kind, name });
        }
    }
    Ok(found)
}

/// Everything that should be left behind; of indexes only once nothing else is there. The pragmas would compile views.
///
/// # Errors
/// As SQLite says; inside, an [`Objection`] to what cannot be left behind.
pub fn foreign(conn: &Connection) -> rusqlite::Result<Result<Vec<Foreign>, Objection>> {
    let rowless = rowless(conn)?;
    if rowless.is_empty() {
        Ok(shape(conn)?.map(|shape| shape.foreign))
    } else {
        Ok(Ok(rowless))
    }
}

/// Leaves behind whatever should be, and names it.
///
/// # Errors
/// As SQLite says; inside, an [`Objection`] to what cannot be left behind.
pub fn clean(conn: &Connection) -> rusqlite::Result<Result<Vec<String>, Objection>> {
    let mut left = Vec::new();
    loop {
        let foreign = match foreign(conn)? {
            Ok(foreign) if foreign.is_empty() => return Ok(Ok(left)),
            Ok(foreign) => foreign,
            Err(objection) => return Ok(Err(objection)),
        };
        leave_behind(conn, &foreign)?;
        left.extend(foreign.iter().map(Foreign::to_string));
    }
}

/// Takes all of that out of the schema, as one transaction. Nothing of it is looked at: `drop` would have a virtual
/// table's module open it first.
///
/// # Errors
/// As SQLite says; all is as it was then.
pub fn leave_behind(conn: &Connection, foreign: &[Foreign]) -> rusqlite::Result<()> {
    let (indexes, rowless): (Vec<_>, Vec<_>) =
        foreign.iter().partition(|foreign| foreign.kind == INDEX);
    if !rowless.is_empty() {
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false)?;
        conn.pragma_update(None, "writable_schema", true)?;
        let deleted = delete_rowless(conn);
        // Also reads the schema anew.
        conn.pragma_update(None, "writable_schema", "reset")?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        deleted?;
    }
    let transaction = conn.unchecked_transaction()?;
    for index in indexes {
        transaction.execute(&format!("drop index {}", quoted(&index.name)), [])?;
    }
    transaction.commit()
}

fn delete_rowless(conn: &Connection) -> rusqlite::Result<()> {
    let conditions = ROWLESS.map(|(_, words)| format!("sql like '{words}%'"));
    let delete = format!(
        "delete from sqlite_schema where {}",
        conditions.join(" or ")
    );
    conn.execute(&delete, []).map(drop)
}

/// Whether SQLite finds no damage. Where there are tables that compute, only Anki's are looked at.
pub fn damage(conn: &Connection, shape: &Shape) -> rusqlite::Result<Option<String>> {
    let whole = [String::from("pragma integrity_check(1)")];
    let tables = schema::TABLES.map(|(table, _)| format!("pragma integrity_check({table})"));
    let checks: &[String] = if shape.computed.is_empty() {
        &whole
    } else {
        &tables
    };
    for check in checks {
        let verdict: String = conn.query_row(check, [], |row| row.get(0))?;
        if verdict != "ok" {
            return Ok(Some(verdict));
        }
    }
    Ok(None)
}

const INDEX: &str = "index";

/// A name from a file in a text for people: no longer than needed, and nothing that moves a terminal's cursor.
pub(super) fn shown(name: &str) -> String {
    const LONGEST: usize = 40;
    let mut shown: String = name
        .chars()
        .map(|char| if char.is_control() { '\u{fffd}' } else { char })
        .take(LONGEST)
        .collect();
    if name.chars().count() > LONGEST {
        shown.push('…');
    }
    shown
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// How Anki spells the table, if it is one of Anki's.
fn of_anki(name: &str) -> Option<&'static str> {
    let mut tables = schema::TABLES.iter().map(|(table, _)| *table);
    tables.find(|table| table.eq_ignore_ascii_case(name))
}
