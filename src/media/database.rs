//! `media.db`: what the reference server records of each media file.

use std::{
    io::{self, Read},
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension, Params, Transaction, params};
use sha1::{Digest, Sha1};

use crate::wire::media::{CHANGES_PER_REPLY, Change};

/// The layout that the reference server writes now.
pub const VERSION: i64 = 4;

/// SHA-1 of a file's content.
pub type Checksum = [u8; 20];

/// The record of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// SHA-1 of the content; for a removed file, of its last content.
    pub checksum: Checksum,
    /// Bytes; 0 if the file was removed.
    pub size: u64,
}

/// Computes the record of a content. Each piece of the content is also passed to `piece`.
///
/// # Errors
/// As `piece` says, or `unreadable` of a failure to read.
pub fn entry_of<E>(
    mut content: impl Read,
    unreadable: impl Fn(io::Error) -> E,
    mut piece: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<Entry, E> {
    let (mut digest, mut size) = (Sha1::new(), 0);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = content.read(&mut buffer).map_err(&unreadable)?;
        let read = buffer.get(..read).unwrap_or_default();
        if read.is_empty() {
            let checksum = digest.finalize().into();
            return Ok(Entry { checksum, size });
        }
        size += read.len() as u64;
        digest.update(read);
        piece(read)?;
    }
}

/// Opens the database, and creates or upgrades it as needed.
pub fn open(path: &Path) -> rusqlite::Result<Connection> {
    let mut conn = Connection::open(path)?;
    // Waits for another program's write, such as `sqlite3`'s, instead of failing a device's sync.
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    // If a power cut took back a commit, its USNs would be used again for other files. Devices that
    // have seen these numbers would never ask for the new files.
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "temp_store", "memory")?;
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let transaction = conn.transaction()?;
    match version {
        VERSION => {}
        3 => upgrade_from_3(&transaction)?,
        0 => create(&transaction)?,
        _ => return Err(rusqlite::Error::InvalidQuery),
    }
    transaction.commit()?;
    Ok(conn)
}

fn create(transaction: &Transaction) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "create table media (
           fname text not null primary key, csum blob not null, size int not null,
           usn int not null, mtime int not null
         );
         create table meta (
           last_usn int not null, total_bytes int not null, total_nonempty_files int not null
         );
         create index ix_usn on media (usn);
         insert into meta values (0, 0, 0);",
    )?;
    transaction.pragma_update(None, "user_version", VERSION)
}

fn upgrade_from_3(transaction: &Transaction) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "alter table media rename to old_media;
         alter table meta rename to old_meta;
         drop index if exists ix_usn;",
    )?;
    create(transaction)?;
    transaction.execute_batch(
        "insert into media (fname, csum, size, usn, mtime)
           select fname, csum, sz, usn, deleted from old_media where csum is not null;
         update meta set
           last_usn = (select coalesce(max(usn), 0) from old_meta),
           total_bytes = (select coalesce(sum(size), 0) from media),
           total_nonempty_files = (select count() from media where size > 0);
         drop table old_media;
         drop table old_meta;",
    )
}

/// The last USN handed out.
pub fn last_usn(conn: &Connection) -> rusqlite::Result<i32> {
    conn.query_row("select last_usn from meta", [], |row| row.get(0))
}

/// How many names have a file.
pub fn files(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("select count() from media where size > 0", [], |row| {
        row.get(0)
    })
}

/// Entries after a USN in ascending order, as many as one answer may contain. Clients continue from
/// the USN of the last one.
pub fn changes_after(conn: &Connection, usn: i32) -> rusqlite::Result<Vec<Change>> {
    let mut statement = conn.prepare_cached(
        "select fname, usn, csum, size from media where usn > ?1 order by usn limit ?2",
    )?;
    let rows = statement.query_map(params![usn, CHANGES_PER_REPLY], |row| {
        let (checksum, size): (Checksum, i64) = (row.get(2)?, row.get(3)?);
        let checksum = if size > 0 {
            hex::encode(checksum)
        } else {
            String::new()
        };
        Ok(Change(row.get(0)?, row.get(1)?, checksum))
    })?;
    rows.collect()
}

/// The record of a name, if there is one.
pub fn entry(conn: &Connection, name: &str) -> rusqlite::Result<Option<Entry>> {
    conn.prepare_cached("select csum, size from media where fname = ?1")?
        .query_row([name], |row| {
            Ok(Entry {
                checksum: row.get(0)?,
                size: row.get(1)?,
            })
        })
        .optional()
}

/// Records a changed or, with size 0, removed file under the next USN.
pub fn record(
    transaction: &Transaction,
    name: &str,
    entry: Entry,
    now_secs: i64,
) -> rusqlite::Result<()> {
    discount(transaction, name)?;
    execute(transaction, "update meta set last_usn = last_usn + 1", [])?;
    execute(
        transaction,
        "insert or replace into media select ?1, ?2, ?3, last_usn, ?4 from meta",
        params![name, entry.checksum, entry.size, now_secs],
    )?;
    execute(
        transaction,
        "update meta set total_bytes = total_bytes + ?1, total_nonempty_files = total_nonempty_files + (?1 > 0)",
        [entry.size],
    )
}

/// A batch runs each statement for each of its files.
fn execute(transaction: &Transaction, sql: &str, values: impl Params) -> rusqlite::Result<()> {
    transaction.prepare_cached(sql)?.execute(values).map(drop)
}

/// The bytes of all files.
pub fn bytes(conn: &Connection) -> rusqlite::Result<u64> {
    conn.query_row("select total_bytes from meta", [], |row| row.get(0))
}

/// Removes an entry without recording a removal, so that the loss of a file does not spread to
/// other devices.
pub fn forget(transaction: &Transaction, name: &str) -> rusqlite::Result<()> {
    discount(transaction, name)?;
    execute(transaction, "delete from media where fname = ?1", [name])
}

/// Subtracts a name's present entry from the totals.
fn discount(transaction: &Transaction, name: &str) -> rusqlite::Result<()> {
    if let Some(Entry { size, .. }) = entry(transaction, name)? {
        execute(
            transaction,
            "update meta set total_bytes = total_bytes - ?1, total_nonempty_files = total_nonempty_files - (?1 > 0)",
            [size],
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(conn: &Connection) -> (i32, i64, i64) {
        conn.query_row("select * from meta", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap()
    }

    #[test]
    fn totals_follow_adding_replacing_removing_and_forgetting() {
        let folder = tempfile::tempdir().unwrap();
        let mut conn = open(&folder.path().join("media.db")).unwrap();
        let transaction = conn.transaction().unwrap();
        let file = |size| Entry {
            checksum: [1; 20],
            size,
        };
        record(&transaction, "a", file(10), 1).unwrap();
        record(&transaction, "b", file(5), 1).unwrap();
        assert_eq!(meta(&transaction), (2, 15, 2));
        record(&transaction, "a", file(7), 1).unwrap();
        assert_eq!(meta(&transaction), (3, 12, 2));
        record(&transaction, "a", file(0), 1).unwrap();
        assert_eq!(meta(&transaction), (4, 5, 1));
        forget(&transaction, "b").unwrap();
        assert_eq!(meta(&transaction), (4, 0, 0));
        assert_eq!(
            changes_after(&transaction, 0).unwrap(),
            [Change("a".into(), 4, String::new())]
        );
    }

    #[test]
    fn changes_come_in_ascending_order_and_at_most_a_thousand() {
        let folder = tempfile::tempdir().unwrap();
        let mut conn = open(&folder.path().join("media.db")).unwrap();
        let transaction = conn.transaction().unwrap();
        for number in 0..1005 {
            let entry = Entry {
                checksum: [2; 20],
                size: 1,
            };
            record(&transaction, &format!("{}", 9999 - number), entry, 1).unwrap();
        }
        let usns: Vec<_> = changes_after(&transaction, 3)
            .unwrap()
            .iter()
            .map(|change| change.1)
            .collect();
        assert_eq!(usns, (4..=1003).collect::<Vec<_>>());
    }

    #[test]
    fn the_older_layout_is_upgraded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("media.db");
        Connection::open(&path)
            .unwrap()
            .execute_batch(
                "create table media (fname text primary key, csum blob, sz int, usn int, deleted int);
                 create table meta (usn int, sz int);
                 create index ix_usn on media (usn);
                 insert into meta values (9, 3);
                 insert into media values ('a', x'0101010101010101010101010101010101010101', 3, 7, 100);
                 insert into media values ('gone', null, 0, 8, 200);
                 pragma user_version = 3;",
            )
            .unwrap();
        let conn = open(&path).unwrap();
        assert_eq!(meta(&conn), (9, 3, 1));
        assert_eq!(
            entry(&conn, "a").unwrap(),
            Some(Entry {
                checksum: [1; 20],
                size: 3
            })
        );
        assert_eq!(entry(&conn, "gone").unwrap(), None);
    }
}
