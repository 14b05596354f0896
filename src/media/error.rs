//! Why media could not be taken or had.

use std::io;

use super::name::NameError;
use crate::durable::CopyError;

/// Why a request is refused; nothing of it was applied.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not a zip, damaged, or a file that its list names is not in it.
    #[error("the zip of media files is damaged or incomplete")]
    Zip,
    /// The zip's own list of files.
    #[error(
        "the list of media files in the zip is unreadable, larger than 50 KiB, or has more than 25 files"
    )]
    List,
    /// A name that cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The reference server fails for good on such a one.
    #[error("an empty media file was sent")]
    Nothing,
    /// The file system would make one file of two.
    #[error(
        "the names of the media files {0:?} and {1:?} differ only in upper and lower case, and the file system of the server cannot store both: rename one of them in Anki, or move SYNC_BASE to ext4, XFS or Btrfs"
    )]
    Case(String, String),
    /// Over 100 MiB.
    #[error("a media file is larger than 100 MiB")]
    Large,
    /// More names than a client may ask for at a time.
    #[error("more than 25 media files were requested, or none")]
    Names,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client is to blame.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A file that a client asked for is not here; it is to look again what is.
    #[error("media file {0:?} is not on the server")]
    Missing(String),
    /// `media.db`.
    #[error("media.db: {0}")]
    Database(#[from] rusqlite::Error),
    /// The media folder.
    #[error("media folder: {0}")]
    Io(#[from] io::Error),
    /// More than the user may fill.
    #[error("the media would take up {} MiB, but the quota leaves only {} MiB for them: the administrator of the server can raise quota_megs", bytes.div_ceil(1 << 20), allowed >> 20)]
    OverQuota {
        /// What they would take.
        bytes: u64,
        /// What they may take.
        allowed: u64,
    },
    /// Most likely the folder is on a disk that is not mounted.
    #[error(
        "none of the {0} media files that media.db lists is in the media folder, so no media are synced: mount its disk, or restore the files. If they are lost, create the folder if it is missing, then run `anki-syncd check --repair`"
    )]
    Absent(usize),
    /// A copy for a backup.
    #[error("media.db: {0}")]
    Copy(#[from] CopyError),
}
