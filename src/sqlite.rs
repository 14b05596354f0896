//! What `SQLite` says when it fails, and the files that it has beside a database.

use std::path::{Path, PathBuf};

use rusqlite::ffi::ErrorCode as Code;

/// How the name of a write-ahead log ends, with changes that are not in the database yet.
pub const WAL: &str = "-wal";
/// How the name of its index ends.
pub const WAL_INDEX: &str = "-shm";

/// The file beside a database whose name ends like this.
pub fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Whether SQLite fails because of the disk, the memory, a lock or an interruption, and not of
/// what it reads.
pub fn is_environment(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            Code::DatabaseBusy
                | Code::DatabaseLocked
                | Code::OutOfMemory
                | Code::PermissionDenied
                | Code::ReadOnly
                | Code::SystemIoFailure
                | Code::DiskFull
                | Code::CannotOpen
                | Code::OperationInterrupted
        )
    )
}
