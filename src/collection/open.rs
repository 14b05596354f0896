//! Opens `collection.anki2`, and reads and changes what concerns it as a whole.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::{
    create,
    distrust::distrust,
    is_upgradable, schema,
    screen::{self, ListError, Objection, RebuildError},
    upgrade,
};
use crate::wire::Usn;

/// How long to wait for another program that has the file locked, such as `sqlite3`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A user's collection, open.
pub struct Collection {
    conn: Connection,
}

/// The stamps by which a client decides how to sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamps {
    /// Last modification, milliseconds.
    pub modified: i64,
    /// Last change of the schema, milliseconds.
    pub schema_changed: i64,
    /// The next USN to hand out.
    pub usn: i32,
    /// Whether it has no cards.
    pub empty: bool,
}

/// Why the live collection cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// As `SQLite` says.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The file was missing and could not be created.
    #[error("a new collection cannot be created: {0}")]
    Create(#[source] super::Error),
    /// The reference server left it in an older schema, and it is damaged.
    #[error("the collection cannot be upgraded: {0}")]
    Upgrade(#[source] super::Error),
    /// A version of Anki that this server does not know has written it.
    #[error(
        "the collection has schema version {0}, which this server does not support: restore an earlier one with `anki-syncd restore`, or move it away and upload again with a current Anki"
    )]
    Schema(i64),
    /// It was put there by hand, and contains an object that Anki never makes.
    #[error(
        "the collection {0}: restore an earlier one with `anki-syncd restore`, or upload again with Anki"
    )]
    Objection(#[from] Objection),
}

impl Collection {
    /// Opens the file, or creates an empty collection when there is none.
    ///
    /// # Errors
    /// [`OpenError`]; also when another process holds the file for longer than a few seconds.
    pub fn open(path: &Path, now_ms: i64) -> Result<Self, OpenError> {
        listed_at_rest(path)?;
        Self::open_listed(path, now_ms)
    }

    /// The same for a file that a connection of this process has open. POSIX locks are the
    /// process's: closing any descriptor of the file drops them, also the one by which the list of
    /// tables is read. Another program would then take the write-ahead log away, with the syncs
    /// in it.
    pub fn open_listed(path: &Path, now_ms: i64) -> Result<Self, OpenError> {
        let mut conn = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        distrust(&mut conn)?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        conn.pragma_update(None, "journal_mode", "wal")?;
        // With less in WAL mode, a power cut could take back a sync that was already confirmed to the device.
        conn.pragma_update(None, "synchronous", "full")?;
        // KiB. Every user's collection may be open at once, each with its own cache.
        conn.pragma_update(None, "cache_size", -4096)?;
        leave_foreign_behind(&conn, path)?;
        match version(&conn)? {
            None => create(&mut conn, now_ms).map_err(OpenError::Create)?,
            Some(old) if is_upgradable(old) => {
                // The reference server leaves the file in this state after an old client's download.
                let usn = conn.query_row("select usn from col", [], |row| row.get(0))?;
                upgrade(&mut conn, Usn(usn), now_ms / 1000).map_err(OpenError::Upgrade)?;
            }
            Some(_) => {}
        }
        match version(&conn)? {
            Some(schema::VERSION) => Ok(Self { conn }),
            other => Err(OpenError::Schema(other.unwrap_or_default())),
        }
    }

    /// The stamps that `meta` reports.
    pub fn stamps(&self) -> rusqlite::Result<Stamps> {
        let mut statement = self
            .conn
            .prepare_cached("select mod, scm, usn, not exists (select 1 from cards) from col")?;
        statement.query_row([], |row| {
            Ok(Stamps {
                modified: row.get(0)?,
                schema_changed: row.get(1)?,
                usn: row.get(2)?,
                empty: row.get(3)?,
            })
        })
    }

    /// A number that differs after another connection has changed the file, and not after this one has.
    pub fn data_version(&self) -> rusqlite::Result<i64> {
        self.conn
            .prepare_cached("pragma data_version")?
            .query_row([], |row| row.get(0))
    }

    /// Records a download: the USN grows by one and the modification time is now, so that all other devices sync at
    /// their next attempt.
    pub fn stamp_download(&self, now_ms: i64) -> rusqlite::Result<()> {
        self.conn
            .execute("update col set usn = usn + 1, mod = ?1", [now_ms])
            .map(drop)
    }

    /// Whether a person would miss anything of this collection. If that is unclear, yes.
    pub fn is_worth_keeping(&self) -> bool {
        let anything = "select exists (select 1 from notes) or exists (select 1 from cards) \
                        or exists (select 1 from revlog)";
        self.conn
            .query_row(anything, [], |row| row.get(0))
            .unwrap_or(true)
    }

    /// The connection, for work inside a transaction.
    pub fn connection(&self) -> &Connection {
        &self.conn
    }

    /// Begins a transaction that may write, so that it cannot fail later because another program has the lock.
    pub fn begin(&self) -> rusqlite::Result<()> {
        self.conn.execute_batch("begin immediate")
    }

    /// Makes the transaction durable and visible.
    pub fn commit(&self) -> rusqlite::Result<()> {
        self.conn.execute_batch("commit")
    }

    /// Rebuilds tables that another program has rewritten without their keys. Returns their names.
    ///
    /// # Errors
    /// [`RebuildError`]; nothing has changed then.
    pub fn rebuild_tables(&self) -> Result<Vec<&'static str>, RebuildError> {
        let maimed = match screen::shape(&self.conn)? {
            Ok(shape) => shape.maimed(schema::VERSION),
            // The collection would not be open otherwise.
            Err(_) => Vec::new(),
        };
        screen::rebuild(&self.conn, &maimed)?;
        Ok(maimed)
    }

    /// Moves the journal into the main file. False if another program still reads an older state.
    pub fn checkpoint(&self) -> rusqlite::Result<bool> {
        self.conn
            .query_row("pragma wal_checkpoint(truncate)", [], |row| {
                row.get::<_, i64>(0)
            })
            .map(|busy| busy == 0)
    }
}

/// The state of a collection after its last commit. Later commits do not change it. While this lives, the journal
/// cannot be moved into the main file.
pub struct Reader {
    conn: Connection,
}

impl Reader {
    /// Opens a collection that another connection may have open.
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        // Not read-only: the last connection that is closed has to move the journal into the file.
        let mut conn = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        distrust(&mut conn)?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        conn.pragma_update(None, "query_only", true)?;
        conn.execute_batch("begin")?;
        // SQLite fixes the state at the first read.
        conn.query_row("select mod from col", [], |_| Ok(()))?;
        Ok(Self { conn })
    }

    /// A connection that sees this state.
    pub fn connection(&self) -> &Connection {
        &self.conn
    }
}

/// Checks the file before SQLite loads its schema, since it may have been put there by hand. With a journal the file is
/// not checked: the journal is newer, and may even repair damage.
fn listed_at_rest(path: &Path) -> Result<(), Objection> {
    match screen::listed(path) {
        Err(ListError::Objection(objection)) => Err(objection),
        _ => Ok(()),
    }
}

/// Removes what each sync would compute: earlier versions accepted it in uploads.
fn leave_foreign_behind(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let left = screen::clean(conn)??;
    if !left.is_empty() {
        tracing::warn!(
            "{}: removed SQL that Anki never makes and that every sync would run: {}",
            path.display(),
            left.join(", ")
        );
    }
    Ok(())
}

/// The schema version; none if the file has no table of Anki's.
pub(super) fn version(conn: &Connection) -> rusqlite::Result<Option<i64>> {
    let has_col =
        "select exists (select 1 from sqlite_schema where type = 'table' and name = 'col')";
    if !conn.query_row(has_col, [], |row| row.get::<_, bool>(0))? {
        return Ok(None);
    }
    conn.query_row("select ver from col", [], |row| row.get(0))
        .optional()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::upload::check_upload;

    fn folder_with_collection() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("collection 100%?.anki2");
        drop(Collection::open(&path, 1_700_000_000_000).unwrap());
        (folder, path)
    }

    #[test]
    fn a_new_collection_is_empty_and_passes_the_check() {
        let (folder, path) = folder_with_collection();
        check_upload(&path).unwrap();
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "the check leaves nothing beside the file");
        let stamps = Collection::open(&path, 0).unwrap().stamps().unwrap();
        assert_eq!(
            stamps,
            Stamps {
                modified: 0,
                schema_changed: 1_700_000_000_000,
                usn: 0,
                empty: true
            }
        );
    }

    #[test]
    fn what_the_reference_server_left_in_schema_11_is_upgraded_with_the_servers_usn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("collection.anki2");
        std::fs::copy("tests/vectors/upgrade_in_schema11.anki2", &path).unwrap();
        let stamps = |conn: &Connection| {
            conn.query_row("select mod, scm, usn, ls from col", [], |row| {
                Ok([0, 1, 2, 3].map(|column| row.get::<_, i64>(column).unwrap()))
            })
            .unwrap()
        };
        let before = stamps(&Connection::open(&path).unwrap());
        let collection = Collection::open(&path, 1_800_000_000_000).unwrap();
        assert_eq!(stamps(collection.connection()), before);
        let renamed: i64 = collection
            .connection()
            .query_row(
                "select max(usn) from decks where mtime_secs = 1800000000",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(renamed, before[2]);
        drop(collection);
        Connection::open(&path)
            .unwrap()
            .execute_batch("update col set ver = 12")
            .unwrap();
        assert!(matches!(
            Collection::open(&path, 0),
            Err(OpenError::Schema(12))
        ));
    }

    #[test]
    fn a_download_adds_one_to_the_usn_and_is_a_modification() {
        let (_folder, path) = folder_with_collection();
        let collection = Collection::open(&path, 0).unwrap();
        collection.stamp_download(123).unwrap();
        let stamps = collection.stamps().unwrap();
        assert_eq!((stamps.usn, stamps.modified), (1, 123));
    }
}
