//! Folders for their owner only, files that may be missing, and by what a change of one is noticed.

use std::{
    fs::{DirBuilder, Metadata},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::Path,
};

/// Differs between two states of a file, and between two files that take turns at one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    place: (u64, u64),
    modified: (i64, i64),
    /// Bytes.
    pub size: u64,
}

impl Stamp {
    /// Of a file as it is now.
    pub fn of(file: &Metadata) -> Self {
        Self {
            place: (file.dev(), file.ino()),
            modified: (file.mtime(), file.mtime_nsec()),
            size: file.size(),
        }
    }
}

/// Creates a folder that only its owner may enter, with those above it.
pub fn create_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// What came of working on something; none where there is no such thing.
///
/// # Errors
/// Any other one than that.
pub fn if_there<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(outcome) => Ok(Some(outcome)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
