//! Whether an error is caused by the disk.

use std::{
    error::Error,
    io::{self, ErrorKind, Write},
    path::Path,
};

use nix::errno::Errno;
use rusqlite::ffi::ErrorCode;

/// What is wrong with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full, or a quota of the file system is used up.
    Full,
    /// The disk fails, or `SQLite` reports that.
    Failed,
}

/// The fault of the disk that caused this error, if it was one.
pub fn fault(error: &(dyn Error + 'static)) -> Option<Fault> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => return Some(Fault::Full),
            ErrorKind::ReadOnlyFilesystem => return Some(Fault::Failed),
            _ if error.raw_os_error() == Some(Errno::EIO as i32) => return Some(Fault::Failed),
            _ => {}
        }
    }
    match error
        .downcast_ref::<rusqlite::ffi::Error>()
        .map(|error| error.code)
    {
        Some(ErrorCode::DiskFull) => Some(Fault::Full),
        Some(ErrorCode::SystemIoFailure) => Some(Fault::Failed),
        _ => error.source().and_then(fault),
    }
}

/// Writes a little, to find out whether the disk is full: an error of `SQLite` does not always show
/// whether a disk is full or broken.
///
/// # Errors
/// The error of the file system for a write in this folder.
pub fn probe(folder: &Path) -> io::Result<()> {
    // As much as SQLite first allocates for the index of a journal.
    const PROBE: usize = 32 * 1024;
    let mut file = tempfile::tempfile_in(folder)?;
    file.write_all(&vec![1; PROBE])?;
    file.sync_all()
}
