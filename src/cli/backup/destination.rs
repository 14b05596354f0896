//! The folder for backups: `DIR/<time>/<user>/`. A server could serve each `DIR/<time>` as it is.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::{fcntl::OFlag, unistd::syncfs};

use super::{
    fetch::{Fetch, Saving},
    source::at,
};
use crate::{
    account::name::UserName,
    clock,
    durable::sync_folder,
    files::{create_private, if_there},
    layout,
};

/// Holds an unfinished backup; no backup has this name.
const PARTIAL: &str = ".partial";

/// The folder, and a backup that is being made in it.
pub struct Destination {
    folder: PathBuf,
    name: String,
    _lock: File,
}

impl Destination {
    /// Locks the folder, creates it if needed, and begins a backup. Removes what an interrupted
    /// backup has left.
    ///
    /// Fails also when another backup is running there.
    pub fn open(folder: &Path, now_ms: i64) -> io::Result<Self> {
        create_private(folder).map_err(|error| elsewhere(folder, &error))?;
        let lock = lock_file(&folder.join(".lock")).map_err(|error| elsewhere(folder, &error))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => at(folder, &"another backup to this folder is running"),
            TryLockError::Error(error) => elsewhere(folder, &error),
        })?;
        let mut destination = Self {
            folder: folder.to_owned(),
            name: String::new(),
            _lock: lock,
        };
        // After the newest one, even if the clock was set back: the order of names must stay right.
        let newest = destination.newest_first()?.into_iter().next();
        let after = newest.map_or(now_ms, |(ms, _)| now_ms.max(ms + 1));
        destination.name = clock::as_name(after);
        remove(&destination.partial())?;
        create_private(&destination.partial())?;
        Ok(destination)
    }

    /// What is needed to make a user's part of the backup.
    pub fn part_of(&self, user: &UserName, saving: Saving) -> io::Result<Fetch> {
        let media = Path::new(user.as_str()).join(layout::MEDIA);
        let former = self.newest_with(&media)?;
        Ok(Fetch {
            to: self.partial().join(user.as_str()),
            former: former.map(|former| former.join(media)),
            saving,
        })
    }

    /// The newest backup that contains this user's collection.
    pub fn newest_of(&self, user: &UserName) -> io::Result<Option<PathBuf>> {
        self.newest_with(&Path::new(user.as_str()).join(layout::COLLECTION))
    }

    /// Removes a user's part from the unfinished backup.
    pub fn forget(&self, user: &UserName) -> io::Result<()> {
        remove(&self.partial().join(user.as_str()))
    }

    /// Gives the backup its final name, once all of it is on the disk, and returns its path.
    ///
    /// If that fails, there is no new backup.
    pub fn complete(&self) -> io::Result<PathBuf> {
        syncfs(File::open(self.partial())?)?;
        let complete = self.folder.join(&self.name);
        fs::rename(self.partial(), &complete)?;
        sync_folder(&self.folder)?;
        Ok(complete)
    }

    /// Removes backups that are not among the newest `keep` of any of these users and contain
    /// nothing of other users. The newest backup always stays. Calls `removed` for each.
    pub fn prune(
        &self,
        keep: u32,
        users: &[&UserName],
        removed: &mut Vec<PathBuf>,
    ) -> io::Result<()> {
        let mut newer: HashMap<_, u32> = users.iter().map(|user| (user.as_str(), 0)).collect();
        for (number, (_, backup)) in self.newest_first()?.into_iter().enumerate() {
            let mut needed = number == 0;
            for entry in fs::read_dir(&backup)? {
                let entry = entry?;
                match entry
                    .file_name()
                    .to_str()
                    .and_then(|user| newer.get_mut(user))
                {
                    Some(newer) if entry.path().join(layout::COLLECTION).exists() => {
                        needed |= *newer < keep;
                        *newer += 1;
                    }
                    Some(_) => {}
                    None => needed |= !is_empty(&entry.path()),
                }
            }
            if !needed {
                // Renamed first, so that an interruption leaves no half backup under a final name.
                remove(&self.partial())?;
                fs::rename(&backup, self.partial())?;
                remove(&self.partial())?;
                removed.push(backup);
            }
        }
        Ok(())
    }

    fn newest_with(&self, part: &Path) -> io::Result<Option<PathBuf>> {
        let mut backups = self.newest_first()?.into_iter().map(|(_, backup)| backup);
        Ok(backups.find(|backup| backup.join(part).exists()))
    }

    /// The backups with their times.
    fn newest_first(&self) -> io::Result<Vec<(i64, PathBuf)>> {
        let mut backups = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            // Ignores files that are not backups.
            let time = entry.file_name().to_str().and_then(clock::from_name);
            if let Some(ms) = time
                && entry.file_type()?.is_dir()
            {
                backups.push((ms, entry.path()));
            }
        }
        backups.sort_by_key(|(ms, _)| std::cmp::Reverse(*ms));
        Ok(backups)
    }

    fn partial(&self) -> PathBuf {
        self.folder.join(PARTIAL)
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        // If this fails, the next backup removes it.
        let _ = remove(&self.partial());
    }
}

/// Opened with care, since other accounts may write to this folder.
fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

fn remove(folder: &Path) -> io::Result<()> {
    if_there(fs::remove_dir_all(folder)).map(drop)
}

fn elsewhere(folder: &Path, error: &io::Error) -> io::Error {
    let remedy = if error.kind() == io::ErrorKind::ReadOnlyFilesystem {
        "run `systemctl daemon-reload`, so that anki-syncd-backup.service may write to backup_to. For another folder, add ReadWritePaths= with `systemctl edit anki-syncd-backup`"
    } else {
        "choose another folder with --to, or with backup_to in the settings"
    };
    at(folder, &format!("{error}; {remedy}"))
}

#[cfg(test)]
mod tests;
