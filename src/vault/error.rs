//! Why a vault could not do what was asked.

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

/// Why a vault could not do what was asked.
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
    /// No normal sync is under way, or another one.
    #[error("this request does not belong to the running sync, or no sync is running")]
    NotInSync,
    /// Merging with another collection than the device had in mind would mix the two.
    #[error("another device has replaced the collection in the meantime; sync again")]
    Replaced,
    /// Another device of the user has been in the middle of a sync all the time.
    #[error("another device of this user is syncing; try again when it has finished")]
    Occupied,
    /// Another program has the collection open and keeps us from bringing it to one file.
    #[error("another program has the collection open; close it and sync again")]
    Busy,
    /// The disk is full or nearly so.
    #[error(transparent)]
    NearlyFull(#[from] NearlyFull),
    /// An upload was refused, or could not be checked.
    #[error(transparent)]
    Upload(#[from] CheckError),
    /// A table could not be built anew.
    #[error("the collection {0}")]
    Rebuild(#[from] RebuildError),
    /// The media.
    #[error(transparent)]
    Media(#[from] media::Error),
    /// The user is being renamed, or the data removed.
    #[error("this user's data are being moved or removed; try again")]
    Moved,
    /// The user has been served before, and the folder is missing or empty.
    #[error("{} is missing or empty, although this user has synced with it before, so this user cannot sync: mount its disk, or restore the folder. If the data are lost for good, remove {} and restart the server", folder.display(), mark.display())]
    Absent {
        /// The user's folder.
        folder: PathBuf,
        /// What reminds of it.
        mark: PathBuf,
    },
    /// A copy for a backup.
    #[error("backup: {0}")]
    Copy(#[from] CopyError),
    /// The user's folder.
    #[error("user's folder: {0}")]
    Io(#[from] io::Error),
    /// It was ended before it was done.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A bug of ours, which cost this request; what it had begun was rolled back.
    #[error("internal error: {0}")]
    Panicked(#[from] JoinError),
}

impl Error {
    /// Tells a full disk from a broken one where `SQLite` does not: it has one code for both,
    /// when a journal's index cannot grow or a quota of the file system is used up. To be
    /// asked on a blocking thread.
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

    /// Whether the collection is to blame, and another one the remedy.
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
