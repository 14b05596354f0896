//! Whether a disk is at the bottom of an error.

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
    /// It is full, or a quota of the file system is.
    Full,
    /// It does not work, or `SQLite` thinks so.
    Failed,
}

/// Whether a disk is at the bottom of an error.
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

/// Finds out by writing a little whether the disk is full: what `SQLite` says about a
/// failure does not always tell a full disk from a broken one.
///
/// # Errors
/// What the file system answers to somebody who writes in this folder.
pub fn probe(folder: &Path) -> io::Result<()> {
    // As much as SQLite's index of a journal takes at first.
    const PROBE: usize = 32 * 1024;
    let mut file = tempfile::tempfile_in(folder)?;
    file.write_all(&vec![1; PROBE])?;
    file.sync_all()
}
