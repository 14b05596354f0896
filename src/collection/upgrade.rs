//! Upgrades a file of an older client to schema 18.

mod ease;
mod objects;
mod settings;
#[cfg(test)]
mod tests;

use rusqlite::{Connection, TransactionBehavior};

use super::{Error, Result, schema};
use crate::wire::Usn;

/// The number and time for objects that the upgrade has to change.
#[derive(Debug, Clone, Copy)]
struct Stamp {
    usn: Usn,
    now_secs: i64,
}

type Step = fn(&Connection, Stamp) -> Result<()>;

/// The schema versions between 11 and 18, each with the step that leads to it.
const STEPS: [(i64, Step); 5] = [
    (14, |conn, _| settings::to_tables(conn)),
    (15, objects::to_tables),
    (16, ease::to_fractions),
    (17, |conn, _| tags_to_17(conn)),
    (18, |conn, _| graves_to_18(conn)),
];

/// Upgrades a collection to schema 18 in one transaction. After an error, nothing has changed.
///
/// `usn` marks the few objects that must change, such as decks whose names clash: the server's USN for a collection in
/// use, a client's for an upload. Times and counters of the collection do not change.
///
/// # Errors
/// When the schema is none that clients have used, or a part of the file cannot be read.
pub fn upgrade(conn: &mut Connection, usn: Usn, now_secs: i64) -> Result<()> {
    let version = schema::version(conn)?;
    if version == schema::VERSION {
        return Ok(());
    }
    if !is_upgradable(version) {
        return Err(Error::Version(version));
    }
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    for (_, step) in STEPS.iter().filter(|(to, _)| version < *to) {
        step(&transaction, Stamp { usn, now_secs })?;
    }
    transaction.execute("update col set ver = ?", [schema::VERSION])?;
    transaction.commit()?;
    Ok(())
}

/// Whether this is an older schema that clients have used.
pub fn is_upgradable(version: i64) -> bool {
    version == 11 || (14..schema::VERSION).contains(&version)
}

fn tags_to_17(conn: &Connection) -> Result<()> {
    conn.execute_batch("alter table tags rename to old_tags")?;
    conn.execute_batch(schema::TAG_TABLE)?;
    conn.execute_batch(
        "insert into tags (tag, usn, collapsed, config) select tag, usn, 1, null from old_tags;
         drop table old_tags;",
    )?;
    Ok(())
}

/// Old clients could record a deletion twice.
fn graves_to_18(conn: &Connection) -> Result<()> {
    conn.execute_batch("alter table graves rename to old_graves")?;
    conn.execute_batch(schema::GRAVE_TABLE)?;
    conn.execute_batch(
        "insert or ignore into graves (oid, type, usn) select oid, type, usn from old_graves;
         drop table old_graves;",
    )?;
    Ok(())
}
