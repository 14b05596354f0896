//! Every path and file name under `SYNC_BASE`, and the marks by which a user's folder is known.
//!
//! Other modules ask here. If two modules each had their own list of what a user's folder contains,
//! the lists would differ one day, and root would give another program's folder to the server's
//! account.

pub mod users_folder;

use std::{
    io,
    path::{Path, PathBuf},
};

/// The server's own folder, in `SYNC_BASE` and in each user's folder. No user can have this name,
/// and the bundled server ignores it.
pub const OWN: &str = ".anki-syncd";
/// Temporary files, in `SYNC_BASE` and in each user's folder.
pub const TEMPORARY: &str = ".anki-syncd/tmp";

// In SYNC_BASE.

/// Locked for as long as a server runs.
pub const LOCK: &str = ".anki-syncd/lock";
/// With this secret, a client can sync as any user.
pub const HOST_KEY_SECRET: &str = ".anki-syncd/host-key-secret";
/// The users that are being renamed.
pub const RENAMES: &str = ".anki-syncd/renames";
/// A mark for each user who has been served.
pub const SERVED: &str = ".anki-syncd/served";
/// The socket for the operator's commands, where systemd passes none.
pub const CONTROL: &str = ".anki-syncd/control";
/// All users' devices, as earlier versions stored them.
pub const FORMER_DEVICES: &str = ".anki-syncd/devices.db";
/// The same file after it was taken over. An earlier version that is started again does not find
/// it, and so warns that revocations may be lost.
pub const FORMER_DEVICES_KEPT: &str = ".anki-syncd/devices.db.taken-over";
/// The folder that a file system has at its root.
pub const LOST_AND_FOUND: &str = "lost+found";
/// The same, and the folder in which a file system may show its snapshots.
pub const OF_FILE_SYSTEMS: [&str; 2] = [LOST_AND_FOUND, ".snapshots"];

// In a user's folder. The first three are the bundled server's as well.

/// The collection.
pub const COLLECTION: &str = "collection.anki2";
/// The media files.
pub const MEDIA: &str = "media";
/// What is recorded of the media files.
pub const MEDIA_DATABASE: &str = "media.db";
/// A file for each device.
pub const DEVICES: &str = ".anki-syncd/devices";
/// Collections that were replaced.
pub const SNAPSHOTS: &str = ".anki-syncd/snapshots";
/// Which devices have the restored collection.
pub const RESTORED: &str = ".anki-syncd/restored.json";
/// A batch of media while it is prepared.
pub const STAGING: &str = ".anki-syncd/media";
/// In that folder: which staged file gets which name.
pub const BATCH_JOURNAL: &str = "journal.json";
/// Copies for backups, while a command fetches them.
pub const BACKUP: &str = ".anki-syncd/backup";
/// The time of the last backup.
pub const LAST_BACKUP: &str = ".anki-syncd/last-backup";
/// Media files whose content differs from the record.
pub const SET_ASIDE: &str = ".anki-syncd/set-aside";

/// A user's folder.
pub fn user_folder(base: &Path, user: &str) -> PathBuf {
    base.join(user)
}

/// The mark of a user who has been served.
pub fn mark(base: &Path, user: &str) -> PathBuf {
    base.join(SERVED).join(user)
}

/// Whether a user was served from this folder. An empty mount point does not count, nor does a
/// folder with only the devices that were recorded while the disk was not mounted.
pub fn has_data(folder: &Path) -> io::Result<bool> {
    for part in [COLLECTION, MEDIA_DATABASE, TEMPORARY] {
        if folder.join(part).try_exists()? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a user was served before and now has no data.
pub fn is_absent(base: &Path, user: &str) -> io::Result<bool> {
    Ok(mark(base, user).try_exists()? && !has_data(&user_folder(base, user))?)
}
