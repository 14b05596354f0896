//! Checks what a file contains besides rows, before anything in it is evaluated.
//!
//! SQLite evaluates expressions in a file's schema: an index over an expression during the integrity check, a generated
//! column at every read, statistics and views even earlier. A stranger can write an expression that takes hours or
//! gigabytes. Anki writes none, except one harmless condition of an index. So the check has this order:
//!
//! 1. [`listed`] reads the list of tables without SQLite, and refuses files that SQLite could not safely load.
//! 2. [`Foreign`] objects hold no rows and may compute. They are removed; the user loses nothing.
//! 3. [`shape`] finds, among what is left, tables that compute, and tables of Anki's that lost their keys.
//!
//! Everything else that an add-on may have put there stays. Checks and foreign keys of tables are never enforced
//! (`distrust`). Tables with generated columns that are not Anki's are never read.

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

/// Why a collection cannot be accepted, as the rest of a sentence that begins with "the collection".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// Far more tables than any collection has, or longer definitions.
    #[error("has more tables than any Anki collection")]
    TooMuch,
    /// A definition in a form that SQLite itself never writes.
    #[error("has a manipulated table definition: {0}")]
    Forged(String),
    /// A column of Anki's that is generated.
    #[error("has a generated column in the table {0}, which Anki never makes")]
    Generated(String),
    /// A collation that is not known here, in a place where it cannot be removed.
    #[error("has a collation in the table {0} that Anki does not use")]
    Collation(String),
}

/// Why the list of tables could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// As the file system says.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Not an SQLite database.
    #[error("is not a database")]
    NotADatabase,
    /// It is cut off, or refers to a missing page.
    #[error("is damaged")]
    Damaged,
    /// It is complete, but must not be opened.
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

/// The names of the tables in a file that nobody is writing to, if SQLite can safely load its schema.
///
/// # Errors
/// [`ListError`]; SQLite must not open the file then.
pub fn listed(path: &Path) -> Result<Vec<String>, ListError> {
    let raw = Raw::open(path)?;
    let mut tables = Vec::new();
    let mut statistics = Vec::new();
    for row in raw.schema()? {
        if let Some(name) = judge_definition(&row)? {
            // Reading each of them takes time.
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
/// Objects without rows of their own.
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

/// The table of statistics that this row defines, if it is one. SQLite always begins a definition with the same words,
/// so nothing has to be parsed.
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

/// An object that is not Anki's and computes. It can be removed without losing a row.
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

/// All triggers, views and virtual tables.
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

/// Everything that should be removed. Indexes are only listed once nothing else is left, since the pragmas would
/// compile views.
///
/// # Errors
/// As SQLite says; inside, an [`Objection`] to an object that cannot be removed.
pub fn foreign(conn: &Connection) -> rusqlite::Result<Result<Vec<Foreign>, Objection>> {
    let rowless = rowless(conn)?;
    if rowless.is_empty() {
        Ok(shape(conn)?.map(|shape| shape.foreign))
    } else {
        Ok(Ok(rowless))
    }
}

/// Removes these objects, and returns their names.
///
/// # Errors
/// As SQLite says; inside, an [`Objection`] to an object that cannot be removed.
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

/// Removes objects from the schema in one transaction, without opening them: `drop` would make a virtual table's module
/// open it first.
///
/// # Errors
/// As SQLite says; nothing has changed then.
pub fn leave_behind(conn: &Connection, foreign: &[Foreign]) -> rusqlite::Result<()> {
    let (indexes, rowless): (Vec<_>, Vec<_>) =
        foreign.iter().partition(|foreign| foreign.kind == INDEX);
    if !rowless.is_empty() {
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false)?;
        conn.pragma_update(None, "writable_schema", true)?;
        let deleted = delete_rowless(conn);
        // This also reloads the schema.
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

/// The damage that SQLite finds, if any. If there are tables that compute, only Anki's tables are checked.
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

/// A name from a file, for messages: shortened, and without characters that move a terminal's cursor.
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

/// Anki's spelling of the table's name, if it is Anki's.
fn of_anki(name: &str) -> Option<&'static str> {
    let mut tables = schema::TABLES.iter().map(|(table, _)| *table);
    tables.find(|table| table.eq_ignore_ascii_case(name))
}
