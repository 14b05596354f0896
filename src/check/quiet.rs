//! Reads a database without a lock, and without a file beside it.
//!
//! A lock would make a device's download wait, and files that root leaves beside the database keep
//! the server from writing. So the file is read as it is, and read again if it changed meanwhile. A
//! database with a journal is copied first.

use std::{fmt, fs::File, io, iter, path::Path, thread, time::Duration};

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::{
    database::{self, JOURNALS, open_plain},
    finding::{Findings, Id},
};
use crate::{
    collection::distrust::{distrust, immutable_uri},
    disk::{self, Fault},
    files::Stamp,
    media,
    sqlite::beside,
};

/// The server closes an idle database after five seconds.
const PATIENCE: u32 = 8;
const ATTEMPTS: u32 = PATIENCE + 4;
const PAUSE: Duration = Duration::from_secs(1);
/// /tmp is often in memory, and a copy is as large as the collection.
const LARGE_TEMPORARY: &str = "/var/tmp";

/// Why a database could not be read.
#[derive(Debug, thiserror::Error)]
pub enum QuietError {
    /// Missing rights, or no space for a copy.
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Media(#[from] media::Error),
    /// A device syncs all the time.
    #[error("it changes all the time; check again when nobody is syncing")]
    Changing,
}

impl QuietError {
    /// Reports a failing disk as a problem, and anything else as not checked.
    pub fn report(&self, place: impl fmt::Display, findings: &mut Findings) {
        let fault = match self {
            Self::Io(error) => disk::fault(error),
            Self::Sqlite(error) => disk::fault(error),
            Self::Media(error) => disk::fault(error),
            Self::Changing => None,
        };
        if fault == Some(Fault::Failed) {
            let what = format_args!("cannot be read: {self}");
            findings.add(Id::DiskFailing, place, what);
        } else {
            findings.unseen(place, self);
        }
    }
}

/// Runs `work` on a database, and again if the database has changed meanwhile.
pub fn read<T, E>(
    path: &Path,
    mut work: impl FnMut(&Connection) -> Result<T, E>,
) -> Result<T, QuietError>
where
    QuietError: From<E>,
{
    for attempt in 0..ATTEMPTS {
        open_plain(path)?;
        let before = Stamps::of(path)?;
        let has_journal = !before.journals().is_empty();
        // A process will soon close it, unless a signal has stopped the process.
        let is_in_use = || database::holder(path).is_some_and(|holder| !holder.is_stopped());
        if has_journal && attempt < PATIENCE && is_in_use() {
            thread::sleep(PAUSE);
            continue;
        }
        let result = if has_journal {
            match copy(path, &before)? {
                Some(copy) => work(&open(&copy.path().join("copy"), false)?),
                None => continue,
            }
        } else {
            work(&open(path, true)?)
        };
        if Stamps::of(path)? == before {
            return Ok(result?);
        }
    }
    Err(QuietError::Changing)
}

fn open(path: &Path, immutable: bool) -> rusqlite::Result<Connection> {
    let mut conn = if immutable {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        Connection::open_with_flags(immutable_uri(path), flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?
    } else {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(path, flags)?
    };
    distrust(&mut conn)?;
    // These fail on a damaged file; `work` then reports the damage better.
    let _ = conn.pragma_update(None, "cache_size", -32768);
    let _ = conn.pragma_update(None, "cell_size_check", true);
    Ok(conn)
}

/// Copies the file and its journals. Returns none if they changed meanwhile.
fn copy(path: &Path, before: &Stamps) -> io::Result<Option<TempDir>> {
    let folder = tempfile::tempdir_in(LARGE_TEMPORARY).or_else(|_| tempfile::tempdir())?;
    for suffix in iter::once("").chain(before.journals()) {
        let mut copy = File::create(folder.path().join(format!("copy{suffix}")))?;
        io::copy(&mut open_plain(&beside(path, suffix))?, &mut copy)?;
    }
    Ok((Stamps::of(path)? == *before).then_some(folder))
}

/// The state of a database's files, which shows whether they have changed.
#[derive(Debug, PartialEq, Eq)]
struct Stamps([Option<Stamp>; 3]);

impl Stamps {
    fn of(path: &Path) -> io::Result<Self> {
        let main = path.metadata()?;
        let journals = JOURNALS.map(|suffix| Stamp::at(&beside(path, suffix)));
        let [first, second] = journals.map(|journal| journal.filter(|journal| journal.size > 0));
        Ok(Self([Some(Stamp::of(&main)), first, second]))
    }

    fn journals(&self) -> Vec<&'static str> {
        let stamps = JOURNALS.into_iter().zip(&self.0[1..]);
        let there = stamps.filter_map(|(suffix, stamp)| stamp.map(|_| suffix));
        there.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    fn database() -> (TempDir, PathBuf, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(
            "pragma journal_mode = wal; create table t (n); insert into t values (1);",
        )
        .unwrap();
        (folder, path, conn)
    }

    fn first(conn: &Connection) -> rusqlite::Result<i64> {
        conn.query_row("select max(n) from t", [], |row| row.get(0))
    }

    #[test]
    fn a_disk_that_fails_is_a_problem_and_what_is_not_ours_to_read_a_note() {
        let io_error = |errno| QuietError::Io(io::Error::from_raw_os_error(errno));
        let failing = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_READ);
        let failing = rusqlite::Error::SqliteFailure(failing, None);
        for (error, id) in [
            (io_error(5), "disk-failing"),
            (QuietError::Sqlite(failing), "disk-failing"),
            (io_error(13), "not-looked-at"),
            (QuietError::Changing, "not-looked-at"),
        ] {
            let mut findings = Findings::default();
            error.report("alice/media", &mut findings);
            assert_eq!(findings.0[0].id.name(), id);
        }
    }

    #[test]
    fn a_plain_file_is_read_and_nothing_is_left_beside_it() {
        let (folder, path, conn) = database();
        drop(conn);
        assert_eq!(read(&path, first).unwrap(), 1);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_in_a_journal_only_is_read_too() {
        let (folder, path, conn) = database();
        let away = tempfile::tempdir().unwrap();
        for suffix in ["", "-wal"] {
            fs::copy(
                beside(&path, suffix),
                beside(&away.path().join("file"), suffix),
            )
            .unwrap();
        }
        drop((conn, folder));
        assert_eq!(read(&away.path().join("file"), first).unwrap(), 1);
        assert_eq!(fs::read_dir(away.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_changes_while_it_is_read_is_read_again() {
        let (_folder, path, conn) = database();
        drop(conn);
        let mut readings = 0;
        let found = read(&path, |conn| {
            readings += 1;
            if readings == 1 {
                Connection::open(&path)?.execute_batch("insert into t values (2)")?;
            }
            first(conn)
        });
        assert_eq!((found.unwrap(), readings), (2, 2));
    }
}
