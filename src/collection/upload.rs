//! Whether an uploaded file may become a collection.

use std::path::Path;

use rusqlite::{Connection, ffi::ErrorCode};

use super::{
    distrust::open_untouched,
    is_upgradable,
    open::version,
    schema,
    screen::{self, Foreign, ListError, Objection, RebuildError},
};

/// Why an uploaded file is refused: a sentence that Anki shows to the user.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// An empty body. The reference server accepts it, and so empties the account.
    #[error(
        "The upload was empty, so it was refused. The collection on the server was left as it was. Please try again."
    )]
    Empty,
    /// Not an `SQLite` file, or another program's database.
    #[error(
        "The uploaded file is not an Anki collection, so it was refused. The collection on the server was left as it was."
    )]
    Foreign,
    /// Damaged.
    #[error(
        "The uploaded collection is damaged, so it was refused. The collection on the server was left as it was. Please use Tools > Check Database, or restore from a backup, then upload again."
    )]
    Corrupt,
    /// Checking it takes far longer than checking a collection of Anki's.
    #[error(
        "The uploaded collection takes far too long to check, so it was refused. The collection on the server was left as it was. Please use Tools > Check Database, then upload again."
    )]
    Laborious,
    /// It contains an object that Anki never makes and that cannot be removed.
    #[error(
        "The uploaded collection {0}, so it was refused. The collection on the server was left as it was."
    )]
    Unlike(String),
    /// It contains a value that Anki does not write in this form.
    #[error(
        "The uploaded collection {0}, so it was refused. The collection on the server was left as it was. Please use Tools > Check Database, or restore from a backup, then upload again."
    )]
    Wrong(String),
    /// It has a schema that this server does not support.
    #[error(
        "The uploaded collection has schema version {0}, which this server does not support, so it was refused. The collection on the server was left as it was. Please upload it with a current version of Anki."
    )]
    Schema(i64),
    /// Choosing "upload" on a device by mistake would undo the operator's restore.
    #[error(
        "The collection on the server was restored on {at}, and this device has not downloaded it since, so its upload was refused. The collection on the server was left as it was. Please sync again and choose Download."
    )]
    Restored {
        /// The time of the restore, for people.
        at: String,
    },
    /// More bytes than the limit.
    #[error("The collection is larger than this server accepts ({} MiB compressed, {} MiB uncompressed), so it was refused. The collection on the server was left as it was. The administrator of the server can raise MAX_SYNC_PAYLOAD_MEGS (max_sync_payload_megs).", sent >> 20, decoded >> 20)]
    TooLarge {
        /// Limit in bytes as sent.
        sent: u64,
        /// Limit in bytes once decoded.
        decoded: u64,
    },
    /// More bytes than the user's quota.
    #[error("The collection ({} MiB) and the media on the server ({} MiB) together are larger than your quota of {} MiB, so it was refused. The collection on the server was left as it was. The administrator of the server can raise quota_megs.", size.div_ceil(1 << 20), media.div_ceil(1 << 20), quota >> 20)]
    OverQuota {
        /// Bytes of the upload.
        size: u64,
        /// Bytes of the media.
        media: u64,
        /// Bytes that both together may have.
        quota: u64,
    },
}

/// A refusal, or a failure of the server.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The file is the cause.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Disk or memory is the cause.
    #[error("the upload could not be checked: {0}")]
    Failed(#[source] rusqlite::Error),
    /// The disk is the cause.
    #[error("the upload could not be read: {0}")]
    Unreadable(#[source] std::io::Error),
    /// Disk or memory is the cause, while an old client's file was upgraded.
    #[error("the upload could not be upgraded: {0}")]
    Upgrade(#[source] super::Error),
}

/// The repairs that an uploaded file needs before it can be served.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checked {
    /// Its schema.
    pub version: i64,
    /// The tables to be rebuilt.
    pub maimed: Vec<&'static str>,
}

/// Checks an uploaded file without writing to it: a complete `SQLite` file with the tables of a
/// collection, indexes in Anki's order, and nothing that computes. An older schema's content is
/// checked by its upgrade. Returns the schema version.
pub fn check_upload(path: &Path) -> Result<i64, CheckError> {
    Ok(check(path)?.version)
}

/// Checks a file, and returns the repairs that it needs.
pub(super) fn check(path: &Path) -> Result<Checked, CheckError> {
    Ok(check_inner(path)?)
}

/// The objects that must be removed before the file can be checked.
pub(super) fn foreign(path: &Path) -> Result<Vec<Foreign>, CheckError> {
    let foreign = || -> Result<_, Fault> { Ok(screen::foreign(&open_listed(path)?)??) };
    Ok(foreign()?)
}

#[derive(thiserror::Error, Debug)]
pub(super) enum Fault {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl From<Fault> for CheckError {
    fn from(fault: Fault) -> Self {
        let error = match fault {
            Fault::Refused(refusal) => return Self::Refused(refusal),
            Fault::Io(error) => return Self::Unreadable(error),
            Fault::Sqlite(error) => error,
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::Refused(Refusal::Foreign),
            Some(
                ErrorCode::OutOfMemory
                | ErrorCode::SystemIoFailure
                | ErrorCode::DiskFull
                | ErrorCode::CannotOpen
                | ErrorCode::OperationInterrupted,
            ) => Self::Failed(error),
            _ => Self::Refused(Refusal::Corrupt),
        }
    }
}

impl From<Objection> for Fault {
    fn from(objection: Objection) -> Self {
        Self::Refused(Refusal::Unlike(objection.to_string()))
    }
}

impl From<RebuildError> for Fault {
    fn from(error: RebuildError) -> Self {
        match error {
            RebuildError::Sqlite(error) => Self::Sqlite(error),
            error => Self::Refused(Refusal::Wrong(error.to_string())),
        }
    }
}

fn check_inner(path: &Path) -> Result<Checked, Fault> {
    let conn = open_listed(path)?;
    if let Some(foreign) = screen::rowless(&conn)?.first() {
        return Err(unlike(foreign));
    }
    // Nothing of the file may be evaluated before this.
    let shape = screen::shape(&conn)??;
    if let Some(foreign) = shape.foreign.first() {
        return Err(unlike(foreign));
    }
    conn.pragma_update(None, "cell_size_check", true)?;
    let version = match version(&conn)? {
        None => return Err(Refusal::Foreign.into()),
        Some(known) if known == schema::VERSION || is_upgradable(known) => known,
        Some(other) => return Err(Refusal::Schema(other).into()),
    };
    if screen::damage(&conn, &shape)?.is_some() {
        return Err(Refusal::Corrupt.into());
    }
    let maimed = shape.maimed(version);
    if version == schema::VERSION {
        complete(&conn, &maimed)?;
    }
    Ok(Checked { version, maimed })
}

fn complete(conn: &Connection, maimed: &[&str]) -> Result<(), Fault> {
    match schema::missing(conn) {
        Ok(None) => Ok(()),
        // The repair checks this again.
        Ok(Some(missing)) if missing.starts_with("tags.") && maimed.contains(&"tags") => Ok(()),
        Ok(Some(_)) => Err(Refusal::Foreign.into()),
        Err(_) => Err(Refusal::Corrupt.into()),
    }
}

fn open_listed(path: &Path) -> Result<Connection, Fault> {
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0) {
        return Err(Refusal::Empty.into());
    }
    match screen::listed(path) {
        Ok(tables) if tables.iter().any(|table| table.eq_ignore_ascii_case("col")) => {
            Ok(open_untouched(path)?)
        }
        Ok(_) | Err(ListError::NotADatabase) => Err(Refusal::Foreign.into()),
        Err(ListError::Damaged) => Err(Refusal::Corrupt.into()),
        Err(ListError::Objection(objection)) => Err(objection.into()),
        Err(ListError::Io(error)) => Err(error.into()),
    }
}

fn unlike(foreign: &Foreign) -> Fault {
    Refusal::Unlike(format!("has the {foreign}, which Anki never makes")).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::open::Collection;

    fn refused(path: &Path) -> Refusal {
        match check_upload(path) {
            Err(CheckError::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_collection_is_refused_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("upload");
        std::fs::write(&path, b"").unwrap();
        assert!(matches!(refused(&path), Refusal::Empty));
        std::fs::write(&path, b"garbage".repeat(1000)).unwrap();
        assert!(matches!(refused(&path), Refusal::Foreign));
        std::fs::remove_file(&path).unwrap();
        Connection::open(&path)
            .unwrap()
            .execute_batch("create table places (id integer)")
            .unwrap();
        assert!(matches!(refused(&path), Refusal::Foreign));
        Connection::open(&path)
            .unwrap()
            .execute_batch("create table col (ver); insert into col values (18)")
            .unwrap();
        assert!(matches!(refused(&path), Refusal::Foreign));
        Connection::open(&path)
            .unwrap()
            .execute_batch("update col set ver = 13")
            .unwrap();
        assert!(matches!(refused(&path), Refusal::Schema(13)));
    }

    #[test]
    fn a_truncated_or_damaged_collection_is_refused_as_corrupt() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("upload");
        drop(Collection::open(&path, 0).unwrap());
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 4096 * 3]).unwrap();
        assert!(matches!(refused(&path), Refusal::Corrupt));
        let mut damaged = whole;
        let end = damaged.len();
        damaged[end - 4096 * 6..].fill(0x55);
        std::fs::write(&path, damaged).unwrap();
        assert!(matches!(refused(&path), Refusal::Corrupt));
    }
}
