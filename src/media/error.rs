//! Errors of media requests.

use std::io;

use super::name::NameError;
use crate::durable::CopyError;

/// Why a request is refused. Nothing of it was applied.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not a zip, or damaged, or a listed file is missing.
    #[error("the zip of media files is damaged or incomplete")]
    Zip,
    /// The zip's list of files is invalid.
    #[error(
        "the list of media files in the zip is unreadable, larger than 50 KiB, or has more than 25 files"
    )]
    List,
    /// An invalid name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The reference server fails for good on such a batch.
    #[error("an empty media file was sent")]
    Nothing,
    /// The file system would store both as one file.
    #[error(
        "the names of the media files {0:?} and {1:?} differ only in upper and lower case, and the file system of the server cannot store both: rename one of them in Anki, or move SYNC_BASE to ext4, XFS or Btrfs"
    )]
    Case(String, String),
    /// Over 100 MiB.
    #[error("a media file is larger than 100 MiB")]
    Large,
    /// More names than one request may contain.
    #[error("more than 25 media files were requested, or none")]
    Names,
}

/// Errors of media requests.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client is the cause.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A file that a client asked for is missing. The client should ask again for the list.
    #[error("media file {0:?} is not on the server")]
    Missing(String),
    /// `media.db` failed.
    #[error("media.db: {0}")]
    Database(#[from] rusqlite::Error),
    /// The media folder failed.
    #[error("media folder: {0}")]
    Io(#[from] io::Error),
    /// More bytes than the user's quota.
    #[error("the media would take up {} MiB, but the quota leaves only {} MiB for them: the administrator of the server can raise quota_megs", bytes.div_ceil(1 << 20), allowed >> 20)]
    OverQuota {
        /// The bytes after the upload.
        bytes: u64,
        /// The bytes that are allowed.
        allowed: u64,
    },
    /// Probably the folder is on a disk that is not mounted.
    #[error(
        "none of the {0} media files that media.db lists is in the media folder, so no media are synced: mount its disk, or restore the files. If they are lost, create the folder if it is missing, then run `anki-syncd check --repair`"
    )]
    Absent(usize),
    /// The copy for a backup failed.
    #[error("media.db: {0}")]
    Copy(#[from] CopyError),
}
