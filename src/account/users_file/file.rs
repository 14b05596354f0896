//! A users file while it is edited, by one command at a time.

use std::{
    fs::{self, File, Metadata, TryLockError},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use super::Document;
use crate::{durable::Replacement, files::if_there};

/// How long to wait for another command that edits the same file.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

/// Why a users file cannot be edited.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file or its folder cannot be read, locked or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another command has locked the file for too long.
    #[error("another anki-syncd command is editing {}, perhaps one that waits for a password: finish that one first", path.display())]
    Held {
        /// The file.
        path: PathBuf,
    },
}

/// A users file that this command has locked.
#[derive(Debug)]
pub struct UsersFile {
    /// The new content.
    pub document: Document,
    path: PathBuf,
    _lock: File,
}

impl UsersFile {
    /// Locks the file and reads it; a missing file is empty.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let failed = |source| FileError::Io {
            path: path.to_owned(),
            source,
        };
        // The file that a link points to, since the link stays.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let lock = lock(&target)
            .map_err(failed)?
            .ok_or_else(|| FileError::Held {
                path: path.to_owned(),
            })?;
        let mut bytes = Vec::new();
        (&lock).read_to_end(&mut bytes).map_err(failed)?;
        Ok(Self {
            document: Document::parse(&bytes),
            path: target,
            _lock: lock,
        })
    }

    /// Writes the new content beside the file. Only a commit replaces the file.
    pub fn prepare(&self) -> Result<Replacement, FileError> {
        let bytes = self.document.bytes();
        Replacement::prepare(&self.path, &bytes).map_err(|source| FileError::Io {
            path: self.path.clone(),
            source,
        })
    }
}

/// Locks the file itself, so that only accounts that may read the passwords can do so. A missing
/// file is created empty. None if another command holds the lock for too long.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        match file.try_lock() {
            Ok(()) if is_still(path, &file)? => return Ok(Some(file)),
            // The command that had the lock has replaced the file.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn is_still(path: &Path, file: &File) -> io::Result<bool> {
    let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
    let present = if_there(fs::metadata(path))?.map(identity);
    Ok(present == Some(identity(file.metadata()?)))
}
