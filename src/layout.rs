//! Every path and file name under `SYNC_BASE`, and the marks by which a user's folder is known.
//!
//! Whoever else needs one asks here. Two modules that each spell out what a user's folder has
//! disagree one day, and root then gives a folder of some other program to the server's account.

pub mod users_folder;

use std::{
    io,
    path::{Path, PathBuf},
};

/// What is ours, in `SYNC_BASE` and in each user's folder. No user can have this name, and the
/// bundled server ignores it.
pub const OWN: &str = ".anki-syncd";
/// Files in passing, in `SYNC_BASE` and in each user's folder.
pub const TEMPORARY: &str = ".anki-syncd/tmp";

// In SYNC_BASE.

/// Locked for as long as a server runs.
pub const LOCK: &str = ".anki-syncd/lock";
/// Whoever has it can sync as anybody.
pub const HOST_KEY_SECRET: &str = ".anki-syncd/host-key-secret";
/// Users that are being renamed.
pub const RENAMES: &str = ".anki-syncd/renames";
/// A mark for each user who has been served.
pub const SERVED: &str = ".anki-syncd/served";
/// The socket for the operator's commands, where systemd passes none.
pub const CONTROL: &str = ".anki-syncd/control";
/// All users' devices, of earlier versions.
pub const FORMER_DEVICES: &str = ".anki-syncd/devices.db";
/// The same once they have been taken over: an earlier version that is started again does not
/// find it, and so warns that revocations may be lost.
pub const FORMER_DEVICES_KEPT: &str = ".anki-syncd/devices.db.taken-over";
/// What a file system has in the folder where it is mounted.
pub const LOST_AND_FOUND: &str = "lost+found";
/// The same, and where it may show its snapshots.
pub const OF_FILE_SYSTEMS: [&str; 2] = [LOST_AND_FOUND, ".snapshots"];

// In a user's folder. The first three as with the bundled server.

/// The collection.
pub const COLLECTION: &str = "collection.anki2";
/// The media files.
pub const MEDIA: &str = "media";
/// What is recorded of them.
pub const MEDIA_DATABASE: &str = "media.db";
/// A file for each device.
pub const DEVICES: &str = ".anki-syncd/devices";
/// Collections that were replaced.
pub const SNAPSHOTS: &str = ".anki-syncd/snapshots";
/// Which devices have the restored collection.
pub const RESTORED: &str = ".anki-syncd/restored.json";
/// A batch of media while it is prepared.
pub const STAGING: &str = ".anki-syncd/media";
/// In that folder: which staged file takes which name.
pub const BATCH_JOURNAL: &str = "journal.json";
/// Copies while somebody fetches them.
pub const BACKUP: &str = ".anki-syncd/backup";
/// The time of the last one.
pub const LAST_BACKUP: &str = ".anki-syncd/last-backup";
/// Media files with another content than recorded.
pub const SET_ASIDE: &str = ".anki-syncd/set-aside";

/// A user's folder.
pub fn user_folder(base: &Path, user: &str) -> PathBuf {
    base.join(user)
}

/// The mark of a user who has been served.
pub fn mark(base: &Path, user: &str) -> PathBuf {
    base.join(SERVED).join(user)
}

/// Whether a folder is one that a user was served from: more than what a disk is mounted on,
/// and more than what was written there of devices while the disk was not.
pub fn has_data(folder: &Path) -> io::Result<bool> {
    for part in [COLLECTION, MEDIA_DATABASE, TEMPORARY] {
        if folder.join(part).try_exists()? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a user who has been served has no data where they were.
pub fn is_absent(base: &Path, user: &str) -> io::Result<bool> {
    Ok(mark(base, user).try_exists()? && !has_data(&user_folder(base, user))?)
}
