//! Why a vault could not do what was asked.

use std::io;

use rusqlite::ffi::ErrorCode;
use tokio::task::JoinError;

use super::room::NearlyFull;
use crate::{
    collection::{self, is_environment, open::OpenError, upload::CheckError},
    durable::CopyError,
    media,
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
    #[error("no sync is under way, or another one than this request belongs to")]
    NotInSync,
    /// Merging with another collection than the device had in mind would mix the two.
    #[error("another device has replaced the collection meanwhile; sync again")]
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
    /// The media.
    #[error(transparent)]
    Media(#[from] media::Error),
    /// The user is being renamed, or the data removed.
    #[error("this user's data are being moved or removed; try again")]
    Moved,
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
    #[error("panicked: {0}")]
    Panicked(#[from] JoinError),
}

impl Error {
    /// Whether the collection is to blame, and another one the remedy.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Open(OpenError::Sqlite(error)) | Self::Copy(CopyError::Sqlite(error)) => {
                matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)
                )
            }
            Self::Database(error) => !is_environment(error),
            Self::Open(OpenError::Schema(_)) | Self::Upload(CheckError::Refused(_)) => true,
            Self::Open(OpenError::Upgrade(error)) => !error.is_environment(),
            _ => false,
        }
    }
}
