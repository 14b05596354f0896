//! The meaning of `SQLite`'s errors, and the files beside a database.

use std::path::{Path, PathBuf};

use rusqlite::ffi::ErrorCode as Code;

/// The ending of a write-ahead log, which holds changes that are not in the database file yet.
pub const WAL: &str = "-wal";
/// The ending of its index.
pub const WAL_INDEX: &str = "-shm";

/// The path of the file beside a database with this ending.
pub fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Whether the disk, the memory, a lock or an interruption is the cause of an error, and not the
/// data.
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
