//! Errors of a vault.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use rusqlite::ffi::ErrorCode;
use tokio::task::JoinError;

use super::room::NearlyFull;
use crate::{
    collection::{self, open::OpenError, screen::RebuildError, upload::CheckError},
    disk::{self, Fault},
    durable::CopyError,
    layout, media,
    sqlite::is_environment,
    work::Interrupted,
};

/// Why a request to a vault failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The collection cannot be opened.
    #[error("collection: {0}")]
    Open(#[from] OpenError),
    /// The collection's database failed.
    #[error("collection: {0}")]
    Database(#[from] rusqlite::Error),
    /// An operation on the collection failed, and ended the normal sync that it was part of.
    #[error(transparent)]
    Collection(#[from] collection::Error),
    /// No normal sync is under way, or another one than this.
    #[error("this request does not belong to the running sync, or no sync is running")]
    NotInSync,
    /// The collection was replaced after the device decided to merge. Merging would mix two
    /// collections.
    #[error("another device has replaced the collection in the meantime; sync again")]
    Replaced,
    /// Another device of the user was syncing all the time.
    #[error("another device of this user is syncing; try again when it has finished")]
    Occupied,
    /// Another program has the collection open, so that it cannot be made one file.
    #[error("another program has the collection open; close it and sync again")]
    Busy,
    /// The disk is full or nearly so.
    #[error(transparent)]
    NearlyFull(#[from] NearlyFull),
    /// An upload was refused, or could not be checked.
    #[error(transparent)]
    Upload(#[from] CheckError),
    /// A table could not be rebuilt.
    #[error("the collection {0}")]
    Rebuild(#[from] RebuildError),
    /// The media failed.
    #[error(transparent)]
    Media(#[from] media::Error),
    /// The user is being renamed, or the data removed.
    #[error("this user's data are being moved or removed; try again")]
    Moved,
    /// The user was served before, and the folder is missing or empty.
    #[error("{} is missing or empty, although this user has synced with it before, so this user cannot sync: mount its disk, or restore the folder. If the data are lost for good, remove {} and restart the server", folder.display(), mark.display())]
    Absent {
        /// The user's folder.
        folder: PathBuf,
        /// The mark that shows this.
        mark: PathBuf,
    },
    /// The copy for a backup failed.
    #[error("backup: {0}")]
    Copy(#[from] CopyError),
    /// The user's folder failed.
    #[error("user's folder: {0}")]
    Io(#[from] io::Error),
    /// The work was interrupted.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A bug of this server. It fails this request; its transaction was rolled back.
    #[error("internal error: {0}")]
    Panicked(#[from] JoinError),
}

impl Error {
    /// Distinguishes a full disk from a broken one. `SQLite` has one code for both if a journal's
    /// index cannot grow, or a quota of the file system is used up. Call this on a blocking thread.
    pub(super) fn diagnosed(self, folder: &Path) -> Self {
        if disk::fault(&self) != Some(Fault::Failed) {
            return self;
        }
        match disk::probe(&folder.join(layout::TEMPORARY)) {
            Err(error) if disk::fault(&error) == Some(Fault::Full) => {
                io::Error::new(ErrorKind::StorageFull, self.to_string()).into()
            }
            _ => self,
        }
    }

    /// Whether the collection is the cause, and another collection the remedy.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Open(OpenError::Sqlite(error)) | Self::Copy(CopyError::Sqlite(error)) => {
                matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)
                )
            }
            Self::Database(error) => !is_environment(error),
            Self::Open(OpenError::Schema(_) | OpenError::Objection(_))
            | Self::Upload(CheckError::Refused(_)) => true,
            Self::Open(OpenError::Upgrade(error)) => !error.is_environment(),
            _ => false,
        }
    }
}
